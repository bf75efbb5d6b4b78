import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from lib.data.download.catalogue import Member
from lib.data.download.unpack import UnpackError, unpack
from tests.data.download.archives import tarred, zipped

PARTS = (Member("set/images/", "images", files=2), Member("set/list.txt", "lists/list.txt"))
FILES = {
    "set/images/1.jpg": b"one",
    "set/images/deep/2.jpg": b"two" * 1000,
    "set/list.txt": b"1\n2\n",
    "set/other.txt": b"not wanted",
}


@pytest.fixture(params=["zip", "tar", "tgz"])
def pack(request, tmp_path):
    """Return a function that writes an archive of files, in each of the formats."""

    def write(files):
        path = tmp_path / f"archive.{request.param}"
        if request.param == "zip":
            path.write_bytes(zipped(files))
        else:
            path.write_bytes(tarred(files, mode="w:gz" if request.param == "tgz" else "w"))
        return path

    return write


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_wanted_parts_are_put_in_their_places(pack, tmp_path):
    unpack(pack(FILES), PARTS, tmp_path / "out")
    assert tree(tmp_path / "out") == {
        "images/1.jpg": b"one",
        "images/deep/2.jpg": b"two" * 1000,
        "lists/list.txt": b"1\n2\n",
    }


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a\\..\\..\\x"])
def test_what_is_not_wanted_is_written_nowhere(pack, tmp_path, name):
    unpack(pack({**FILES, name: b"evil"}), PARTS, tmp_path / "out")
    assert len(tree(tmp_path / "out")) == 3
    assert sorted(tmp_path.iterdir())[1:] == [tmp_path / "out"]


def test_a_file_that_leads_out_of_its_folder_is_refused(pack, tmp_path):
    files = {**FILES, "set/images/../../../x": b"evil"}
    with pytest.raises(UnpackError, match="leads out of its folder"):
        unpack(pack(files), PARTS, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_links_are_refused(tmp_path):
    buffer = io.BytesIO(tarred(FILES, mode="w"))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        link = tarfile.TarInfo("set/images/3.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("set/images/3.jpg")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    for name in ("a.tar", "a.zip"):
        with pytest.raises(UnpackError, match="a link, a device"):
            unpack(tmp_path / name, PARTS, tmp_path / "out")
        assert tree(tmp_path / "out") == {}


def test_an_archive_that_lacks_a_file_or_a_part_is_refused(pack, tmp_path):
    fewer = {name: content for name, content in FILES.items() if not name.endswith("2.jpg")}
    with pytest.raises(UnpackError, match="has 1 files of set/images/, expected 2"):
        unpack(pack(fewer), PARTS, tmp_path / "out")
    none = {name: content for name, content in FILES.items() if name != "set/list.txt"}
    with pytest.raises(UnpackError, match=r"has 0 files of set/list\.txt, expected some"):
        unpack(pack(none), PARTS, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_truncated_archive_leaves_nothing_behind(pack, tmp_path):
    path = pack({**FILES, "set/images/deep/2.jpg": b"two" * 100_000})
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(UnpackError):
            unpack(path, PARTS, tmp_path / "out")
        assert tree(tmp_path / "out") == {}


def test_what_is_in_its_place_already_stays(pack, tmp_path):
    (tmp_path / "out/lists").mkdir(parents=True)
    (tmp_path / "out/lists/list.txt").write_bytes(b"mine")
    unpack(pack(FILES), PARTS, tmp_path / "out")
    assert tree(tmp_path / "out")["lists/list.txt"] == b"mine"
    assert tree(tmp_path / "out")["images/1.jpg"] == b"one"


def test_leftovers_of_a_killed_run_do_no_harm(pack, tmp_path):
    path = pack(FILES)
    left = tmp_path / "out" / f".tmp-{path.name}" / "images"
    left.mkdir(parents=True)
    (left / "1.jpg").write_bytes(b"half")
    unpack(path, PARTS, tmp_path / "out")
    assert tree(tmp_path / "out")["images/1.jpg"] == b"one"
    assert not (tmp_path / "out" / f".tmp-{path.name}").exists()


def test_an_encrypted_archive_is_one_sentence_and_leaves_nothing(tmp_path):
    changed = bytearray(zipped(FILES))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # in both headers
        changed[changed.find(signature) + place] = 1
    (tmp_path / "a.zip").write_bytes(changed)
    with pytest.raises(UnpackError, match=r"a\.zip cannot be read"):
        unpack(tmp_path / "a.zip", PARTS, tmp_path / "out")
    assert tree(tmp_path / "out") == {}
