"""Atomic writes, JSON, digests of contents, and what to say where a file cannot be used."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp-"
"""How the names of temporary files begin."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The data reaches the disk before the rename, so a crash or a full disk leaves either the old
    file or the new one, never a part of one. Of a symbolic link the target is written.

    Raises:
        OSError: if it cannot be written; it names ``path``.
    """
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f"{TEMPORARY}{path.name}-", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, name):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Remove what ``atomic`` left anywhere below ``folder`` in processes that were killed."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any, *, indent: int | None = None) -> None:
    """Write ``content`` to ``path`` atomically, as strict JSON (NaN is an error).

    The bytes depend on the content alone.
    """
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        write_text(path, text + "\n")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON may hold as an escape alone
        write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Return the content of a JSON file in UTF-8, UTF-16 or UTF-32, with a byte order mark or not.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it is not JSON; the message names the file and the place.
    """
    path = Path(path)
    try:
        return json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(
            f"{path} cannot be read: its lists and objects lie in one another too deeply."
        ) from None
    except ValueError as error:  # no JSON, no UTF, or an integer of more than 4,300 digits
        reason = str(error).partition("; use ")[0][:200]
        raise ValueError(f"{path} is not valid JSON: {reason}.") from error


def read_object(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file that merely saves work; empty if absent or damaged."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


_ADVICE: Mapping[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room there, or choose another disk"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "Set its permissions right, or choose another place",
    ),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "Move it away, or choose another place"),
    errno.ENOENT: "Check the name",
}
"""What a user can do about the errors of a system."""


def explain(error: Exception) -> str:
    """Return an error as a sentence for users: of one of the system its file, reason and remedy."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    file = f"{error.filename}: " if error.filename is not None else ""
    remedy = _ADVICE.get(error.errno or 0, "Set that right")
    return f"{file}{error.strerror}. {remedy}, and start again."


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value; equal values have equal digests."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
