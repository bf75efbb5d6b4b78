"""One file from the network: continued where it was cut off, and verified before it is used."""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import requests

from lib.data.download.catalogue import Remote

PART = ".part"
"""What is appended to the name of a file that this program fetches, until it is in its place."""

_CHUNK = 1 << 16  # what a cut connection loses at most
_TIMEOUT = 30  # seconds without an answer or a byte
_ATTEMPTS = 6  # in a row, without a byte in between
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class FetchError(RuntimeError):
    """A file could not be fetched; the message says why, and what can be done."""


class _NextAddressError(Exception):
    """This address does not have the file, or not the right one."""


def fetch(
    remote: Remote,
    path: Path,
    *,
    on_bytes: Callable[[int], None],
    stop: threading.Event,
    pause: float = 1.0,
) -> Path:
    """Bring a file beside ``path``. What an earlier, interrupted run has fetched is continued.

    Args:
        remote: what to fetch.
        path: where it shall be in the end. What is fetched has ``.part`` after its name, which
            tells it from what somebody has put there.
        on_bytes: told the length of every piece that comes, and, as a negative number, of what
            has to be thrown away.
        stop: once set, the function returns early, by raising.
        pause: seconds before the first further attempt; doubled for each one that follows.

    Returns:
        The file with ``.part`` after its name, whole and verified.

    Raises:
        FetchError: if no address has the file, the connection fails again and again, what came is
            not the file, or the disk is full. What is fetched stays, unless it is wrong.
    """
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    for url in remote.urls:
        try:
            _from_address(remote, url, part, on_bytes=on_bytes, stop=stop, pause=pause)
            break
        except _NextAddressError as problem:
            problems.append(f"{url}: {problem}")
    else:
        raise FetchError(
            f"{remote.name} could not be fetched.\n  " + "\n  ".join(problems) + "\n"
            f"Running again continues after the {_length(part):,} bytes that are there. Without "
            f"a network, put the file ({described(remote)}) in {path.parent} and run again."
        )
    if wrong := mismatch(remote, part):
        _discard(part, on_bytes)
        raise FetchError(
            f"{wrong} It was removed. Run again; if the same is found again, its publisher has "
            "changed the file, or something on the way does."
        )
    return part


def part_of(path: Path) -> Path:
    """Return where a file is while it is not whole."""
    return path.with_name(path.name + PART)


def mismatch(remote: Remote, path: Path) -> str:
    """Return in what a file is not what it should be, as a sentence; "" if it is."""
    algorithm, _, expected = remote.digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    length = _length(path)
    if found.startswith(expected) and (length == remote.size or not remote.exact):
        return ""
    return (
        f"{remote.name} is not the expected file: its {algorithm} is {found} ({length:,} bytes), "
        f"expected {expected} ({remote.size:,} bytes)."
    )


def described(remote: Remote) -> str:
    """Return a file's size and digest, for whoever brings it by hand."""
    size = f"{remote.size:,} bytes" if remote.exact else f"about {remote.size:,} bytes"
    return f"{size}, {remote.digest.replace(':', ' ')}"


def _from_address(
    remote: Remote,
    url: str,
    part: Path,
    *,
    on_bytes: Callable[[int], None],
    stop: threading.Event,
    pause: float,
) -> None:
    """Complete ``part`` from one address, however often the connection is cut."""
    failures = 0
    while not (remote.exact and part.exists() and _length(part) == remote.size):
        before = _length(part)
        try:
            if _one_connection(remote, url, part, on_bytes=on_bytes, stop=stop):
                return
            problem = "the connection ended early"
        except (requests.ConnectionError, requests.Timeout) as error:
            problem = f"no connection ({type(error).__name__})"
        except requests.RequestException as error:
            problem = f"the connection was cut ({type(error).__name__})"
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FetchError(
                    f"There is no space left for {remote.name} in {part.parent}: "
                    f"{_length(part):,} of its {remote.size:,} bytes are there and stay. Make "
                    "room and run again; it continues from there."
                ) from error
            raise
        failures = 0 if _length(part) > before else failures + 1
        if failures >= _ATTEMPTS:
            raise _NextAddressError(f"{problem}, {failures} times in a row")
        if stop.wait(pause * 2**failures if failures else 0):
            raise FetchError(f"{remote.name}: stopped; running again continues.")


def _one_connection(
    remote: Remote,
    url: str,
    part: Path,
    *,
    on_bytes: Callable[[int], None],
    stop: threading.Event,
) -> bool:
    """Append to ``part`` what one connection brings; return whether the server sent all it has."""
    have = _length(part)
    headers = {"Accept-Encoding": "identity"}  # bytes as they are, so that they can be counted
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code in _RETRIED:
            raise requests.ConnectionError(f"HTTP {answer.status_code}")
        continued = answer.status_code == requests.codes.partial_content
        start, total = _range(answer) if continued else (0, _number(answer, "Content-Length"))
        if answer.status_code == requests.codes.requested_range_not_satisfiable or (
            continued and start != have
        ):
            _discard(part, on_bytes)  # longer than the file, or of another one
            return False
        if not answer.ok:
            raise _NextAddressError(f"the server answers {answer.status_code} {answer.reason}")
        if remote.exact and total is not None and total != remote.size:
            raise _NextAddressError(
                f"the server's file has {total:,} bytes, expected {remote.size:,}"
            )
        if have and not continued:  # a server that cannot continue
            _discard(part, on_bytes)
        with part.open("ab") as file:
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                on_bytes(len(chunk))
                if stop.is_set():
                    raise FetchError(f"{remote.name}: stopped; running again continues.")
            file.flush()
            os.fsync(file.fileno())
    return total is None or _length(part) == total


def _range(answer: requests.Response) -> tuple[int, int | None]:
    """Return where a partial answer begins, and the length of the whole file if it is told."""
    span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else -1, int(total) if total.isdigit() else None


def _number(answer: requests.Response, header: str) -> int | None:
    value = answer.headers.get(header, "")
    return int(value) if value.isdigit() else None


def _discard(part: Path, on_bytes: Callable[[int], None]) -> None:
    on_bytes(-_length(part))
    part.unlink(missing_ok=True)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class Meter:
    """Says how far several downloads are, in one line every few seconds; for many threads."""

    def __init__(self, total: int, *, every: float = 5.0) -> None:
        """Begin to count.

        Args:
            total: bytes to come, with those that are there already.
            every: seconds between lines.
        """
        self._total, self._every = total, every
        self._done = self._new = 0
        self._started = self._said = time.monotonic()
        self._lock = threading.Lock()

    def found(self, count: int) -> None:
        """Take over bytes from an earlier run."""
        with self._lock:
            self._done += count

    def add(self, count: int) -> None:
        """Count bytes that have come, and say so if it is time."""
        with self._lock:
            self._done += count
            self._new += count
            now = time.monotonic()
            if now - self._said >= self._every:
                self._said = now
                print(self._line(now), flush=True)

    def _line(self, now: float) -> str:
        rate = max(self._new, 0) / (now - self._started)
        line = f"{self._done / 1e9:.2f} of {self._total / 1e9:.2f} GB"
        if rate <= 0:
            return line
        left = (self._total - self._done) / rate
        return f"{line} · {rate / 1e6:.1f} MB/s · {left / 60:.0f} min left"
