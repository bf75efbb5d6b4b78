"""Where the picture of a file name lies, as tools write names: below one folder, and a plain file.

A name that is there as it is written is taken. One that is not may be there under another spelling
(backslashes, percent codes, composed or decomposed accents, letter case), or be a path of another
machine, a drive or a URL, of which only the last parts mean something here.
"""

import os
import re
import unicodedata
from collections import defaultdict
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from lib.data.validation import choice

Parts = tuple[str, ...]


class Found(NamedTuple):
    """Where a picture is: its path from the folder, how it was found, and what is wrong if not.

    ``how`` is empty for a name as it is written; ``kind`` is one of ``validation.KINDS`` or empty.
    """

    file: str
    how: str = ""
    kind: str = ""
    detail: str = ""


def leads_outside(path: Path, root: Path) -> bool:
    """Return whether a path, followed through links, ends outside a folder."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


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
            if not path.exists():
                return Found(name, kind="image_missing")
            plain = path.is_file()
        except PermissionError:
            return Found(name, kind="image_unreadable", detail="it may not be read")
        except OSError:  # too long a name
            return Found(name, kind="image_missing")
        if not self.all_allowed and leads_outside(path, self.root):
            where = os.path.realpath(path)[:120]
            allow = f"it leads to {where}; {choice('outside', 'read')} allows it"
            return Found(name, kind="image_outside", detail=allow)
        if not plain:
            what = "it is a folder, a pipe or a device"
            return Found(name, kind="image_not_regular", detail=what)
        return Found(name)

    def otherwise(self, name: str) -> Found:
        """Find a file whose name as written is not there: by its spelling or its last parts."""
        plain, foreign = _plain(name)
        wanted = _parts(plain)
        fits = self._index.get(wanted[-1], []) if wanted else []
        if not fits:
            return Found(name, kind="image_missing")
        most = max(_common(wanted, parts) for _, parts in fits)
        best = [(file, parts) for file, parts in fits if _common(wanted, parts) == most]
        if len(best) > 1:
            shown = ", ".join(file for file, _ in best[:3]) + (", ..." if best[3:] else "")
            return Found(name, kind="image_missing", detail=f"{len(best)} files fit: {shown}")
        ((file, parts),) = best
        if not foreign and most not in (len(wanted), len(parts)):
            return Found(name, kind="image_missing", detail=f"there is a file {file}")
        there = self.as_written(file)
        how = "another spelling" if parts == wanted and not foreign else "its last parts"
        return there if there.kind else Found(file, how=how)

    @cached_property
    def _index(self) -> dict[str, list[tuple[str, Parts]]]:
        """Return the files below the folder, and the parts of their names, by the last part.

        Links to folders are followed, each folder once, and out of the folder only where allowed.
        """
        entries: dict[str, list[tuple[str, Parts]]] = defaultdict(list)
        seen: set[str] = set()
        for folder, folders, files in os.walk(self.root, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen or (not self.all_allowed and leads_outside(Path(real), self.root)):
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            for file in sorted(files):
                path = str(Path(folder, file).relative_to(self.root))
                if parts := _parts(path):
                    entries[parts[-1]].append((path, parts))
        return entries


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


def _parts(path: str) -> Parts:
    """Return the parts of a path, without what tools spell differently."""
    level = unicodedata.normalize("NFC", unquote(path)).casefold()
    return tuple(part for part in re.split(r"[\\/]", level) if part not in ("", ".", ".."))


def _common(one: Parts, other: Parts) -> int:
    """Return how many last parts two paths share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
