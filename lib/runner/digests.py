"""Digests of files and folders, remembered while size and time of change stay the same."""

import hashlib
from pathlib import Path

from lib.files import digest, read_object, write_json
from lib.study import Study

FILE = "digests.json"


class Digests:
    """A table of digests of the files that a profile reads and writes, kept in its cache.

    Large annotation files and models need not be read again to know that they are the same.

    Args:
        study: the folders.
        profile: name of the profile.
    """

    def __init__(self, study: Study, profile: str) -> None:
        self._study = study
        self._file = study.cache(profile) / FILE
        self._known: dict[str, list[str | int]] = {
            path: known
            for path, known in read_object(self._file).items()
            if isinstance(known, list) and len(known) == 4
        }
        self._changed = False

    def content(self, path: Path) -> str:
        """Return the digest of the contents of a file, or of all files below a folder."""
        if path.is_file():
            return self._file_digest(path)
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0".encode())
            total.update(self._file_digest(file).encode())
        return total.hexdigest()

    def outline(self, path: Path) -> str:
        """Return the digest of a file's contents, or of the names and sizes below a folder.

        Names and sizes tell most changes of an image folder, which would take long to read.
        """
        if path.is_file():
            return self._file_digest(path)
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            name = file.relative_to(path).as_posix()
            total.update(f"{name}\0{file.stat().st_size}\0".encode())
        return total.hexdigest()

    def save(self) -> None:
        """Write the table, if anything was added to it."""
        if self._changed:
            write_json(self._file, self._known)
            self._changed = False

    def _file_digest(self, path: Path) -> str:
        stat = path.stat()
        key = self._study.relative(path)
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._known.get(key)
        if known and known[1:] == state:
            return str(known[0])
        value = digest(path)
        self._known[key] = [value, *state]
        self._changed = True
        return value
