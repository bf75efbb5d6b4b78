"""What paper B's models detect, and whether that is enough for claims on their masks.

A mask AP says something of masks only where objects are found. ``boxes`` are rows of
:func:`box_table`, a ``floor`` is the least box AP50 as a fraction of 1.
"""

import pandas as pd

from lib.opmask.predictions import (
    METHODS,
    NAMES,
    SETTINGS,
    TITLES,
    Models,
    Predictions,
    Results,
    mean_value,
)
from lib.pages import comparable


def box_table(results: Results, models: Models) -> pd.DataFrame:
    """Return what every model detects: box AP and AP50 over all classes, in points.

    Columns variant, method, direction, backbone, box_AP, box_AP50 (means over seeds), seeds; in the
    order of the tables.
    """
    lines = [
        {
            "variant": variant,
            "method": models[variant].method,
            "direction": models[variant].setting,
            "backbone": models[variant].config.backbone,
            "box_AP": 100 * mean_value(of, "AP"),
            "box_AP50": 100 * mean_value(of, "AP50"),
            "seeds": len(of),
        }
        for variant, of in sorted(results.items(), key=lambda item: _order(models[item[0]]))
    ]
    columns = ["variant", "method", "direction", "backbone", "box_AP", "box_AP50", "seeds"]
    return pd.DataFrame(lines, columns=columns)


def _order(model: Predictions) -> tuple[int, int, str]:
    settings, methods = ["none", *SETTINGS.values()], list(NAMES)
    return settings.index(model.setting), methods.index(model.method), model.variant


def compared(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the baselines and OPMasks, which nearly all claims compare."""
    return boxes[boxes["method"].isin(METHODS)]


def reaching(boxes: pd.DataFrame, floor: float) -> frozenset[str]:
    """Return the variants that detect well enough for claims on them to be judged."""
    return frozenset(boxes.loc[boxes["box_AP50"] >= 100 * floor, "variant"])


def floor_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return whether all of some models detect well enough for claims, as a sentence.

    Args:
        boxes: of these models, such as from :func:`compared`.
    """
    if boxes.empty:
        return "No baseline and no OPMask was trained, so there is nothing to compare."
    return comparable.floor_line(
        boxes, floor, lambda row: f"{NAMES[row['method']]}, {TITLES[row['direction']]}"
    )
