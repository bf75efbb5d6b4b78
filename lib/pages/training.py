"""What a training run was told, and how it went."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.coco import CocoSet, Instance
from lib.models.config import PRIOR_SWITCHES
from lib.pages.style import FLAT, SEQUENCE, WIDTH
from lib.training.config import TrainConfig
from lib.training.log import Record
from lib.training.supervision import Supervision, supervision_of

LOSSES = {
    "loss_classifier": "class (box head)",
    "loss_box_reg": "box (box head)",
    "loss_mask": "mask",
    "loss_objectness": "objectness (RPN)",
    "loss_rpn_box_reg": "box (RPN)",
}
PAPER_B = {
    "weights": "ImageNet (MSRA's)",
    "weights_style": "caffe",
    "supervised": "voc or non_voc",
    "amp": "none",
}
"""What paper B's code has where the default of this study is another."""

PAPER_A = {
    "backbone": "resnet50",
    "fpn": "plain or direct",
    "box_head": "fc",
    "mask_layers": "4",
    "mask_per_class": "True",
    "norm": "none",
    "rois_per_image": "512",
    "min_size": "800, 600",
    "max_size": "1000",
    "iterations": "30000",
    "batch_size": "6",
    "optimizer": "sgd",
    "learning_rate": "0.005",
    "steps": "20000, 26000",
    "weight_decay": "0.0002",
}
"""What paper A says of its settings (Sec. 2.4), or takes over from Mask R-CNN with an FPN (heads,
sampling, optimiser: Sec. 2.1). Its Enhanced-FPN is taken to be ``direct``."""

PAPER_A_SMALL = PAPER_A | {"fpn": "plain", "learning_rate": "0.0075"}
"""The same for the small-object branch, a detector."""

NOT_SAID = "not said"

OURS = frozenset((
    "model", "annotations", "images", "out", "init", "method", "fresh_stages", "valid", "invalid",
    "empty", "device", "workers", "seed", "checkpoint_every", "log_every", "snapshots",
    "images_per_device", "maps", "maps_gib", "frozen_parts",
))  # fmt: skip
"""Settings that the paper has no counterpart of."""

VALID, INVALID = "valid, or the set's own", "invalid"
EMPTY, NONE_GIVEN = "invalid: empty", "none given"
MASK_KINDS = (VALID, INVALID, EMPTY, NONE_GIVEN)
"""What is known of an instance's mask."""

BACKGROUND = "box, and all of it background"
USES = {
    "learn": "box and mask",
    "box_only": "box only",
    "ignore": "ignored",
    "drop": "dropped: background",
}


def settings_table(config: TrainConfig, *, paper: Literal["A", "B"] = "B") -> pd.DataFrame:
    """Return the settings of a run beside a paper's.

    Paper B's are those of its Sec. 4.1 and of its official code: the defaults of
    :class:`~lib.training.config.TrainConfig` and :class:`~lib.models.config.ModelConfig`, or
    :data:`PAPER_B`. Paper A has no code: what neither it nor Mask R-CNN settles is "not said".
    Where run and paper differ, ``differs`` has a mark. The prior's switches are shown for a model
    that has a prior.
    """
    paper_a = PAPER_A if config.model.has_masks else PAPER_A_SMALL
    hidden = OURS if config.model.method == "opmask" else OURS.union(PRIOR_SWITCHES)
    rows = []
    for group, used in (("model", config.model), ("training", config)):
        for name, value in used.model_dump(mode="json").items():
            if name not in hidden:
                default = _text(type(used).model_fields[name].default)
                said = paper_a.get(name, NOT_SAID) if paper == "A" else PAPER_B.get(name, default)
                here = _text(value)
                differs = said != NOT_SAID and here not in said.split(" or ")
                rows.append((group, name, here, said, "≠" * differs))
    return pd.DataFrame(rows, columns=["group", "setting", "here", "paper", "differs"])


def use_table(coco_set: CocoSet, config: TrainConfig) -> pd.DataFrame:
    """Return what becomes of the instances of a training set, by what is known of their masks.

    Args:
        coco_set: the set that the run learns from.
        config: the run.

    Returns:
        Columns mask, instances, share (of all), use. Crowd regions are not counted.

    Raises:
        ValueError: if nothing is left to learn from.
    """
    supervision = supervision_of(config, coco_set)
    instances = [x for x in coco_set.all_instances() if not x.iscrowd]
    counts = Counter((_mask_kind(x), _use(x, supervision)) for x in instances)
    rows = [
        (kind, count, count / len(instances), use)
        for (kind, use), count in sorted(counts.items(), key=lambda x: MASK_KINDS.index(x[0][0]))
    ]
    return pd.DataFrame(rows, columns=["mask", "instances", "share", "use"])


def _use(instance: Instance, supervision: Supervision) -> str:
    use = supervision.of(instance)
    if use == "learn" and not supervision.reads_mask(instance):
        use = "box_only"
    return BACKGROUND if use == "learn" and not instance.has_mask else USES[use]


def _mask_kind(instance: Instance) -> str:
    if instance.pseudo is None:
        return VALID if instance.has_mask else NONE_GIVEN
    if instance.pseudo["valid"]:
        return VALID
    return INVALID if instance.has_mask else EMPTY


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
    iterations = int(frame["iteration"].iloc[-1])
    seconds = float((frame["iteration"].diff().fillna(frame["iteration"]) * frame["seconds"]).sum())
    memory = int(frame["max_mib"].max())
    return (
        f"{iterations:,} iterations, {iterations * batch_size:,} images seen, "
        f"{seconds / 60:.1f} min ({iterations * batch_size / seconds:.1f} images/s)"
        + (f", at most {memory:,} MiB on the GPU." if memory else ".")
    )
