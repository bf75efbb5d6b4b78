"""Settings that contradict each other, or would have no effect, are sentences."""

import pytest

from lib.models.config import ModelConfig
from tests.fixtures.models import LITE0

FOUR = {"anchor_sizes": (16, 32, 64, 128)}
OF_PRIOR = {"prior_norm": "sigmoid", "prior_scale": 4.0, "prior_from": "refined"}
ALL = {"trainable_stages": 0, "frozen_parts": ("fpn",)}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "opmask", "min_size": (500,), "max_size": 400}, "cannot exceed"),
        ({"method": "opmask", "box_channels": ()}, "at least one number"),
        ({"method": "opmask", "backbone": "lite0", **FOUR}, "set weights to 'imagenet'"),
        ({"method": "opmask", **LITE0, "fresh_stages": ("layer4",)}, "fresh_stages empty"),
        ({"method": "opmask", **LITE0, "anchor_sizes": (8, 16)}, "lite0 has 4 .*found 2"),
        ({"method": "opmask", **FOUR}, "resnet50 has 5 pyramid levels.*found 4"),
        ({"method": "opmask", **LITE0, "frozen_parts": ("fpn",)}, "found 3 stages that learn"),
        ({"method": "opmask", "frozen_parts": ("fpn",), "trainable_stages": 0}, "found 5 stages"),
        (
            {"method": "opmask", **LITE0, **ALL, "fpn": "direct"},
            "plain FPN; found 0 stages that learn and 'direct'",
        ),
        ({"method": "opmask", "box_head": "fc"}, "box_head 'conv'"),
        ({"method": "opmask", "mask_per_class": True}, "class agnostic"),
        ({"method": "opmask", "prior_gradient": False, "prior_weights": "attached"}, "change one"),
        ({"method": "opmask", "prior_scale": 0.0}, "prior_scale"),
        ({"method": "faster_rcnn", "mask_rois": "gt_boxes"}, "no mask branch"),
        *(
            ({"method": method, name: value}, f"{name}.*{method} has no prior")
            for method in ("mask_rcnn", "faster_rcnn")
            for name, value in OF_PRIOR.items()
        ),
    ],
)
def test_settings_without_sense_are_sentences(settings, said):
    with pytest.raises(ValueError, match=said):
        ModelConfig.model_validate(settings)
