"""Small archives, and what the catalogue would say of them."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping

from lib.data.download.catalogue import Member, Remote


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], *, mode: str = "w:gz") -> bytes:
    """Return a tar file; a name that ends with a slash is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.size = len(content)
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def remote(
    name: str, content: bytes, *urls: str, members: tuple[Member, ...] = (), unpacked: int = 10_000
) -> Remote:
    """Return the description of a file that is as it should be."""
    return Remote(
        name=name,
        urls=urls,
        size=len(content),
        digest=f"md5:{hashlib.md5(content).hexdigest()}",
        members=members,
        unpacked=unpacked if members else 0,
    )
