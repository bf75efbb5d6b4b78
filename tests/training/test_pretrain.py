"""Pre-training on cut-outs: boxes stay on their objects, and runs can be repeated."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from lib.files import read_json, write_json
from lib.training.cutouts import cut_out, jitter, look
from lib.training.pretrain import PretrainConfig, main, pretrain
from lib.training.train import train
from tests.fixtures.models import tiny_config
from tests.fixtures.training import draw_set, equal, tiny_run, weights


def settings(folder, **changes) -> PretrainConfig:
    content = {
        "model": tiny_config("faster_rcnn"),
        "annotations": str(folder / "set" / "annotations.json"),
        "images": str(folder / "set" / "images"),
        "out": str(folder / "pretrained.pt"),
        "iterations": 3,
        "batch_size": 4,
        "sizes": (32, 48),
        "device": "cpu",
    }
    return PretrainConfig.model_validate(content | changes)


def test_boxes_of_views_lie_on_their_objects(drawn):
    """The drawn set gives each class a colour; only what a later object hides may lack it."""
    cut_outs = cut_out(drawn, seed=0)
    objects = torch.where(cut_outs.labels > 0)[0]
    for seed in range(5):  # other moves, scales and mirrorings
        generator = torch.Generator().manual_seed(seed)
        views = look(cut_outs, objects, size=64, generator=generator)
        seen = 0
        for image, box, label in zip(views.images, views.boxes, views.labels, strict=True):
            x, y = ((box[:2] + box[2:]) / 2).int().tolist()
            k = int(label) - 1
            colour = torch.tensor([120.0, 200 - 30 * k, 40 * k + 60])
            seen += float((image[:, y, x] * 255 - colour).abs().max()) < 12
        assert seen / len(objects) > 0.7


def test_background_patches_avoid_the_objects(drawn):
    cut_outs = cut_out(drawn, seed=0)
    assert 0 < int((cut_outs.labels == 0).sum()) <= len(drawn.all_instances()) // 2
    centres = cut_outs.pictures[cut_outs.labels == 0][:, :, 48, 48].float().numpy()
    plain = np.abs(centres - 90).max(1) < 3  # the drawn set's background
    assert plain.mean() > 0.7


def test_jittered_rois_keep_at_least_half_of_their_box():
    corner = torch.rand(500, 2) * 50
    boxes = torch.cat([corner, corner + 5 + 60 * torch.rand(500, 2)], 1)
    rois = jitter(boxes, torch.Generator().manual_seed(0))
    assert float(box_iou(boxes, rois).diagonal().min()) > 0.5
    assert not torch.equal(rois, boxes)


def test_same_settings_give_the_same_weights_and_are_not_run_twice(drawn, tmp_path, capsys):
    one = pretrain(settings(tmp_path))
    other = pretrain(settings(tmp_path, out=str(tmp_path / "other.pt")))
    assert equal(weights(one), weights(other))
    written = one.stat().st_mtime_ns
    pretrain(settings(tmp_path))
    assert "is there already" in capsys.readouterr().out
    assert one.stat().st_mtime_ns == written


def test_detector_starts_from_the_pretrained_weights(drawn, tmp_path, capsys):
    model = pretrain(settings(tmp_path))
    train(tiny_run(tmp_path, method="faster_rcnn", init=str(model), iterations=1))
    assert "started from" in capsys.readouterr().out


def test_set_without_boxes_and_wrong_settings_are_sentences(tmp_path, capsys):
    draw_set(tmp_path / "set")
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    write_json(path, {**content, "annotations": []})
    write_json(tmp_path / "config.json", settings(tmp_path).model_dump(mode="json"))
    assert main([str(tmp_path / "config.json")]) == 2
    assert "nothing to pre-train on" in capsys.readouterr().err
    write_json(tmp_path / "config.json", {"iterations": 0})
    assert main([str(tmp_path / "config.json")]) == 2
    assert "not a pre-training configuration" in capsys.readouterr().err


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norm_layers_do_not_decay(drawn, tmp_path, optimizer):
    from lib.training.schedule import build_optimizer
    from tests.fixtures.models import tiny_model

    model = tiny_model()
    built = build_optimizer(tiny_run(tmp_path, optimizer=optimizer, weight_decay=0.1), model)
    decaying = {id(p) for g in built.param_groups if g["weight_decay"] for p in g["params"]}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert id(module.weight) not in decaying, name
        if isinstance(module, torch.nn.Conv2d):
            assert id(module.weight) in decaying, name
