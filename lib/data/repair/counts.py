"""What was changed in labels while they were opened: a count and the first ids for each kind."""

import logging
from collections.abc import Mapping
from typing import Any

from lib.data.numbers import shown

log = logging.getLogger(__name__)

REPAIRS: Mapping[str, str] = {
    "info_no_object": "info that is no object, kept as info.original",
    "category_root": (
        "categories without annotations that others name as their supercategory, left out"
    ),
    "category_repeated": "equal entries of one category, counted once",
    "field_unwritable": "fields that no JSON file can hold (NaN, infinity, nested too deeply), "
    "left out",
    "field_unreadable": "values of area or pseudo that mean nothing, left out",
    "number_as_text": "numbers written as text or with decimals, read as numbers",
    "name_no_text": "category names that are numbers, read as text",
    "image_id_renumbered": "image ids that are missing or no integers, numbered anew",
    "image_by_name": "annotations that name their image by its file, given its id",
    "category_id_renumbered": "category ids that are missing or no integers, numbered anew",
    "category_by_name": "annotations that name their category, given its id",
    "annotation_id_renumbered": (
        "annotation ids that are missing, repeated or no integers, numbered anew"
    ),
    "box_from_mask": "missing or empty boxes, taken from the mask",
    "placeholder": "annotations with neither box nor mask, left out",
    "box_clipped": "boxes that reach outside their image, clipped",
    "mask_form": "masks in another form than COCO's (flat list, pairs of points, RLE in a list, "
    "a part of fewer than three points, numbers as text), read as what they mean",
    "mask_empty": "masks without a pixel in their image, taken for no mask",
    "mask_beside_box": "masks that do not touch their box, kept: see which of the two is right",
}
"""The kinds of changes, as messages name them. The last one changes nothing and only warns."""


class Repairs:
    """The changes of one set, by kind."""

    def __init__(self) -> None:
        self._ids: dict[str, list[Any]] = {}

    def add(self, kind: str, *ids: Any) -> None:
        """Note a change of ``kind`` for each of these ids (or names, where there is no id)."""
        if ids:
            self._ids.setdefault(kind, []).extend(ids)

    @property
    def counts(self) -> dict[str, int]:
        """The number of changes by kind, in the order of ``REPAIRS``."""
        return {kind: len(self._ids[kind]) for kind in REPAIRS if kind in self._ids}

    def said(self, kind: str) -> str:
        """Return the number and the meaning of one kind, or nothing if there is none."""
        return f"{self.counts[kind]} {REPAIRS[kind]}" if kind in self._ids else ""

    def warn(self, name: str) -> None:
        """Log one warning for each kind, with the number and the first ids."""
        for kind, number in self.counts.items():
            first = ", ".join(map(shown, self._ids[kind][:3])) + (", ..." if number > 3 else "")
            log.warning("%s: %d %s (%s)", name, number, REPAIRS[kind], first)
