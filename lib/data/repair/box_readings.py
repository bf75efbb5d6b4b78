"""How the boxes of a set are written: COCO's xywh in pixels, or corners, centres or fractions.

COCO's own reading is kept unless it makes many boxes leave their image and exactly one other
reading puts every box inside. A few boxes are no evidence, unless areas tell what is meant.
"""

from typing import Literal, NamedTuple

import numpy as np

from lib.data.validation import ROUNDING

MANY = 0.25
"""Share of boxes outside their image from which another reading is looked for."""

EVIDENCE = 3
"""Boxes outside their image that tell of another reading; where there are only two, both."""

FEW, SOME = 4, 10
"""Boxes below which areas decide between readings; from which most being outside is refused."""

LEAST_SIDE = 8
"""Pixels of the longer side from which boxes within 0..1 are fractions, no boxes of a pixel."""

Form = Literal["xywh", "corners", "centres"]


class Reading(NamedTuple):
    """A way to read the four numbers of each box, and a doubt if none can be chosen."""

    form: Form = "xywh"
    fractions: bool = False
    doubt: str = ""

    @property
    def is_coco(self) -> bool:
        """Whether this is what COCO says: xywh in pixels."""
        return self.form == "xywh" and not self.fractions

    def __str__(self) -> str:
        forms = {"xywh": "xywh", "corners": "corners (xyxy)", "centres": "centres and sizes"}
        return f"{forms[self.form]} in {'fractions of the image' if self.fractions else 'pixels'}"

    def corners(self, boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return ``xyxy`` in pixels [N, 4] of boxes in this form; sizes are (width, height)."""
        if self.fractions:
            boxes = boxes * np.hstack([sizes, sizes])
        if self.form == "corners":
            return boxes
        low = boxes[:, :2] - (boxes[:, 2:] / 2 if self.form == "centres" else 0)
        return np.hstack([low, low + boxes[:, 2:]])


def reading_of(boxes: np.ndarray, sizes: np.ndarray, areas: np.ndarray) -> Reading:
    """Return how the boxes of a set are written.

    Args:
        boxes: their four numbers as the file has them, [N, 4]; rows that are not finite, or of no
            width or height, say nothing.
        sizes: (width, height) of their images, [N, 2]; NaN where unknown.
        areas: the areas that the file gives, [N]; NaN or 0 where it gives none.
    """
    fine = np.isfinite(boxes).all(axis=1) & np.isfinite(sizes).all(axis=1)
    fine &= (boxes[:, 2:] > 0).all(axis=1)
    boxes, sizes, areas = boxes[fine], sizes[fine], areas[fine]
    if not len(boxes):
        return Reading()
    small = bool((boxes >= 0).all() and (boxes <= 1).all() and (boxes % 1 != 0).any())
    fractions = small and bool((sizes.max(axis=1) >= LEAST_SIDE).all())
    # fractions are rounded to few digits, so they may stick out by more
    slack = ROUNDING + 0.01 * fractions * sizes.max(axis=1, keepdims=True)

    def outside(form: Form) -> np.ndarray:
        corners = Reading(form, fractions).corners(boxes, sizes)
        out = (corners[:, :2] < -slack).any(axis=1) | (corners[:, 2:] > sizes + slack).any(axis=1)
        return out | (corners[:, 2:] <= corners[:, :2]).any(axis=1)

    out = outside("xywh")
    share = out.mean()
    usual = Reading("xywh", fractions)
    if share < MANY:
        return usual
    # centres are YOLO's, in fractions; in pixels any box that is cut off could be one
    others: tuple[Form, ...] = ("corners", "centres") if fractions else ("corners",)
    fitting = [Reading(form, fractions) for form in others if not outside(form).any()]
    said = f"{share:.0%} of {len(boxes)} boxes leave their image as {usual}"
    if not fitting:
        many = len(boxes) >= SOME and share > 0.5
        doubt = f"{said}, and no other reading fits, as if the pictures had another size"
        return usual._replace(doubt=doubt if many else "")
    told = areas > 0
    agree = [
        bool(told.any()) and _agree(one.corners(boxes, sizes)[told], areas[told])
        for one in (usual, *fitting)
    ]
    few = out.sum() < EVIDENCE and (len(boxes) > 2 or not out.all())
    if (len(boxes) < FEW and agree[0]) or (few and not any(agree[1:])):
        return usual
    if len(fitting) == 2 and agree[1] != agree[2]:
        fitting, agree = [fitting[agree.index(True, 1) - 1]], [agree[0], True]
    if len(fitting) == 2 or agree[0] or (len(boxes) == 1 and not agree[1]):
        fit = " and as ".join(map(str, fitting))
        return usual._replace(doubt=f"{said} and fit as {fit}; which one is meant is not clear")
    return fitting[0]


def _agree(corners: np.ndarray, areas: np.ndarray) -> bool:
    """Return whether areas are those of most boxes, within two percent."""
    own = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    return bool((np.abs(own - areas) <= 0.02 * areas).mean() >= 0.5)
