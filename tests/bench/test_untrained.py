"""Untrained models that are as busy as trained ones."""

import pytest
import torch
from torchvision.ops import FrozenBatchNorm2d, box_iou

from lib.bench.untrained import keep_busy, settle
from lib.models.backbones import resnet_fpn
from tests.bench.test_torchvision_reference import tiny_reference
from tests.fixtures.models import images_and_targets, tiny_model

BOXES = [[0.1, 0.1, 0.4, 0.5], [0.5, 0.3, 0.9, 0.8], [0.2, 0.6, 0.4, 0.9]]


def test_settled_norms_give_maps_of_mean_0_and_variance_1():
    torch.manual_seed(0)
    backbone = resnet_fpn(depth=50, fpn_channels=8)
    picture = torch.randn(1, 3, 96, 128)
    wild = backbone(picture)["3"].abs().max()
    settle(backbone, picture)
    outputs = []
    last = [m for m in backbone.body.layer3.modules() if isinstance(m, FrozenBatchNorm2d)][-1]
    last.register_forward_hook(
        lambda module, inputs, output: outputs.append(output.detach().clone())
    )
    tame = backbone(picture)["3"].abs().max()
    assert outputs[0].mean((0, 2, 3)).abs().max() < 1e-3
    assert float(outputs[0].var((0, 2, 3)).mean()) == pytest.approx(1, abs=0.05)
    assert tame < wild


@pytest.mark.parametrize(("make", "wanted"), [(tiny_reference, 60), (tiny_model, 20)])
def test_training_gets_as_much_foreground_as_asked_and_no_more_proposals(make, wanted):
    def sampled(wanted: int) -> tuple[int, int]:
        model = make().train()
        seen: list[torch.Tensor] = []
        if wanted:
            keep_busy(model, foreground=wanted, boxes=BOXES)
        sample = model.roi_heads.assign_targets_to_proposals

        def note(proposals, boxes, labels):
            found = sample(proposals, boxes, labels)
            seen.append(torch.stack([(x > 0).sum() for x in found[1]]))
            seen.append(torch.tensor([len(p) for p in proposals]))
            return found

        model.roi_heads.assign_targets_to_proposals = note
        images, targets = images_and_targets(count=2)
        for target in targets:
            target["masks"] = torch.zeros(3, 64, 80, dtype=torch.uint8)
        torch.manual_seed(1)
        model(images, targets)
        return int(seen[0].min()), int(seen[1].max())

    before, proposals = sampled(0)
    after, as_many = sampled(wanted)
    assert before < 0.6 * wanted
    assert after >= 0.9 * wanted and as_many == proposals


@pytest.mark.parametrize("make", [tiny_reference, tiny_model])
def test_inference_finds_the_given_boxes(make):
    model = make().eval()
    keep_busy(model, foreground=0, boxes=BOXES)
    (found, _) = model([torch.rand(3, 64, 80), torch.rand(3, 80, 64)])
    assert len(found["boxes"]) == len(BOXES)
    wanted = torch.tensor(BOXES) * torch.tensor([80, 64, 80, 64])
    assert box_iou(found["boxes"], wanted).max(1).values.min() > 0.95
    assert len(set(found["labels"].tolist())) == len(BOXES)
