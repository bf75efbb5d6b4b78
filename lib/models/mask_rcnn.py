"""Paper B's baseline, "Our Mask R-CNN" (Sec. 4.1): class agnostic, OPMask's heads, no prior."""

from lib.models.config import ModelConfig
from lib.models.detector import Detector, build_detector, roi_pool
from lib.models.heads import agnostic_mask_head
from lib.models.mask_branch import MaskBranch


def build_mask_rcnn(config: ModelConfig, *, num_classes: int) -> Detector:
    """Return the baseline for ``num_classes`` classes (background not counted)."""
    head, predictor = agnostic_mask_head(
        config.fpn_channels,
        channels=config.mask_channels,
        layers=config.mask_layers,
        norm=config.norm,
    )
    branch = MaskBranch(roi_pool=roi_pool(14), head=head, predictor=predictor)
    return build_detector(config, num_classes=num_classes, mask_branch=branch)
