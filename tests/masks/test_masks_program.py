import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lib.files import read_json, write_json
from lib.masks.__main__ import main
from lib.paths import ROOT


def arguments(coco_set, out: Path, *more: str) -> list[str]:
    files = ["--annotations", str(coco_set.annotations_path), "--images", str(coco_set.image_root)]
    return [*files, "--out", str(out), "--iterations", "1", *more]


def test_the_program_writes_masks_and_says_what_it_found(make_set, tmp_path, capsys) -> None:
    out = tmp_path / "new folder" / "masks.json"
    assert main(arguments(make_set(), out)) == 0
    assert len(read_json(out)["annotations"]) == 15
    said = capsys.readouterr().out
    assert "15 of 15 boxes" in said
    assert "15 boxes. Invalid:" in said
    assert "small boxes" in said


def test_the_method_is_chosen_and_recorded(make_set, tmp_path, capsys) -> None:
    coco_set, files = make_set(images=1), {}
    for name, more in (
        ("default", []),
        ("fast", ["--method", "fast"]),
        ("e", ["--method", "exact"]),
    ):
        assert main(arguments(coco_set, tmp_path / f"{name}.json", *more)) == 0
        files[name] = read_json(tmp_path / f"{name}.json")
    assert files["default"] == files["fast"]
    assert files["fast"]["info"]["pseudo_masks"]["variant"] == "fast"
    assert files["e"]["info"]["pseudo_masks"]["variant"] == "exact"
    with pytest.raises(SystemExit):
        main(arguments(coco_set, tmp_path / "masks.json", "--method", "quick"))
    assert "'quick'" in capsys.readouterr().err


def test_one_worker_uses_one_thread(make_set, tmp_path: Path) -> None:
    coco_set = make_set(images=1, boxes=12, size=(400, 300))
    program = """
import os, sys, psutil
from pathlib import Path
from lib.data.coco import load
from lib.masks import pseudo
from lib.masks.grabcut.exact import GrabCutSettings
labels, images = map(Path, sys.argv[1:])
units = pseudo._units(load(labels, images), 1)

def spent():
    return {one.id: one.user_time for one in psutil.Process().threads()}

before = spent()
for method in ("fast", "exact"):
    for seed in range(2):
        pseudo.masks_of(units[0], settings=GrabCutSettings(method=method, iterations=2), seed=seed)
used = {name: seconds - before.get(name, 0) for name, seconds in spent().items()}
own = used.pop(os.getpid())
print(own, sum(used.values()))
"""
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    paths = [str(coco_set.annotations_path), str(coco_set.image_root)]
    command = [sys.executable, "-c", program, *paths]
    said = subprocess.run(command, cwd=ROOT, env=free, check=True, capture_output=True, text=True)
    own, others = map(float, said.stdout.split())
    assert own > 0.3
    assert others < 0.1 * own


def test_a_killed_worker_is_a_sentence_and_the_same_command_completes_the_file(
    make_set, tmp_path: Path
) -> None:
    coco_set = make_set(images=24, boxes=6, size=(120, 90))
    assert main(arguments(coco_set, tmp_path / "whole.json")) == 0
    out = tmp_path / "masks.json"
    command = [sys.executable, "-m", "lib.masks", *arguments(coco_set, out, "--workers", "2")]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        while len(list(tmp_path.glob("masks.shards/*/[0-9]*.json"))) < 2:
            assert running.poll() is None
            time.sleep(0.002)
        children = psutil.Process(running.pid).children()
        workers = [child for child in children if "LokyProcess" in " ".join(child.cmdline())]
        os.kill(workers[0].pid, signal.SIGKILL)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 1
    assert said.startswith("Stopped: A worker process was killed")
    assert "Traceback" not in said
    assert 2 <= len(list(tmp_path.glob("masks.shards/*/[0-9]*.json"))) < 24
    assert main(arguments(coco_set, out)) == 0
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_without_the_package_for_clusters_its_command_is_named(
    make_set, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    there = ["--dask", "tcp://127.0.0.1:8786"]
    assert main(arguments(make_set(images=1), tmp_path / "masks.json", *there)) == 2
    assert "pip install -e '.[cluster]'" in capsys.readouterr().err


def test_a_set_of_crowd_regions_alone_is_no_error(make_set, tmp_path, capsys) -> None:
    coco_set = make_set(images=1)
    content = coco_set.to_coco()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    write_json(coco_set.annotations_path, content)
    assert main(arguments(coco_set, tmp_path / "masks.json")) == 0
    assert "No box to make a mask for. 3 crowd regions" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--annotations", "nowhere.json"], "no annotation file nowhere.json"),
        (["--images", "nowhere"], "no image folder nowhere"),
        (["--iterations", "0"], "at least 1"),
        (["--workers", "-1"], "workers is -1"),
        (["--valid-from", "0"], "above 0"),
        (["--out", "folder"], "expected a file name"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(make_set, tmp_path, capsys, more, text) -> None:
    assert main(arguments(make_set(), tmp_path / "masks.json", *more)) == 2
    said = capsys.readouterr().err
    assert text in said
    assert "Traceback" not in said


def test_only_masks_that_the_program_wrote_are_replaced_without_force(
    make_set, tmp_path: Path, capsys
) -> None:
    coco_set, out = make_set(images=1), tmp_path / "masks.json"
    assert main(arguments(coco_set, out)) == 0
    assert main(arguments(coco_set, out)) == 0
    write_json(out, coco_set.to_coco())
    before = out.read_bytes()
    assert main(arguments(coco_set, out)) == 2
    assert out.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert main(arguments(coco_set, out, "--force")) == 0
    assert out.read_bytes() != before


def test_a_picture_is_never_overwritten(make_set, capsys) -> None:
    coco_set = make_set(images=1)
    picture = coco_set.images[0].path
    before = picture.read_bytes()
    for out in (picture, picture.with_suffix(".json")):
        assert main(arguments(coco_set, out, "--force")) == 2
    assert picture.read_bytes() == before


def test_the_boxes_are_never_overwritten(make_set, capsys) -> None:
    coco_set = make_set()
    before = coco_set.annotations_path.read_bytes()
    assert main(arguments(coco_set, coco_set.annotations_path)) == 2
    assert coco_set.annotations_path.read_bytes() == before


def test_bad_labels_are_repaired_or_dropped_or_stop_the_program(make_set, tmp_path, capsys) -> None:
    coco_set = make_set()
    content = coco_set.to_coco()
    content["annotations"][0]["bbox"] = [500, 500, 10, 10]
    content["annotations"][1]["id"] = str(content["annotations"][1]["id"])
    content["annotations"][2]["segmentation"] = [[1, 2, 3, 4]]  # not used, so no reason to stop
    write_json(coco_set.annotations_path, content)
    damaged = coco_set.images[4].path
    damaged.write_bytes(damaged.read_bytes()[:200])
    out = tmp_path / "masks.json"
    assert main(arguments(coco_set, out, "--on-bad", "error")) == 2
    said = capsys.readouterr().err
    assert "--on-bad repair" in said and "drop instead of repair" in said
    assert not out.exists()
    assert main(arguments(coco_set, out)) == 0
    assert len(read_json(out)["annotations"]) == 11
    said = capsys.readouterr().out
    assert "1 numbers written as text" in said and "1 boxes that reach" in said
    assert main(arguments(coco_set, out, "--on-bad", "drop")) == 0
    assert len(read_json(out)["annotations"]) == 10


@pytest.mark.parametrize("more", [[], ["--on-bad", "drop"]])
def test_if_all_boxes_are_dropped_the_program_says_why_and_fails(
    make_set, tmp_path, capsys, more
) -> None:
    coco_set = make_set(images=1)
    content = coco_set.to_coco()
    for annotation in content["annotations"]:
        annotation["bbox"] = [500, 500, 10, 10]
    write_json(coco_set.annotations_path, content)
    assert main(arguments(coco_set, tmp_path / "masks.json", *more)) == 2
    said = capsys.readouterr().err
    assert "All 3 annotations" in said and "outside" in said


def test_what_is_carried_along_is_in_the_output_or_said_before_any_work(
    make_set, tmp_path, capsys, monkeypatch
) -> None:
    coco_set = make_set(images=1)
    content = coco_set.to_coco() | {"info": "made by hand", "licenses": ["mine"]}
    content["categories"][0] |= {"supercategory": "bio", "color": [1, 2]}
    coco_set.annotations_path.write_text(json.dumps(content))
    out = tmp_path / "masks.json"
    assert main(arguments(coco_set, out)) == 0
    written = read_json(out)
    assert written["categories"] == content["categories"] and written["licenses"] == ["mine"]
    assert written["info"]["original"] == "made by hand" and "pseudo_masks" in written["info"]
    content["annotations"][0]["depth"] = float("nan")
    coco_set.annotations_path.write_text(json.dumps(content))
    monkeypatch.setattr("lib.masks.pseudo.masks_of", None)  # no work is begun
    assert main(arguments(coco_set, tmp_path / "no.json", "--on-bad", "error")) == 2
    assert "NaN" in capsys.readouterr().err
