"""Categories: ids as files have them, labels as models have them, names, and class splits.

A category *id* is whatever a COCO-format file says (COCO's own run from 1 to 90, with gaps). A
*label* is contiguous: 1..K in the order of the ids; 0 is background. The splits are those of
paper B (Sec. 4.1): the 20 VOC classes, the 60 other COCO classes, and the list of 40 classes of
the authors' code.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lib.data.numbers import shown

COCO_CLASSES: tuple[tuple[int, str], ...] = (
    (1, "person"), (2, "bicycle"), (3, "car"), (4, "motorcycle"), (5, "airplane"), (6, "bus"),
    (7, "train"), (8, "truck"), (9, "boat"), (10, "traffic light"), (11, "fire hydrant"),
    (13, "stop sign"), (14, "parking meter"), (15, "bench"), (16, "bird"), (17, "cat"),
    (18, "dog"), (19, "horse"), (20, "sheep"), (21, "cow"), (22, "elephant"), (23, "bear"),
    (24, "zebra"), (25, "giraffe"), (27, "backpack"), (28, "umbrella"), (31, "handbag"),
    (32, "tie"), (33, "suitcase"), (34, "frisbee"), (35, "skis"), (36, "snowboard"),
    (37, "sports ball"), (38, "kite"), (39, "baseball bat"), (40, "baseball glove"),
    (41, "skateboard"), (42, "surfboard"), (43, "tennis racket"), (44, "bottle"),
    (46, "wine glass"), (47, "cup"), (48, "fork"), (49, "knife"), (50, "spoon"), (51, "bowl"),
    (52, "banana"), (53, "apple"), (54, "sandwich"), (55, "orange"), (56, "broccoli"),
    (57, "carrot"), (58, "hot dog"), (59, "pizza"), (60, "donut"), (61, "cake"), (62, "chair"),
    (63, "couch"), (64, "potted plant"), (65, "bed"), (67, "dining table"), (70, "toilet"),
    (72, "tv"), (73, "laptop"), (74, "mouse"), (75, "remote"), (76, "keyboard"),
    (77, "cell phone"), (78, "microwave"), (79, "oven"), (80, "toaster"), (81, "sink"),
    (82, "refrigerator"), (84, "book"), (85, "clock"), (86, "vase"), (87, "scissors"),
    (88, "teddy bear"), (89, "hair drier"), (90, "toothbrush"),
)  # fmt: skip
"""The 80 classes of COCO 2017: category id and name."""

VOC_NAMES: tuple[str, ...] = (
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorcycle", "person", "potted plant", "sheep", "couch",
    "train", "tv",
)  # fmt: skip
"""The 20 classes of PASCAL VOC, in VOC's order and COCO's spelling."""

OFFICIAL_40_EXTRA: tuple[str, ...] = (
    "traffic light", "fire hydrant", "bench", "giraffe", "backpack", "umbrella", "handbag",
    "skateboard", "fork", "apple", "sandwich", "orange", "hot dog", "donut", "toilet", "laptop",
    "toaster", "clock", "scissors", "toothbrush",
)  # fmt: skip
"""The 20 classes that the 40-class list of paper B's official code adds to VOC's."""

SPLIT_NAMES: tuple[str, ...] = ("all", "none", "voc", "non_voc", "official_40")

_COCO_SPELLING: Mapping[str, str] = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


def canonical(name: str) -> str:
    """Return ``name`` in lower case, with spaces for underscores, and in COCO's spelling."""
    plain = " ".join(name.casefold().replace("_", " ").split())
    return _COCO_SPELLING.get(plain, plain)


_NAMED_SPLITS: Mapping[str, frozenset[str]] = {
    "voc": frozenset(VOC_NAMES),
    "official_40": frozenset(VOC_NAMES + OFFICIAL_40_EXTRA),
}


class Category(NamedTuple):
    """One class as a COCO-format file names it."""

    id: int
    name: str


@dataclass(frozen=True, eq=False)
class Categories:
    """The classes of a set, ordered by id; label ``k`` is the k-th of them, counted from 1.

    Args:
        categories: the classes, in any order.
        extras: further fields of a category's entry in the file (supercategory, keypoints, ...), by
            id. They are carried along: sets that differ in them alone have equal categories.

    Raises:
        ValueError: if an id or a name occurs twice.
    """

    categories: Sequence[Category]
    extras: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    _label: dict[int, int] = field(init=False, repr=False)
    _by_name: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(Category(int(c[0]), str(c[1])) for c in self.categories))
        label = {category.id: k for k, category in enumerate(ordered, start=1)}
        by_name = {category.name: k for k, category in enumerate(ordered, start=1)}
        if len(label) < len(ordered) or len(by_name) < len(ordered):
            repeated = _repeated([c.id for c in ordered]) + _repeated([c.name for c in ordered])
            raise ValueError(
                f"Every category needs its own id and its own name; repeated: "
                f"{shown(repeated)}. "
                "Rename or merge them in the annotation file."
            )
        object.__setattr__(self, "categories", ordered)
        object.__setattr__(self, "_label", label)
        object.__setattr__(self, "_by_name", by_name)

    @classmethod
    def from_coco(cls, categories: Iterable[Mapping[str, Any]]) -> "Categories":
        """Build from the ``categories`` list of a COCO-format file."""
        listed = list(categories)
        extras = {
            int(c["id"]): {key: value for key, value in c.items() if key not in ("id", "name")}
            for c in listed
        }
        return cls([Category(int(c["id"]), str(c["name"])) for c in listed], extras)

    def to_coco(self) -> list[dict[str, Any]]:
        """Return the ``categories`` list of a COCO-format file."""
        return [{"id": c.id, "name": c.name, **self.extras.get(c.id, {})} for c in self.categories]

    @property
    def ids(self) -> tuple[int, ...]:
        """Category ids, ascending; ``ids[label - 1]`` is the id of a label."""
        return tuple(c.id for c in self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the labels; ``names[label - 1]`` is the name of a label."""
        return tuple(c.name for c in self.categories)

    @property
    def labels(self) -> frozenset[int]:
        """All labels, 1..K."""
        return frozenset(range(1, len(self) + 1))

    def __len__(self) -> int:
        return len(self.categories)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Categories) and self.categories == other.categories

    def __hash__(self) -> int:
        return hash(self.categories)

    def __contains__(self, category_id: object) -> bool:
        return category_id in self._label

    def label_of(self, category_id: int) -> int:
        """Return the label (1..K) of a category id.

        Raises:
            ValueError: if the set has no such category.
        """
        try:
            return self._label[category_id]
        except KeyError:
            raise ValueError(
                f"There is no category with id {category_id!r}, only {shown(list(self.ids))}."
            ) from None

    def id_of(self, label: int) -> int:
        """Return the category id of a label (1..K).

        Raises:
            ValueError: if the label is out of range.
        """
        return self._of_label(label).id

    def name_of(self, label: int) -> str:
        """Return the name of a label (1..K).

        Raises:
            ValueError: if the label is out of range.
        """
        return self._of_label(label).name

    def _of_label(self, label: int) -> Category:
        if not 1 <= label <= len(self):
            raise ValueError(f"Labels run from 1 to {len(self)} (0 is background), not {label}.")
        return self.categories[label - 1]

    def split(self, spec: str | Iterable[str]) -> frozenset[int]:
        """Return the labels of a class split.

        Args:
            spec: ``"all"``, ``"none"``, ``"voc"`` (the VOC classes that exist here), ``"non_voc"``
                (all others), ``"official_40"`` (those of the 40-class list that exist here), or a
                list of class names, each of which must exist. VOC's and COCO's spellings mean the
                same (``aeroplane`` is ``airplane``).

        Raises:
            ValueError: if the split or one of the listed names is unknown; the message gives the
                nearest right name.
        """
        if isinstance(spec, str):
            return self._named_split(spec)
        known = {canonical(name): label for name, label in self._by_name.items()}
        labels = set()
        for name in spec:
            if name not in self._by_name and canonical(name) not in known:
                raise ValueError(f"There is no class {name!r} in this set{_hint(name, self.names)}")
            labels.add(self._by_name.get(name) or known[canonical(name)])
        return frozenset(labels)

    def _named_split(self, spec: str) -> frozenset[int]:
        if spec not in SPLIT_NAMES:
            raise ValueError(
                f"There is no split {spec!r}; splits are {', '.join(SPLIT_NAMES)}, or a list of "
                f"class names{_hint(spec, SPLIT_NAMES)}"
            )
        if spec in ("all", "none"):
            return self.labels if spec == "all" else frozenset()
        members = _NAMED_SPLITS["voc" if spec == "non_voc" else spec]
        inside = {k for name, k in self._by_name.items() if canonical(name) in members}
        return self.labels - inside if spec == "non_voc" else frozenset(inside)


def _repeated(values: Sequence[Any]) -> list[Any]:
    return sorted({v for v in values if values.count(v) > 1})


def _hint(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "."
