"""The benchmark of training and inference beside torchvision's, from command line to tables."""

import pytest

from lib.bench import compared_models, costs, model_tables, models
from lib.bench.models import main, options_of
from lib.files import read_json
from tests.bench.test_torchvision_reference import tiny_reference
from tests.fixtures.training import tiny_run


def test_notebook_parameters_become_options():
    parameters = {"speed_pictures": 7, "speed_box_channels": [8, 8], "bootstrap_seed": 3}
    unset = {"speed_annotations": "", "speed_price": 2.5}
    assert options_of(parameters | unset) == ["--pictures", "7", "--box-channels", "8", "8"]
    assert options_of({"speed_box_channels": []}) == []


def test_command_measures_all_models_beside_torchvisions(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(compared_models, "build_reference", lambda **sizes: tiny_reference())
    given = {}
    for name, method in (("mask_rcnn", "mask_rcnn"), ("small", "faster_rcnn")):
        config = tiny_run(tmp_path, method=method).model_dump(mode="json")
        given[name] = {k: v for k, v in config.items() if k not in ("out", "init")}
    monkeypatch.setattr(models, "training_schedules", lambda profile: [])
    monkeypatch.setattr(models, "measured_models", lambda schedules, names: given)
    out = tmp_path / "measured.json"
    places = ["--draw-in", str(tmp_path / "drawn"), "--width", "96", "--height", "72"]
    sizes = ["--min-size", "64", "--max-size", "96", "--batch", "2", "--rois", "16"]
    amounts = ["--rounds", "1", "--warm-up", "0", "--steps", "1"]
    small = ["--pictures", "4", "--inference", "1", "--foreground", "8", "--detections", "4"]
    options = [*places, *sizes, *amounts, *small, "--loaders", "0", "--device", "cpu"]
    assert main(["--out", str(out), *options]) == 0
    assert "round 1 of 1: small, float32" in capsys.readouterr().out
    content = read_json(out)
    assert content["machine"]["on_gpu"] is False
    assert content["models"]["mask_rcnn"]["rois_per_image"] == 16
    assert content["settings"]["box_channels"] == [] and content["settings"]["batch"] == 2
    assert content["pictures"]["count"] == 4 and content["pictures"]["width"] == 96
    training = model_tables.training_table(content, resamples=20, seed=0)
    assert list(training["model"]) == ["torchvision", "mask_rcnn", "small"]
    assert (training["images_per_second"] > 0).all()
    inference = model_tables.inference_table(content, resamples=20, seed=0)
    found = inference.set_index("model")["detections"]
    assert found.to_dict() == {"torchvision": 4, "mask_rcnn": 4, "small": 4}
    schedule = {"step": "x", "minutes": 6, "config": given["small"]}
    priced = costs.cost_table([schedule], content, training, price=2)
    assert priced.loc[0, "gpu_hours"] == pytest.approx(0.1)
