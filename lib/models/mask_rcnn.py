"""Mask R-CNN: both papers' baseline, and the large branch of paper A (Sec. 2.1).

With the defaults it is paper B's "Our Mask R-CNN" (Sec. 4.1): class agnostic, OPMask's heads, no
prior. With ``box_head`` "fc", four mask layers, ``mask_per_class`` and no norm it is the original
(He et al., 2017), which paper A builds on.
"""

from lib.models.config import ModelConfig
from lib.models.detector import Detector, build_detector, roi_pool
from lib.models.heads import mask_parts
from lib.models.mask_branch import MaskBranch


def build_mask_rcnn(config: ModelConfig, *, num_classes: int) -> Detector:
    """Return the model for ``num_classes`` classes (background not counted)."""
    head, predictor = mask_parts(config, outputs=num_classes if config.mask_per_class else 1)
    branch = MaskBranch(
        roi_pool=roi_pool(config, 14),
        head=head,
        predictor=predictor,
        per_class=config.mask_per_class,
    )
    return build_detector(config, num_classes=num_classes, mask_branch=branch)
