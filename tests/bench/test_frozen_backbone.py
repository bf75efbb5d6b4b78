"""Training on a frozen backbone in four ways, from command line to table."""

import pytest
import torch

from lib.bench import frozen_backbone, model_tables
from lib.bench.frozen_backbone import main, options_of
from lib.bench.model_figures import frozen_line, readable
from lib.bench.torchvision_reference import reference_on_lite0
from lib.files import read_json
from lib.models.build import build_model
from tests.bench.test_torchvision_reference import tiny_reference
from tests.fixtures.models import FROZEN, tiny_config
from tests.fixtures.training import tiny_run

WAYS = ["torchvision", "same_heads", "pictures", "maps"]
SECONDS = dict(zip(WAYS, (8.0, 4.0, 2.0, 1.0), strict=True))


def measured(threads: int) -> dict[str, object]:
    """Steps whose time halves from one way to the next; what is not loaded takes no time."""
    rows = [
        {
            "model": way, "precision": "float32", "round": turn, "step": 0, "loaded": loaded,
            "wait": 0.0, "seconds": SECONDS[way] * (1 + turn) / threads,
        }
        for way in WAYS for turn in range(2) for loaded in (True, False)
    ]  # fmt: skip
    facts = [{"model": way, "precision": "float32", "peak_mib": 1.0} for way in WAYS]
    return {"threads": threads, "rows": rows, "training": facts}


def test_gain_is_over_the_row_above_and_ratio_over_torchvisions_with_as_many_threads():
    content = {"settings": {"batch": 4}, "threads": [measured(1), measured(2)]}
    table = model_tables.frozen_table(content, resamples=20, seed=0).set_index("threads")
    for threads in (1, 2):
        rows = table.loc[threads]
        assert rows["model"].tolist() == WAYS
        assert rows["ratio"].tolist()[1:] == pytest.approx([2, 4, 8])
        assert rows[["gain", "gain_low", "gain_high"]].isna().all(axis=1).tolist()[0]
        assert rows["gain"].tolist()[1:] == pytest.approx([2, 2, 2])
    assert table["images_per_second"].tolist()[:1] == pytest.approx([4 * 2 / (8 + 16)])


def test_torchvisions_is_its_default_around_the_body_or_has_the_same_heads():
    config = tiny_config("mask_rcnn", **FROZEN)
    with torch.device("meta"):
        default = reference_on_lite0(config, num_classes=4)
        small = reference_on_lite0(config, num_classes=4, same_heads=True)
        ours = build_model(config, num_classes=4)
    for model in (default, small):
        assert not any(p.requires_grad for p in model.backbone.body.parameters())
        assert all(p.requires_grad for p in model.backbone.fpn.parameters())
        assert model.transform.min_size == (64,) and model.transform.size_divisible == 32
        assert model.roi_heads.box_predictor.cls_score.out_features == 5
    heads = default.roi_heads
    assert heads.box_head.fc6.weight.shape == (1024, 256 * 7 * 7)
    assert [m.out_channels for m in heads.mask_head.modules() if hasattr(m, "out_channels")].count(
        256
    ) >= 4
    assert heads.fg_bg_sampler.batch_size_per_image == 512
    assert default.rpn._post_nms_top_n == {"training": 2000, "testing": 1000}
    assert small.roi_heads.fg_bg_sampler.batch_size_per_image == config.rois_per_image
    assert small.rpn._post_nms_top_n["training"] == config.rpn_proposals

    def shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
        return {name: p.shape for name, p in module.named_parameters()}

    assert ours.roi_heads.mask_branch is not None
    assert shapes(small.backbone) == shapes(ours.backbone)
    assert shapes(small.rpn) == shapes(ours.rpn)
    assert shapes(small.roi_heads.box_head) == shapes(ours.roi_heads.box_head)
    assert shapes(small.roi_heads.mask_head) == shapes(ours.roi_heads.mask_branch.head)


def test_command_measures_all_ways_on_the_same_scenes(tmp_path, monkeypatch, capsys):
    config = tiny_run(tmp_path, method="mask_rcnn").model_dump(mode="json")
    given = {"baseline": {k: v for k, v in config.items() if k not in ("out", "init")}}
    monkeypatch.setattr(frozen_backbone, "training_schedules", lambda profile: [])
    monkeypatch.setattr(frozen_backbone, "measured_models", lambda schedules, names: given)
    monkeypatch.setattr(frozen_backbone, "reference_on_lite0", lambda *_, **__: tiny_reference())
    parameters = {f"kept_{name}": 1 for name in ("rounds", "steps", "warm_up")}
    parameters |= {"kept_pictures": 4, "kept_batch": 2, "kept_foreground": 8}
    parameters |= {"speed_width": 96, "speed_height": 72, "speed_device": "cpu"}
    out = tmp_path / "frozen.json"
    places = ["--draw-in", str(tmp_path / "drawn"), "--out", str(out)]
    assert main([*options_of(parameters), *places]) == 0
    assert "maps, float32" in capsys.readouterr().out
    content = read_json(out)
    assert content["model"]["backbone"] == "lite0" and content["model"]["trainable_stages"] == 0
    assert content["kept"]["files"] == 2 * 4, "mirror images count"
    table = model_tables.frozen_table(content, resamples=20, seed=0)
    assert table["model"].tolist()[:4] == WAYS
    assert (table["images_per_second"] > 0).all()
    assert "Making 8 maps took" in frozen_line(content, table)
    assert readable(table)["model"].tolist()[3] == "here, from kept maps"
