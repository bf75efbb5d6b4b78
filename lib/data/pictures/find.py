"""Where the picture of a file name lies, as tools write names: below one folder, and a plain file.

A name that is there as it is written is taken. One that is not may be there under another spelling
(backslashes, percent codes, composed or decomposed accents, letter case), or be a path of another
machine, a drive or a URL, of which only the last parts mean something here.
"""

import os
import re
import stat
import unicodedata
from collections import defaultdict
from functools import cached_property, lru_cache
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from lib.data.validation import choice

_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Found(NamedTuple):
    """Where a picture is: its path from the folder, how it was found, and what is wrong if not.

    ``how`` is empty for a name as it is written; ``kind`` is one of ``validation.KINDS`` or empty.
    """

    file: str
    how: str = ""
    kind: str = ""
    detail: str = ""


class _Entry(NamedTuple):
    file: str
    parts: tuple[str, ...]


def irregular(path: Path) -> str:
    """Return what a path is if it is no plain file, such as ``"a pipe"``; else nothing.

    Raises:
        OSError: if there is nothing, or it may not be looked at.
    """
    mode = path.stat().st_mode
    return "" if stat.S_ISREG(mode) else _TYPES.get(stat.S_IFMT(mode), "no file")


def leads_outside(path: Path, root: Path) -> bool:
    """Return whether a path, followed through links, ends outside a folder."""
    parent = _real(str(path.parent))
    if path.name in ("", "..") or path.is_symlink():
        real = os.path.realpath(path)
    else:
        real = f"{parent.rstrip(os.sep)}{os.sep}{path.name}"
    top = _real(str(root))
    return real != top and not real.startswith(top.rstrip(os.sep) + os.sep)


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


class PictureFiles:
    """The files below a picture folder.

    Args:
        root: the folder. It may itself be a link.
        all_allowed: whether files outside it (``..``, absolute names, links that lead out) are
            taken too.
    """

    def __init__(self, root: Path, *, all_allowed: bool) -> None:
        self.root = root
        self.all_allowed = all_allowed

    def as_written(self, name: str) -> Found:
        """Find a file by its name as it is written."""
        path = self.root / name
        try:
            other = irregular(path)
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            return _not_there(name, path, error)
        kind = detail = ""
        if not self.all_allowed and leads_outside(path, self.root):
            kind = "image_outside"
            detail = f"it leads to {os.path.realpath(path)[:120]}; "
            detail += f"{choice('outside', 'read')} allows it"
        elif other:
            kind, detail = "image_not_regular", f"it is {other}"
        return Found(name, kind=kind, detail=detail)

    def otherwise(self, name: str) -> Found:
        """Find a file whose name as written is not there: by its spelling or its last parts."""
        plain, foreign = _plain(name)
        wanted = _parts(plain)
        fits = self._index.get(wanted[-1], []) if wanted else []
        if not fits:
            return Found(name, kind="image_missing")
        common = {entry: _common(wanted, entry.parts) for entry in fits}
        best = [entry for entry in fits if common[entry] == max(common.values())]
        if len(best) > 1:  # two files whose names differ only in what was levelled
            raw = unicodedata.normalize("NFC", plain.replace("\\", "/"))
            spelled = {raw, unquote(raw)}
            end = common[best[0]]
            alike = [e for e in best if any(_tail(e.file, end) == _tail(s, end) for s in spelled)]
            best = alike or best
        if len(best) > 1:
            shown = ", ".join(entry.file for entry in best[:3]) + (", ..." if best[3:] else "")
            return Found(name, kind="image_missing", detail=f"{len(best)} files fit: {shown}")
        (entry,) = best
        ends = common[entry] in (len(wanted), len(entry.parts))
        if not (foreign or ends):
            place = Path(entry.file)
            folder = self.root if place.parent == Path() else place.parent
            detail = f"a file {place.name} is in {folder}/"
            return Found(name, kind="image_missing", detail=detail)
        whole = entry.parts == wanted and not foreign
        there = self.as_written(entry.file)
        how = "another spelling" if whole else "its last parts"
        return there if there.kind else Found(entry.file, how=how)

    @cached_property
    def _index(self) -> dict[str, list[_Entry]]:
        """Return the files below the folder by the last part of their name.

        Links to folders are followed, each folder once, and out of the folder only where allowed.
        """
        entries: dict[str, list[_Entry]] = defaultdict(list)
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(self.root, followlinks=True):
            state = Path(folder).stat()
            twice = (state.st_dev, state.st_ino) in seen
            seen.add((state.st_dev, state.st_ino))
            out = not self.all_allowed and Path(folder) != self.root
            if twice or (out and leads_outside(Path(folder), self.root)):
                folders.clear()
                continue
            folders.sort()
            for file in sorted(files):
                path = str(Path(folder, file).relative_to(self.root))
                parts = _parts(path)
                if parts:
                    entries[parts[-1]].append(_Entry(path, parts))
        return entries


def _not_there(name: str, path: Path, error: OSError | ValueError) -> Found:
    if isinstance(error, PermissionError):
        return Found(name, kind="image_unreadable", detail="it may not be read")
    broken = os.path.islink(path)  # noqa: PTH114 - False, no error, for a name that cannot be
    detail = f"a link to {str(path.readlink())[:80]}, which is not there" if broken else ""
    return Found(name, kind="image_missing", detail=detail)


def _plain(name: str) -> tuple[str, bool]:
    """Return a name without what belongs to a server, and whether its first parts mean nothing."""
    foreign = bool(re.match(r"[\\/]|[A-Za-z]:[\\/]", name)) or ("\\" in name and "/" in name)
    foreign |= ".." in re.split(r"[\\/]", name)
    try:
        url = urlsplit(name) if "://" in name else None
    except ValueError:
        url = None
    query = url.query if url else name.partition("?")[2]
    if url or query:
        name = url.path if url else name.partition("?")[0]
        name = parse_qs(query).get("d", [name])[0]  # Label Studio: /data/local-files/?d=a/b.jpg
        foreign = True
    return re.sub(r"^[A-Za-z]:(?=[\\/])", "", name), foreign


def _parts(path: str) -> tuple[str, ...]:
    """Return the parts of a path, without what tools spell differently."""
    level = unicodedata.normalize("NFC", unquote(path)).casefold()
    return tuple(part for part in re.split(r"[\\/]", level) if part not in ("", ".", ".."))


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many last parts two paths share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _tail(path: str, parts: int) -> str:
    return unicodedata.normalize("NFC", "/".join(path.replace("\\", "/").split("/")[-parts:]))
