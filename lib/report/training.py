"""What a training run was told, and how it went."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.engine.config import TrainConfig
from lib.engine.log import Record
from lib.evaluation.coco_ap import APResult
from lib.models.config import ModelConfig
from lib.report.style import FLAT, SEQUENCE, WIDTH

LOSSES = {
    "loss_classifier": "class (box head)",
    "loss_box_reg": "box (box head)",
    "loss_mask": "mask",
    "loss_objectness": "objectness (RPN)",
    "loss_rpn_box_reg": "box (RPN)",
}
PAPER = {
    "weights": "ImageNet (MSRA's)",
    "weights_style": "caffe",
    "supervised": "voc or non_voc",
    "amp": "none",
}
"""What the paper's code has where the default of this study is another."""

OURS = frozenset(
    (
        *("model", "annotations", "images", "out", "init", "method", "fresh_stages"),
        *("device", "workers", "seed", "checkpoint_every", "log_every"),
    )
)
"""Settings that the paper has no counterpart of."""


def settings_table(config: TrainConfig) -> pd.DataFrame:
    """Return the settings of a run beside the paper's.

    The paper's are those of paper B, Sec. 4.1, and of its official code: the defaults of
    :class:`~lib.engine.config.TrainConfig` and :class:`~lib.models.config.ModelConfig`, or
    :data:`PAPER`. Where the two differ, ``differs`` has a mark.
    """
    rows = []
    for group, used, model in (
        ("model", config.model, ModelConfig),
        ("training", config, TrainConfig),
    ):
        for name, value in used.model_dump(mode="json").items():
            if name not in OURS:
                paper = PAPER.get(name) or _text(model.model_fields[name].default)
                here = _text(value)
                differs = here not in paper.split(" or ")
                rows.append(
                    {
                        "group": group,
                        "setting": name,
                        "here": here,
                        "paper": paper,
                        "differs": "≠" if differs else "",
                    }
                )
    return pd.DataFrame(rows)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def curves(records: Sequence[Record]) -> Figure:
    """Return a figure of each loss over the iterations, and of the learning rate."""
    frame = pd.DataFrame(records)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, FLAT), width_ratios=[2.2, 1])
    for colour, (name, label) in zip(SEQUENCE, LOSSES.items(), strict=False):
        if name in frame and frame[name].any():
            left.plot(frame["iteration"], frame[name], color=colour, label=label)
    left.set(title="Losses", xlabel="iteration", ylabel="loss", yscale="log")
    left.legend(ncols=2)
    right.plot(frame["iteration"], frame["lr"], color=SEQUENCE[0])
    right.set(title="Learning rate", xlabel="iteration", ylim=(0, None))
    right.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    return figure


def cost_line(records: Sequence[Record], batch_size: int) -> str:
    """Return one sentence on what a run cost, from its metrics."""
    frame = pd.DataFrame(records)
    steps = frame["iteration"].diff().fillna(frame["iteration"])
    seconds = float((steps * frame["seconds"]).sum())
    images = int(frame["iteration"].iloc[-1]) * batch_size
    memory = int(frame["max_mib"].max())
    return (
        f"{int(frame['iteration'].iloc[-1]):,} iterations, {images:,} images seen, "
        f"{seconds / 60:.1f} min ({images / seconds:.1f} images/s)"
        + (f", at most {memory:,} MiB on the GPU." if memory else ".")
    )


def box_line(boxes: APResult, *, enough_from: float) -> str:
    """Return one sentence on whether a model finds enough objects for its masks to be judged."""
    reached = boxes.value("AP50")
    verdict = "enough" if reached >= enough_from else "NOT enough"
    return (
        f"Box AP50 is {reached:.1%} on the validation set, {verdict} to compare masks "
        f"(from {enough_from:.0%})."
    )
