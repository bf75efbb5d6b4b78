"""One file from the network: continued where it was cut off, and verified before it is used."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import requests

from lib.data.download.catalogue import Remote

PART = ".part"
"""What is appended to the name of a file that this program fetches, until it is in its place."""

_CHUNK = 1 << 16  # what a cut connection loses at most
_TIMEOUT = 30  # seconds without an answer or a byte
_ATTEMPTS = 6  # in a row, without a byte in between
_RETRIED = {408, 416, 425, 429, 500, 502, 503, 504}


class FetchError(Exception):
    """A file could not be fetched; the message says why, and what can be done."""


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
            not the file. What is fetched stays, unless it is wrong.
        OSError: if the disk is full; what is fetched stays.
    """
    part = part_of(path)
    part.parent.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    for url in remote.urls:
        problem = _from_address(remote, url, part, on_bytes=on_bytes, stop=stop, pause=pause)
        if not problem:
            break
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
) -> str:
    """Complete ``part`` from one address, however often the connection is cut.

    Returns:
        Why this address does not give the file; empty once all is there.
    """
    failures = 0
    while not (remote.exact and _length(part) == remote.size):
        have = _length(part)
        headers = {"Accept-Encoding": "identity"}  # bytes as they are, so that they can be counted
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
                if have and answer.status_code in (200, 416):  # it cannot continue, or has no more
                    _discard(part, on_bytes)
                if answer.ok:
                    total = _total(answer, part)
                    if remote.exact and total not in (None, remote.size):
                        return f"the server's file has {total:,} bytes, expected {remote.size:,}"
                    _append(answer, part, on_bytes, stop)
                    if total in (None, _length(part)) and not stop.is_set():
                        return ""
                elif answer.status_code not in _RETRIED:
                    return f"the server answers {answer.status_code} {answer.reason}"
            problem = f"the connection ended early (HTTP {answer.status_code})"
        except requests.RequestException as error:
            problem = f"no connection, or it was cut ({type(error).__name__})"
        failures = 0 if _length(part) > have else failures + 1
        if failures >= _ATTEMPTS:
            return f"{problem}, {failures} times in a row"
        if stop.wait(pause * 2**failures if failures else 0):
            raise FetchError(f"{remote.name}: stopped; running again continues.")
    return ""


def _append(
    answer: requests.Response, part: Path, on_bytes: Callable[[int], None], stop: threading.Event
) -> None:
    """Append to ``part`` what one connection brings, until ``stop`` is set."""
    with part.open("ab") as file:
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
            on_bytes(len(chunk))
            if stop.is_set():
                break
        file.flush()
        os.fsync(file.fileno())


def _total(answer: requests.Response, part: Path) -> int | None:
    """Return how long the whole file is by what the server says, if it does."""
    coming = answer.headers.get("Content-Length", "")
    return _length(part) + int(coming) if coming.isdigit() else None


def _discard(part: Path, on_bytes: Callable[[int], None]) -> None:
    on_bytes(-_length(part))
    part.unlink(missing_ok=True)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
