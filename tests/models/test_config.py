"""Settings that contradict each other, or would have no effect, are sentences."""

import pytest

from lib.models.config import ModelConfig


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "opmask", "min_size": (500,), "max_size": 400}, "cannot exceed"),
        ({"method": "opmask", "box_channels": ()}, "at least one number"),
        ({"method": "opmask", "backbone": "small", "weights": "imagenet"}, "no pre-trained"),
        ({"method": "opmask", "box_head": "fc"}, "box_head 'conv'"),
        ({"method": "opmask", "mask_per_class": True}, "class agnostic"),
        ({"method": "opmask", "prior_gradient": False, "prior_weights": "attached"}, "change one"),
        ({"method": "faster_rcnn", "mask_rois": "gt_boxes"}, "no mask branch"),
        *(
            ({"method": method, name: value}, f"{name}.*{method} has no prior")
            for method in ("mask_rcnn", "faster_rcnn")
            for name, value in [("prior_norm", "sigmoid"), ("prior_from", "refined")]
        ),
    ],
)
def test_settings_without_sense_are_sentences(settings, said):
    with pytest.raises(ValueError, match=said):
        ModelConfig.model_validate(settings)
