"""Heads: fully connected box heads, masks per class, and no normalisation."""

import pytest
import torch
from torch import nn
from torchvision.ops import MultiScaleRoIAlign

from lib.models.config import ModelConfig
from lib.models.heads import mask_parts
from lib.models.mask_branch import MaskBranch
from tests.fixtures.models import CLASSES, images_and_targets, tiny_model, truth_of

ORIGINAL = {"box_head": "fc", "fc_channels": 12, "mask_per_class": True, "norm": "none"}


def test_original_heads_detect_and_segment_in_batches_as_one_by_one():
    model = tiny_model("mask_rcnn", **ORIGINAL).eval()
    model.roi_heads.score_thresh = 0.0
    model.roi_heads.detections_per_img = 7
    images, targets = images_and_targets(3)
    with torch.inference_mode():
        together, apart = model(images), [model([image])[0] for image in images]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(one["mask_probs"], other["mask_probs"], atol=1e-5, rtol=1e-4)
    truth = truth_of(targets)
    assert [m.shape for m in model.masks_on_boxes(images, truth)] == [(3, 28, 28)] * 3


class _Anything(MultiScaleRoIAlign):
    """RoI features that are given, whatever the boxes."""

    def __init__(self, features: torch.Tensor) -> None:
        super().__init__(["0"], 2, 2)
        self.features = features

    def forward(self, *_: object) -> torch.Tensor:
        return self.features


def test_mask_of_an_roi_is_that_of_its_own_class():
    torch.manual_seed(0)
    features = torch.randn(9, 3, 2, 2)
    predictor = nn.ConvTranspose2d(3, CLASSES, 2, 2)
    branch = MaskBranch(
        roi_pool=_Anything(features), head=nn.Identity(), predictor=predictor, per_class=True
    )
    labels = torch.tensor([1, 4, 2, 2, 3, 1, 4, 4, 1])
    logits = branch(
        {}, [], [], labels=labels, box_maps=torch.zeros(9), class_weights=torch.zeros(0)
    )
    for row in range(9):
        assert torch.equal(logits[row], predictor(features)[row, int(labels[row]) - 1])


@pytest.mark.parametrize("per_class", [True, False])
def test_mask_predictors_start_without_a_bias(per_class):
    torch.manual_seed(0)
    config = ModelConfig.model_validate({"method": "mask_rcnn", "mask_per_class": per_class})
    _, predictor = mask_parts(config, outputs=CLASSES if per_class else 1)
    biases = {n: p for n, p in predictor.named_parameters() if n.endswith("bias")}
    assert len(biases) == 2  # of the deconvolution and of the last layer
    assert all(not bias.any() for bias in biases.values())
    logits = predictor(torch.zeros(2, config.mask_channels, 14, 14))
    assert not logits.any()  # every pixel starts at one half where nothing is seen
