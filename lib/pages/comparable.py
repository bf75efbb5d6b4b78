"""Which trained models may be compared: those of one backbone that find enough boxes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from lib.models.config import ModelConfig


def one_backbone(configs: Iterable[ModelConfig], *, step: str) -> str:
    """Return the one backbone of all models.

    Args:
        configs: the settings of each.
        step: the notebook that trains them, for the message.

    Raises:
        ValueError: if they differ: then nothing can be compared.
    """
    names = {config.backbone for config in configs}
    if len(names) > 1:
        raise ValueError(
            f"The compared models have different backbones ({', '.join(sorted(names))}); train "
            f"all of them with the same one: python run_all.py --from {step}"
        )
    return names.pop()


def reaches(boxes: pd.DataFrame, floor: float) -> bool:
    """Return whether every model detects well enough for claims to be judged.

    Args:
        boxes: of these models, with a column ``box_AP50`` in points of 100.
        floor: the least box AP50, as a fraction of 1.
    """
    return bool((boxes["box_AP50"] >= 100 * floor).all())


def floor_line(boxes: pd.DataFrame, floor: float, name: Callable[[Mapping[Any, Any]], str]) -> str:
    """Return the answer of :func:`reaches` as a sentence, with the ``name`` of the worst model."""
    lowest = boxes.sort_values("box_AP50", na_position="first").iloc[0].to_dict()
    answer = "yes" if reaches(boxes, floor) else "NO"
    return (
        f"Box AP50 of at least {100 * floor:.0f} for every compared model: {answer}, the lowest is "
        f"{lowest['box_AP50']:.1f} ({name(lowest)})."
    )
