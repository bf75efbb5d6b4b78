"""From settings to a model."""

import torch

from lib.models import lite0
from lib.models.backbones import load_weights
from lib.models.config import ModelConfig
from lib.models.detector import Detector, build_detector
from lib.models.mask_rcnn import build_mask_rcnn
from lib.models.opmask import build_opmask


def build_model(config: ModelConfig, *, num_classes: int) -> Detector:
    """Return the model of ``config.method`` for ``num_classes`` classes, with random weights.

    Background is not counted among the classes. Weights lie channels last, as convolutions on
    both CPUs and GPUs work fastest.
    """
    builders = {
        "faster_rcnn": build_detector,
        "mask_rcnn": build_mask_rcnn,
        "opmask": build_opmask,
    }
    model = builders[config.method](config, num_classes=num_classes)
    return model.to(memory_format=torch.channels_last)


def load_backbone(model: Detector, config: ModelConfig) -> None:
    """Fill the backbone with the pre-trained weights that ``config`` names, if any.

    Raises:
        FileNotFoundError, ValueError, ConnectionError: see
            :func:`lib.models.backbones.load_weights`.
    """
    if config.backbone == "lite0":
        lite0.load(model.backbone.body)
    elif config.weights != "none":
        load_weights(
            model.backbone,
            weights=config.weights,
            style=config.weights_style,
            depth=config.resnet_depth,
            fresh_stages=config.fresh_stages,
        )
