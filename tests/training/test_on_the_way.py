"""What a training predicts on the way: as a run that ends there, however it was interrupted."""

from pathlib import Path

import pytest
import torch

from lib.files import write_json
from lib.training.checkpoint import load_model
from lib.training.on_the_way import (
    is_released,
    iterations_at,
    moments,
    predict_at,
    release,
)
from lib.training.predict import main
from lib.training.predictions import shares_in
from lib.training.train import DIVISION, train
from tests.fixtures.training import equal, interrupt, tiny_run, weights

SHARES = [0.5, 1 / 3]
CPU = {"device": torch.device("cpu"), "batch_size": 2}


def run_to(folder: Path, name: str, **changes: object):
    return tiny_run(folder, out=str(folder / name), **changes)


def predicted(run: Path, coco) -> dict[str, bytes]:
    """Predict at all moments; return the files by name."""
    paths = [path for one in moments(run, SHARES) for path in predict_at(one, coco, **CPU)]
    assert {path.parent for path in paths} == {run}
    return {path.name: path.read_bytes() for path in paths}


def test_predictions_on_the_way_are_those_of_a_run_that_ended_there(drawn, tmp_path):
    snapshots = tuple(iterations_at(SHARES, 6))
    assert snapshots == (2, 3)
    run = train(run_to(tmp_path, "run", snapshots=snapshots)).parent
    found = predicted(run, drawn)
    assert shares_in(run) == {0.333333, 0.5}
    places = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    for share, iterations in (("0.5", 3), ("0.333333", 2)):
        short = train(run_to(tmp_path, f"short_{iterations}", iterations=iterations))
        out = short.parent
        options = ["--out", str(out), "--device", "cpu", "--batch-size", "2"]
        assert main([str(short), *places, *options]) == 0
        for stem in ("detections_val", "masks_on_boxes_val"):
            assert found.pop(f"{stem}_at_{share}.json") == (out / f"{stem}.json").read_bytes()
    assert not found


@pytest.mark.parametrize("moment", [2, 5])
def test_an_interrupted_run_predicts_the_same_on_the_way(drawn, tmp_path, moment):
    snapshots = tuple(iterations_at(SHARES, 6))
    whole = train(run_to(tmp_path, "whole", snapshots=snapshots)).parent
    broken = run_to(tmp_path, "broken", snapshots=snapshots)
    interrupt(broken, moment)
    assert predicted(train(broken).parent, drawn) == predicted(whole, drawn)


def test_the_training_is_the_same_with_and_without(drawn, tmp_path):
    plain = train(run_to(tmp_path, "plain"))
    watched = train(run_to(tmp_path, "watched", snapshots=(2, 3)))
    predicted(watched.parent, drawn)
    assert equal(weights(plain), weights(watched))


def test_released_snapshots_take_no_room_and_nothing_is_made_twice(drawn, tmp_path, capsys):
    config = run_to(tmp_path, "run", snapshots=(2, 3))
    run = train(config).parent
    found, model = predicted(run, drawn), (run / "model.pt").read_bytes()
    assert not is_released(run)
    release(run)
    assert is_released(run) and all(p.stat().st_size < 2000 for p in run.glob("snapshot_*"))
    capsys.readouterr()
    train(config)
    assert "is there already" in capsys.readouterr().out
    assert predicted(run, drawn) == found and (run / "model.pt").read_bytes() == model
    with pytest.raises(ValueError, match="not a model file"):
        load_model(run / "snapshot_3.pt")


def test_a_detector_leaves_boxes_alone(drawn, tmp_path):
    run = train(tiny_run(tmp_path, method="faster_rcnn", supervised="none", snapshots=(2, 3)))
    assert set(predicted(run.parent, drawn)) == {
        "detections_val_at_0.5.json", "detections_val_at_0.333333.json",
    }  # fmt: skip


def test_shares_are_of_the_iterations_that_a_run_had(tmp_path):
    """More devices, each with images of its own, do it in fewer."""
    asked = {"iterations": 100, "snapshots": iterations_at([0.25, 0.5], 100)}
    trained = {"iterations": 50, "snapshots": [12, 25]}
    write_json(tmp_path / DIVISION, {"asked": asked, "resolved": trained})
    then = moments(tmp_path, [0.5, 1, 0.25])
    found = [(one.share, one.iteration, one.model.name) for one in then]
    assert found == [
        (0.5, 25, "snapshot_25.pt"), (1, 50, "model.pt"), (0.25, 12, "snapshot_12.pt"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="after 25, 50, 100 iterations, not after 75: name"):
        moments(tmp_path, [0.75])
