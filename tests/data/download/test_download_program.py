"""The program as its user runs it, against a server on this machine."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from lib.data.coco import load
from lib.data.download import acquire
from lib.data.download.__main__ import main
from lib.data.download.catalogue import CATALOGUE, Collection, Member
from lib.paths import ROOT
from tests.data.download.archives import remote, tarred, zipped
from tests.data.download.server import Site, serve
from tests.data.voc_files import (
    Thing,
    write_lists,
    write_masks,
    write_picture,
    write_sbd,
    write_xml,
)

SHAPE = (30, 40)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".download.lock"
    }


@pytest.fixture
def site(tmp_path):
    """VOC, SBD and COCO in small, in archives of the true structure."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:20, 4:30] = True
    cat = Thing("cat", (4, 5, 30, 20), mask)
    made = tmp_path / "made"
    for name in ("2007_000001", "2007_000002", "2008_000003"):
        write_picture(made, name, SHAPE)
        write_xml(made, name, [cat])
    for name in ("2007_000001", "2007_000002"):
        write_masks(made, name, [cat], np.zeros(SHAPE, dtype=bool))
    write_sbd(made, "2008_000003", [cat], SHAPE)
    write_lists(made, train=["2007_000001"], val=["2007_000002"],
                sbd_train=["2008_000003"], sbd_val=["2007_000002"])  # fmt: skip
    files = contents(made)
    shutil.rmtree(made)
    voc = {f"VOCdevkit/VOC2012/{n}": c for n, c in files.items() if not n.startswith("sbd/")}
    sbd = {f"benchmark_RELEASE/dataset/{n.removeprefix('sbd/')}": c
           for n, c in files.items() if n.startswith("sbd/")}  # fmt: skip
    coco = {"val2017/000000000001.jpg": b"picture", "val2017/000000000002.jpg": b"another"}
    archives = {
        "voc.tar": tarred({"VOCdevkit/": b"", **voc}, mode="w"),
        "benchmark.tgz": tarred(sbd | {"benchmark_RELEASE/README": b"-"}),
        "val2017.zip": zipped(coco),
        "weights.pth": b"tensors" * 50_000,
    }
    with serve(Site(archives)) as served:
        yield served


@pytest.fixture
def catalogue(site):
    """A catalogue as the study's, of the small archives."""

    def described(name, members):
        return remote(name, site.files[name], f"{site.url}/{name}", members=members,
                      unpacked=100_000)  # fmt: skip

    return {
        "coco": Collection(title="COCO", folder="coco2017", remotes=(
            described("val2017.zip", (Member("val2017/", "val2017", files=2),)),)),
        "voc": Collection(title="VOC", folder="voc2012", remotes=(
            described("voc.tar", CATALOGUE["voc"].remotes[0].members),)),
        "sbd": Collection(title="SBD", folder="voc2012", remotes=(
            described("benchmark.tgz", CATALOGUE["sbd"].remotes[0].members),)),
        "weights": Collection(title="weights", folder="weights", remotes=(
            described("weights.pth", ()),)),
    }  # fmt: skip


def run(catalogue, *names: str, to: Path) -> int:
    return main(
        [*names, "--to", str(to), "--workers", "1"],
        catalogue=catalogue,
        sizes={"train": 2, "val": 1},
    )


def test_all_sets_arrive_and_open_and_a_second_run_fetches_nothing(catalogue, site, tmp_path):
    to = tmp_path / "data"
    assert run(catalogue, "coco", "voc", "sbd", "weights", to=to) == 0
    found = load(to / "voc2012/annotations/train.json", to / "voc2012/JPEGImages")
    assert [i.file_name for i in found.images] == ["2007_000001.jpg", "2008_000003.jpg"]
    assert all(x.has_mask for x in found.all_instances())
    assert (to / "weights/weights.pth").stat().st_size == 350_000
    assert len(list((to / "coco2017/val2017").iterdir())) == 2
    leftovers = [p.name for p in to.rglob("*") if p.suffix in (".part", ".zip", ".tar", ".tgz")]
    assert leftovers == []
    before, asked = contents(to), len(site.asked)
    stamps = {path: path.stat().st_mtime_ns for path in to.rglob("*") if path.is_file()}
    assert run(catalogue, "coco", "voc", "sbd", "weights", to=to) == 0
    assert len(site.asked) == asked and contents(to) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_one_set_that_fails_does_not_keep_others_from_arriving(catalogue, site, tmp_path, capsys):
    del site.files["weights.pth"]
    assert run(catalogue, "coco", "weights", to=tmp_path) == 2
    error = capsys.readouterr().err
    assert "weights.pth could not be fetched" in error and "Traceback" not in error
    assert (tmp_path / "coco2017/val2017").exists()


def test_a_file_brought_by_hand_is_verified_unpacked_and_left(catalogue, site, tmp_path, capsys):
    archive = tmp_path / "coco2017/val2017.zip"
    archive.parent.mkdir()
    archive.write_bytes(site.files["val2017.zip"])
    assert run(catalogue, "coco", to=tmp_path) == 0
    assert site.asked == [] and (tmp_path / "coco2017/val2017").exists()
    assert archive.read_bytes() == site.files["val2017.zip"]
    assert "stays" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["coco2017/val2017.zip", "weights/weights.pth"])
def test_a_wrong_file_brought_by_hand_is_refused_and_left(catalogue, tmp_path, capsys, name):
    brought = tmp_path / name
    brought.parent.mkdir()
    brought.write_bytes(b"something else")
    assert run(catalogue, "coco", "weights", to=tmp_path) == 2
    error = capsys.readouterr().err
    assert "is not the expected file" in error and str(brought) in error
    assert brought.read_bytes() == b"something else"


def test_what_this_program_fetched_is_removed_once_unpacked_also_after_a_fault(
    catalogue, site, tmp_path, monkeypatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(acquire, "unpack", full)
        assert run(catalogue, "coco", to=tmp_path) == 2
    asked = len(site.asked)
    assert run(catalogue, "coco", to=tmp_path) == 0
    assert len(site.asked) == asked  # nothing is fetched twice
    assert sorted(p.name for p in (tmp_path / "coco2017").iterdir()) == ["val2017"]


def test_half_a_set_is_named_and_neither_taken_nor_touched(catalogue, site, tmp_path, capsys):
    own = tmp_path / "coco2017/val2017/000000000001.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert run(catalogue, "coco", to=tmp_path) == 2
    assert "has 1 files, expected 2" in capsys.readouterr().err
    assert own.read_bytes() == b"mine" and site.asked == []


def test_a_link_to_nowhere_and_an_empty_file_are_named_and_left(catalogue, site, tmp_path, capsys):
    link, empty = tmp_path / "coco2017/val2017", tmp_path / "x/labels.json"
    for path in (link, empty):
        path.parent.mkdir()
    link.symlink_to(tmp_path / "disk that is not there")
    empty.touch()
    assert run(catalogue, "coco", to=tmp_path) == 2
    assert f"{link} has 0 files" in capsys.readouterr().err and link.is_symlink()
    with pytest.raises(acquire.AcquireError, match="expected one that has bytes"):
        acquire._is_there(empty, False, 0)
    assert site.asked == []


@pytest.mark.parametrize("kind", ["file", "link to nowhere", "file for folder"])
def test_a_place_that_cannot_be_written_is_said_before_the_first_byte(
    catalogue, site, tmp_path, capsys, kind
):
    to = tmp_path / "to"
    wrong = to if kind == "file" else to / "coco2017/val2017"
    if kind == "link to nowhere":
        wrong = to
        to.symlink_to(tmp_path / "nowhere")
    else:
        wrong.parent.mkdir(parents=True, exist_ok=True)
        wrong.write_bytes(b"mine")
    assert run(catalogue, "coco", to=to) == 2
    error = capsys.readouterr().err
    assert str(wrong) in error and "Traceback" not in error
    assert site.asked == [] and not (tmp_path / "nowhere").exists()
    assert kind == "link to nowhere" or wrong.read_bytes() == b"mine"


def test_too_little_room_is_said_before_the_first_byte(
    catalogue, site, tmp_path, monkeypatch, capsys
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(acquire.shutil, "disk_usage", lambda _: usage(1, 1, 10_000_000))
    assert run(catalogue, "voc", "sbd", to=tmp_path) == 2
    assert "0.0 GB are free. Make room" in capsys.readouterr().err
    assert site.asked == []


def test_two_downloads_into_one_folder_do_not_mix(catalogue, tmp_path, capsys):
    with acquire.FileLock(tmp_path / ".download.lock"):
        assert run(catalogue, "coco", to=tmp_path) == 2
    assert "Another download" in capsys.readouterr().err


def test_where_says_what_to_put_where(tmp_path, capsys):
    assert main(["coco", "--where", "--to", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for words in ("http://images.coco", f"{tmp_path}/coco2017/train2017.zip", "md5 cced6f7f"):
        assert words in said


KILLED = """
import sys
from pathlib import Path
from lib.data.download.acquire import acquire
from lib.data.download.catalogue import Collection, Remote
remote = Remote(name="big.bin", urls=(sys.argv[1],), size=int(sys.argv[3]), digest=sys.argv[4])
acquire([Collection(title="x", folder="x", remotes=(remote,))], Path(sys.argv[2]))
"""


def test_a_killed_download_leaves_a_part_and_is_continued(tmp_path):
    content = np.random.default_rng(1).bytes(32 << 20)
    with serve(Site({"big.bin": content})) as site:
        what = remote("big.bin", content, f"{site.url}/big.bin")
        command = [sys.executable, "-c", KILLED, what.urls[0], str(tmp_path), str(what.size),
                   what.digest]  # fmt: skip
        part = tmp_path / "x/big.bin.part"
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        while not (part.exists() and part.stat().st_size) and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "x/big.bin").exists()
        had = part.stat().st_size
        acquire.acquire([Collection(title="x", folder="x", remotes=(what,))], tmp_path)
    assert (tmp_path / "x/big.bin").read_bytes() == content
    assert site.asked[-1][1] == (f"bytes={had}-" if had < len(content) else site.asked[-1][1])
