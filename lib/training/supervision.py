"""What becomes of a set's instances in training, and which of their masks may be used."""

from dataclasses import dataclass

from lib.data.coco import CocoSet, Instance
from lib.masks.rle import area
from lib.training.config import Empty, TrainConfig, Use


@dataclass(frozen=True)
class Supervision:
    """What becomes of instances in training; see :class:`lib.training.config.TrainConfig`.

    Attributes:
        supervised: labels whose masks may be used.
        valid: what becomes of an instance with a valid pseudo-mask, a true one or none.
        invalid: what becomes of an instance with an invalid pseudo-mask.
        empty: what an empty pseudo-mask is: no mask, or one that is all background.
    """

    supervised: frozenset[int]
    valid: Use = "learn"
    invalid: Use = "learn"
    empty: Empty = "no_mask"

    def of(self, instance: Instance) -> Use:
        """Return what becomes of an instance; crowd regions are dropped."""
        if instance.iscrowd:
            return "drop"
        pseudo = instance.pseudo or {}
        return self.valid if pseudo.get("valid", True) else self.invalid

    def reads_mask(self, instance: Instance) -> bool:
        """Return whether the instance has a mask that may be used."""
        if self.of(instance) != "learn" or instance.label not in self.supervised:
            return False
        if instance.pseudo is not None and self.empty == "background":
            return True
        code = instance.segmentation
        return bool(area(code, *code["size"]) if isinstance(code, dict) else code)


def supervision_of(config: TrainConfig, coco: CocoSet) -> Supervision:
    """Return what the configuration makes of a set's instances.

    Masks are for models that predict masks: without, none is read.

    Raises:
        ValueError: if it leaves nothing to learn from, or a mask branch without a class.
    """
    supervised = coco.categories.split(config.supervised)
    if config.model.has_masks and not supervised:
        names = list(coco.categories.names)
        raise ValueError(
            f"train.supervised is {config.supervised!r}, and none of the set's {len(names)} "
            f"classes ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}) is among them, "
            "so the mask branch has no class to learn from. Name another split or a list of the "
            "set's classes, or train a model without masks (method 'faster_rcnn')."
        )
    supervision = Supervision(
        supervised=supervised if config.model.has_masks else frozenset(),
        valid=config.valid,
        invalid=config.invalid,
        empty=config.empty,
    )
    instances = [i for i in coco.all_instances() if not i.iscrowd]
    if instances and all(supervision.of(i) in ("ignore", "drop") for i in instances):
        raise ValueError(
            f"All {len(instances):,} instances are ignored or dropped (train.valid is "
            f"{config.valid!r}, train.invalid {config.invalid!r}), so there is nothing to learn. "
            "Choose 'learn' or 'box_only' for a kind of instance that the set has, or name the "
            "step in the profile's leave_out."
        )
    return supervision


def mask_line(coco: CocoSet, supervision: Supervision) -> str:
    """Return how many instances have a mask that may be used, and which classes have none."""
    instances = [i for i in coco.all_instances() if not i.iscrowd]
    with_mask = [i.label for i in instances if supervision.reads_mask(i)]
    line = f"{len(with_mask):,} of {len(instances):,} instances have a mask to learn from"
    if not with_mask:
        return f"WARNING: {line}; the mask branch will learn nothing"
    lacking = (supervision.supervised & coco.categories.labels).difference(with_mask)
    if not lacking:
        return line
    names = ", ".join(map(coco.categories.name_of, sorted(lacking)))
    return (
        f"{line}. WARNING: none of these is of {names}, whose masks may be used (train.supervised) "
        "but are not there"
    )
