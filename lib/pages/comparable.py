"""Which trained models may be compared: those of one backbone that find enough boxes.

And what a comparison rests on: how often each was trained.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from lib.metrics.seeds import FEWEST_SEEDS
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


def seeds_line(counts: Iterable[int]) -> str:
    """Return how often the compared models were trained, and what follows, as sentences.

    Args:
        counts: how often each was trained; of at least one.
    """
    found = list(counts)
    least, most = min(found), max(found)
    if most < FEWEST_SEEDS:
        return (
            "Every model was trained once: intervals are over images alone, and nothing is judged, "
            "since another training would differ too, often as much as other images."
        )
    times = f"{least}" if least == most else f"{least} to {most}"
    once = " What was trained once is not judged." if least < FEWEST_SEEDS else ""
    return (
        f"Every model was trained {times} times with other random numbers: numbers are means over "
        f"these seeds, intervals over seeds and images.{once}"
    )


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
