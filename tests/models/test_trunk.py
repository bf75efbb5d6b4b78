"""The trunk: what a frozen backbone sees of a picture is the same for ever."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from lib.models.build import build_model, load_backbone
from lib.models.detector import Detector, build_backbone
from lib.models.trunk import Seen, together
from tests.fixtures.models import FROZEN, images_and_targets, tiny_config, truth_of

PYRAMID = {**FROZEN, "frozen_parts": ("fpn", "rpn")}


def a_model(method: str = "opmask", **changes: object) -> Detector:
    config = tiny_config(method, **(FROZEN | changes))
    torch.manual_seed(0)
    model = build_model(config, num_classes=4)
    load_backbone(model, config)
    return model


def seen(model: Detector, picture: Tensor) -> Seen:
    found = model.look(picture)
    assert all(x.dtype == torch.float16 for x in found.maps.values())
    return found


def same(one: Seen, other: Seen) -> bool:
    return one[1:] == other[1:] and all(
        torch.equal(one.maps[name], other.maps[name]) for name in (*one.maps, *other.maps)
    )


def test_picture_is_seen_alone_in_single_precision_in_training_or_not():
    model = a_model()
    model.eval()
    pictures = [torch.rand(3, 64, 80), torch.rand(3, 40, 90)]
    plain = [seen(model, picture) for picture in pictures]
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        again = [seen(model, picture) for picture in pictures]
    assert all(map(same, plain, again))
    assert (plain[1].before, plain[1].after) == ((40, 90), (42, 96))
    assert plain[1].maps["0"].shape[1:] == (64 // 8, 96 // 8)


def test_maps_are_those_of_the_padded_picture_in_torchvisions_size():
    model = a_model().eval()
    picture = torch.rand(3, 50, 70)
    batch, _ = model.transform([picture])
    found = seen(model, picture)
    assert [found.after] == batch.image_sizes
    with torch.no_grad():
        for name, wanted in model.backbone.body(batch.tensors).items():
            torch.testing.assert_close(
                found.maps[name].float(), wanted[0], rtol=2e-3, atol=2e-3, check_stride=False
            )


def test_maps_of_several_lie_in_the_corner_of_zeros_wherever_they_came_from():
    small = torch.arange(12.0).reshape(2, 2, 3).half()
    large = torch.ones(2, 3, 2, dtype=torch.float16)
    strange = small.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # other strides
    wanted = torch.zeros(2, 2, 3, 3)
    wanted[0, :, :2, :3], wanted[1, :, :3, :2] = small.float(), 1
    for one in (small, strange):
        pictures = [Seen({"0": one}, (9, 9), (60, 90)), Seen({"0": large}, (9, 9), (96, 33))]
        maps, size = together(pictures)
        assert torch.equal(maps["0"], wanted) and size == (96, 96)
        assert maps["0"].is_contiguous(memory_format=torch.channels_last)


def assert_same(found: list[dict[str, Tensor]], wanted: list[dict[str, Tensor]]) -> None:
    assert found and any(len(one["boxes"]) for one in found)
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
def test_model_without_a_trunk_detects_as_torchvision_does():
    settings = {"score_threshold": 0.0, "trainable_stages": 1}
    model = a_model(**settings).eval()
    images = [torch.rand(3, 64, 80), torch.rand(3, 50, 90)]
    assert_same(model(images), GeneralizedRCNN.forward(model, images))


@torch.no_grad()
@pytest.mark.parametrize("settings", [FROZEN, PYRAMID], ids=["body", "pyramid"])
def test_model_with_a_trunk_detects_as_torchvision_does_up_to_half_precision(settings):
    model = a_model(**settings, score_threshold=0.0).eval()
    images = [torch.rand(3, 50, 90)]
    own, theirs = model(images), GeneralizedRCNN.forward(model, images)
    best = [result[0]["boxes"][:1] for result in (own, theirs)]
    torch.testing.assert_close(*best, rtol=0, atol=0.5)
    masks = [result[0]["mask_probs"][:1] for result in (own, theirs)]
    torch.testing.assert_close(*masks, rtol=0, atol=0.05)


@pytest.mark.parametrize("settings", [FROZEN, PYRAMID], ids=["body", "pyramid"])
def test_what_was_seen_stands_for_the_picture_wherever_pictures_are_given(settings):
    model = a_model(**settings, score_threshold=0.0)
    images, targets = images_and_targets()
    images[1] = images[1][:, :60, :70]
    targets = [{**target, "seed": 3} for target in targets]  # type: ignore[dict-item]
    mixed = [model.look(images[0]), images[1]]
    losses = [model.train()(given, targets) for given in (images, mixed)]
    assert losses[0] == losses[1]
    model.eval()
    with torch.no_grad():
        assert_same(model(images), model(mixed))
    for ask in (model.masks_on_boxes, model.cams_on_boxes):
        for one, other in zip(*(ask(x, truth_of(targets)) for x in (images, mixed)), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("settings", [FROZEN, PYRAMID], ids=["body", "pyramid"])
def test_what_is_frozen_stays_as_it_is_in_training(settings):
    model = a_model(**settings).train()
    parts = (
        (model.backbone.body, model.backbone.fpn) if settings is PYRAMID else (model.backbone.body,)
    )
    fixed = [module for part in parts for module in part.modules()]
    before = {name: x.clone() for name, x in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    images, targets = images_and_targets()
    sum(model(images, targets).values()).backward()
    optimizer.step()
    assert not any(module.training for module in fixed)
    assert all(p.grad is None and not p.requires_grad for part in fixed for p in part.parameters())
    after = model.state_dict()
    changed = {n.rpartition(".")[0] for n, x in before.items() if not torch.equal(x, after[n])}
    fixed_names = ("backbone.", "rpn.") if settings is PYRAMID else ("backbone.body.",)
    assert changed and not any(name.startswith(fixed_names) for name in changed)
    assert settings is PYRAMID or any(name.startswith("backbone.fpn") for name in changed)


def test_statistics_of_fresh_frozen_stages_stay_too():
    changes = {"weights": "some.pth", "fresh_stages": ("layer4",), "trainable_stages": 0}
    five = {"backbone": "resnet50", "anchor_sizes": (8, 16, 32, 64, 128)}
    body = build_backbone(tiny_config(**five, **changes)).train().body
    assert any(isinstance(module, nn.BatchNorm2d) for module in body.modules())
    assert not any(module.training for module in body.modules())


def test_model_with_several_sizes_has_no_trunk_and_trains():
    model = a_model(min_size=(48, 64)).train()
    images, targets = images_and_targets()
    assert not model.has_trunk and model.seen(images) == images
    assert all(torch.isfinite(x) for x in model(images, targets).values())


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 23), (20, 31)])
def test_pictures_smaller_than_a_cell_are_padded_to_one(height, width):
    model = a_model(min_size=(16,), max_size=24, score_threshold=0.0).eval()
    picture = torch.rand(3, height, width)
    found = seen(model, picture)
    assert [tuple(x.shape[1:]) for x in found.maps.values()] == [(4, 4), (2, 2), (1, 1)]
    (result,) = model([picture])
    assert len(result["boxes"]) == len(result["mask_probs"]) > 0
    assert (result["boxes"] <= torch.tensor([width, height] * 2) + 1e-3).all()
