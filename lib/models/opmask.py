"""OPMask (paper B, Sec. 3): the baseline with the object mask prior in its mask features."""

from lib.models.config import ModelConfig
from lib.models.detector import Detector
from lib.models.mask_rcnn import build_mask_rcnn
from lib.models.prior import ObjectMaskPrior


def build_opmask(config: ModelConfig, *, num_classes: int) -> Detector:
    """Return OPMask for ``num_classes`` classes (background not counted)."""
    model = build_mask_rcnn(config, num_classes=num_classes)
    assert model.roi_heads.mask_branch is not None
    model.roi_heads.mask_branch.prior = ObjectMaskPrior(
        norm=config.prior_norm,
        scale=config.prior_scale,
        fusion=config.prior_fusion,
        weights=config.prior_weights,
        gradient=config.prior_gradient,
    )
    return model
