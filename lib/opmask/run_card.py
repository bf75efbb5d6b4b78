"""What a trained model of paper B is called: the card that its step leaves beside it."""

from typing import Any

from lib.data.categories import Categories
from lib.training.config import TrainConfig

GROUPS = ("ablation", "list", "r101")
"""First parts of variants that are no method."""


def run_card(variant: str, config: TrainConfig, categories: Categories) -> dict[str, Any]:
    """Return what tells a run from others.

    Args:
        variant: of the step, such as ``opmask.voc.seed0`` or ``ablation.concat.seed0``.
        config: the run.
        categories: of the set.

    Returns:
        ``variant``; ``method``, the variant's first part, in a group the second, and of an
        ablation ``opmask`` or ``baseline``; ``split``, the name of the supervised classes,
        ``list`` for a list, ``none`` for a model without masks; ``supervised``, their names;
        ``model``, its settings; ``iterations``, how long it was trained.
    """
    group, *rest = variant.split(".")
    method = rest[0] if group in GROUPS and rest else group
    if group == "ablation":
        method = "opmask" if config.model.method == "opmask" else "baseline"
    split = config.supervised if isinstance(config.supervised, str) else "list"
    labels = categories.split(config.supervised) if config.model.has_masks else frozenset()
    return {
        "variant": variant,
        "method": method,
        "split": split if config.model.has_masks else "none",
        "supervised": [categories.name_of(label) for label in sorted(labels)],
        "model": config.model.model_dump(mode="json"),
        "iterations": config.iterations,
    }
