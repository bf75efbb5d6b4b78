"""Model files: round trips, and which model may start from which."""

from typing import get_args

import pytest
import torch

from lib.models.build import build_model
from lib.models.config import FpnKind
from lib.models.weights import read_tensors
from lib.training import checkpoint
from lib.training.checkpoint import initialise, load_model, save_model
from tests.fixtures.models import images_and_targets, tiny_config, truth_of

ENHANCED = [kind for kind in get_args(FpnKind) if kind != "plain"]


def a_file(folder, categories, *, method="faster_rcnn", **changes):
    config = tiny_config(method, **changes)
    torch.manual_seed(1)
    path = folder / "model.pt"
    save_model(path, build_model(config, num_classes=4), config, categories, run="x")
    return path


def started(path, categories, **changes):
    """A new model that starts from a file, what it was before, and what it has of the file."""
    torch.manual_seed(2)
    config = tiny_config("mask_rcnn", **changes)
    model = build_model(config, num_classes=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model, before, initialise(model, config, path, categories)


@pytest.mark.parametrize(
    "changes",
    [{"fpn": kind} for kind in get_args(FpnKind)]
    + [{"box_head": "fc", "fc_channels": 8, "mask_per_class": True, "norm": "none"}],
    ids=lambda c: "-".join(map(str, c.values())),
)
def test_model_file_gives_the_model_that_was_saved(drawn, tmp_path, changes):
    config = tiny_config("mask_rcnn", **changes)
    torch.manual_seed(0)
    model = build_model(config, num_classes=4).eval()
    save_model(tmp_path / "model.pt", model, config, drawn.categories, run="x")
    loaded = load_model(tmp_path / "model.pt")
    assert loaded.config == config
    images, targets = images_and_targets()
    truth = truth_of(targets)
    for one, other in zip(
        model.masks_on_boxes(images, truth), loaded.model.masks_on_boxes(images, truth), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ENHANCED)
def test_enhanced_model_starts_from_a_plain_detector(drawn, tmp_path, kind):
    path = a_file(tmp_path, drawn.categories)
    model, fresh, copied = started(path, drawn.categories, fpn=kind)
    theirs = load_model(path).model.state_dict()
    assert copied == (len(theirs), "", False)
    for name, tensor in model.state_dict().items():
        added = "extra_blocks" in name or "mask_branch" in name
        assert torch.equal(tensor, fresh[name] if added else theirs[name])


@pytest.mark.parametrize(
    ("start", "own"), [("direct", "plain"), ("direct", "control"), ("lateral", "direct")]
)
def test_model_of_another_pyramid_is_refused_with_what_to_do(drawn, tmp_path, start, own):
    path = a_file(tmp_path, drawn.categories, fpn=start)
    with pytest.raises(ValueError, match=f"'{start}'.*'{own}'.*plain one, or set model.fpn"):
        started(path, drawn.categories, fpn=own)


@pytest.mark.parametrize(
    "changes",
    [
        {"box_channels": (8, 12)},
        {"norm": "none"},
        {"fpn_channels": 12},
        {"box_head": "fc", "fpn_channels": 12},
    ],
)
def test_other_missing_weights_are_still_an_error(drawn, tmp_path, changes):
    path = a_file(tmp_path, drawn.categories)
    with pytest.raises(ValueError, match="use the same backbone, channels, box head and norm"):
        started(path, drawn.categories, fpn="direct", **changes)


@pytest.mark.parametrize(("theirs", "own"), [("conv", "fc"), ("fc", "conv")])
def test_box_head_of_another_kind_starts_fresh_and_all_else_as_the_file_has_it(
    drawn, tmp_path, theirs, own
):
    path = a_file(tmp_path, drawn.categories, box_head=theirs, fc_channels=8)
    changes = {"box_head": own, "fc_channels": 8, "norm": "none", "mask_layers": 4}
    model, before, copied = started(path, drawn.categories, **changes)
    given = load_model(path).model.state_dict()
    fresh = {k for k in before if "box_head" in k or "box_predictor" in k}
    kept = fresh | {k for k in before if "mask_branch" in k}
    assert copied == (len(before.keys() - kept), "the box head, of another kind", False)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name] if name in kept else given[name])


@pytest.mark.parametrize(("theirs", "own"), [("bn", "gn"), ("gn", "syncbn")])
def test_normalisation_of_another_kind_starts_fresh_behind_copied_convolutions(
    drawn, tmp_path, theirs, own
):
    path = a_file(tmp_path, drawn.categories, norm=theirs)
    with torch.no_grad():
        content = read_tensors(path)
        for name, tensor in content["state"].items():
            if ".box_head." in name and tensor.is_floating_point():
                tensor.fill_(3)
        checkpoint.save(path, content)
    model, before, copied = started(path, drawn.categories, norm=own)
    assert copied.fresh == "the box head's normalisation"
    head = {k: v for k, v in model.state_dict().items() if ".box_head." in k}
    for name, tensor in head.items():
        is_convolution = tensor.dim() == 4
        assert torch.equal(tensor, torch.full_like(tensor, 3) if is_convolution else before[name])


def test_file_whose_weights_are_of_another_version_is_a_sentence(drawn, tmp_path):
    path = a_file(tmp_path, drawn.categories)
    content = read_tensors(path)
    name, tensor = content["state"].popitem()
    checkpoint.save(path, content | {"state": content["state"] | {f"{name}_old": tensor}})
    with pytest.raises(ValueError, match=r"written by another version.*Train the model again"):
        load_model(path)


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_one_changed_byte_of_a_weight_is_noticed(drawn, tmp_path, place):
    path = a_file(tmp_path, drawn.categories)
    assert checkpoint.is_of(path, "x")
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.pt"):
        read_tensors(path)
    assert not checkpoint.is_of(path, "x")
