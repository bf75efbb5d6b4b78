"""Further tables of paper A's results: boxes, what the fusion keeps, best overlaps, mask IoU.

As in :mod:`lib.hybridnet.tables`: tidy, in points of 100, small is below 64x64 pixels.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from lib.data.coco import CocoSet, Result, load
from lib.hybridnet.fusion import FusionSettings, fuse
from lib.hybridnet.tables import AREAS, LESS, MOST, SCORE_FROM
from lib.hybridnet.trained import DRAWN_BY, REQUIRED, STEP, VARIANTS, Methods, Runs
from lib.masks.quality import SMALL_SIDE
from lib.metrics import abo
from lib.metrics.coco_ap import evaluate
from lib.metrics.mask_iou import COLUMNS, iou_on_boxes, mean_iou, mean_iou_difference
from lib.pages.tables import points
from lib.paths import resolve
from lib.training.config import TrainConfig, load_config
from lib.training.supervision import supervision_of

if TYPE_CHECKING:
    from lib.workspace import Workspace

SIZES = ("all", "small", "large")
ON_ALL_MASKS = "ablation.all"
MASK_PAIRS = (("large_branch", "baseline"), ("pixel_level", "large_branch"))


def box_table(val: CocoSet, runs: Runs) -> pd.DataFrame:
    """Return what every model detects: box AP over all classes and by size, in points.

    As in COCO's own code, an object's size is that of its mask, also where boxes are judged.

    Columns variant, box_AP, box_AP50, box_AP_S, box_AP_L.
    """
    labels = val.to_coco()
    lines = []
    for variant, run in runs.items():
        result = evaluate(labels, run.detections, iou_type="bbox", area_ranges=AREAS)
        values = {m: 100 * result.value(m) for m in ("AP", "AP50", "AP_S", "AP_L")}
        lines.append({"variant": variant} | {f"box_{m}": v for m, v in values.items()})
    return pd.DataFrame(lines)


def with_schedule(boxes: pd.DataFrame, workspace: "Workspace") -> pd.DataFrame:
    """Return :func:`box_table` with how long each run learnt, after what it started from.

    Columns variant, iterations, images_seen, masks_learnt (instances whose mask trains it), then
    the other columns of ``boxes``.
    """
    lines = []
    labels: dict[str, CocoSet] = {}
    for row in boxes.to_dict("records"):
        variant = row.pop("variant")
        config = load_config(workspace.input(f"{STEP}.{variant}", "config.json"))
        seen = config.iterations * config.batch_size
        given = {
            "variant": variant,
            "iterations": config.iterations,
            "images_seen": seen,
            "masks_learnt": masks_learnt(config, labels),
        }
        lines.append(given | row)
    return pd.DataFrame(lines)


def single_branch(runs: Runs, learnt: pd.DataFrame) -> tuple[Sequence[Result], str]:
    """Return the detections of Fig. 5's single branch, and what it is, for the caption.

    In the paper it is the large branch trained on all masks, invalid ones too (Sec. 3.4). Where
    that was not run, the baseline stands in, whose pyramid is plain.

    Args:
        runs: from :func:`lib.hybridnet.trained.read_runs`.
        learnt: from :func:`with_schedule`.
    """
    if ON_ALL_MASKS not in runs:
        why = "the baseline, since the large branch was not trained on all masks here"
        return runs["baseline"].detections, why
    seen = learnt.set_index("variant")["images_seen"]
    own, usual = int(seen[ON_ALL_MASKS]), int(seen["large"])
    schedule = f", after {own:,} images, not {usual:,} as the others" * (own != usual)
    what = f"the large branch trained on all masks{schedule}"
    return runs[ON_ALL_MASKS].detections, what


def masks_learnt(config: TrainConfig, opened: dict[str, CocoSet]) -> int:
    """Return how many instances' masks a run learns from; ``opened`` keeps the sets it read."""
    place = config.annotations
    if place not in opened:
        opened[place] = load(resolve(place), None, check_images="none")
    supervision = supervision_of(config, opened[place])
    return sum(supervision.reads_mask(x) for x in opened[place].all_instances())


def size_line(val: CocoSet) -> str:
    """Return one sentence on how many objects are small by their mask and not by their box."""
    judged = [x for x in val.all_instances() if x.has_mask and not x.iscrowd]
    small = [x for x in judged if x.area < SMALL_SIDE**2]
    large_box = sum((x.box[2] - x.box[0]) * (x.box[3] - x.box[1]) >= SMALL_SIDE**2 for x in small)
    return (
        f"Of {len(judged):,} objects with a mask, {len(small):,} are small by the area of their "
        f"mask; of these, {large_box:,} are large by the area of their box."
    )


def reaches(boxes: pd.DataFrame, floor: float) -> bool:
    """Return whether every model of the tables detects well enough for claims to be judged.

    Args:
        boxes: from :func:`box_table`.
        floor: the least box AP50, as a fraction of 1.
    """
    return bool((_compared(boxes)["box_AP50"] >= 100 * floor).all())


def floor_line(boxes: pd.DataFrame, floor: float) -> str:
    """Return the answer of :func:`reaches` as a sentence."""
    lowest = _compared(boxes).sort_values("box_AP50", na_position="first").iloc[0]
    answer = "yes" if reaches(boxes, floor) else "NO"
    return (
        f"Box AP50 of at least {100 * floor:.0f} for every compared model: {answer}, the lowest is "
        f"{lowest['box_AP50']:.1f} ({lowest['variant']})."
    )


def _compared(boxes: pd.DataFrame) -> pd.DataFrame:
    return boxes[boxes["variant"].isin(REQUIRED)]


def branch_table(methods: Methods, fusion: FusionSettings, *, score_from: float) -> pd.DataFrame:
    """Return where the hybrid's detections come from.

    Args:
        methods: from :func:`lib.hybridnet.trained.rows`.
        fusion: the settings that the hybrid was fused with.
        score_from: score from which a detection counts as confident.

    Returns:
        Columns size (``small`` or ``large``, as the fusion understands it), branch, mask (drawn
        by the mask head, GrabCut or as a shape), offered (detections of that branch), kept (of
        these, in the hybrid), confident (of the kept ones).
    """
    offered = [
        *({**d, "branch": "large"} for d in methods["large_branch"]),
        *({**d, "branch": "small"} for d in methods["small_branch"]),
    ]
    kept = methods["hybrid"]
    counts = {
        "offered": _places(offered, fusion),
        "kept": _places(kept, fusion),
        "confident": _places([d for d in kept if d["score"] >= score_from], fusion),
    }
    lines = [
        {"size": size, "branch": branch, "mask": mask}
        | {name: count[size, branch, mask] for name, count in counts.items()}
        for size, branch in itertools.product(("small", "large"), ("large", "small"))
        for mask in DRAWN_BY.values()
        if counts["offered"][size, branch, mask]
    ]
    columns = ["size", "branch", "mask", *counts]
    return pd.DataFrame(lines, columns=columns)


def _places(detections: Sequence[Result], fusion: FusionSettings) -> Counter[tuple[str, str, str]]:
    """Count detections by size, branch and who drew the mask."""
    numbered = [{**detection, "number": n} for n, detection in enumerate(detections)]
    # Where nothing competes, the fusion keeps what is small of the small branch, and only that.
    small = {detection["number"] for detection in fuse([], numbered, fusion)}
    return Counter(
        ("small" if d["number"] in small else "large", d["branch"], DRAWN_BY[d.get("shape", "")])
        for d in numbered
    )


def abo_table(
    best: Mapping[str, pd.DataFrame], methods: Methods, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return the average best overlap of every method by each definition of it.

    Args:
        best: from :func:`lib.hybridnet.tables.overlaps`.
        methods: the detections that they were made from.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns method, detections (that were looked at: ABO never falls with more of them),
        definition (see `lib.metrics.abo`), ours, ci_low, ci_high; points of 100.
    """
    lines = []
    for method, frame in best.items():
        per_image = Counter(d["image_id"] for d in methods[method] if d["score"] >= SCORE_FROM)
        kept = sum(min(count, MOST) for count in per_image.values())
        for definition in get_args(abo.Definition):
            interval = abo.abo_interval(
                frame, definition=definition, resamples=resamples, seed=seed
            )
            line = {"method": method, "detections": kept, "definition": definition}
            lines.append(line | points(interval))
    return pd.DataFrame(lines)


def by_definition(table: pd.DataFrame) -> pd.DataFrame:
    """Return one line per method for people, with a column for each definition.

    Args:
        table: from :func:`abo_table`.
    """
    lines = []
    for (method, kept), part in table.groupby(["method", "detections"], sort=False):
        values = dict(zip(part["definition"], part["ours"], strict=True))
        lines.append({"method": method, "detections": kept} | values)
    return pd.DataFrame(lines)


def masks_on_boxes_frame(val: CocoSet, runs: Runs) -> pd.DataFrame:
    """Return the IoU of every mask predicted on a ground-truth box, for the models with masks.

    Columns method, size (of the true mask: ``small`` below 64x64 pixels) and those of
    :func:`lib.metrics.mask_iou.iou_on_boxes`.
    """
    frames = []
    for method, variant in VARIANTS.items():
        masks = runs[variant].masks_on_boxes
        if masks is not None:
            frame = iou_on_boxes(val, masks)
            small = frame["area"] < SMALL_SIDE**2
            frame.insert(0, "size", small.map({True: "small", False: "large"}))
            frame.insert(0, "method", method)
            frames.append(frame)
    columns = ["method", "size", *COLUMNS]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def mask_iou_table(frame: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the mean mask IoU on ground-truth boxes with intervals and paired differences.

    Args:
        frame: from :func:`masks_on_boxes_frame`.
        resamples: bootstrap resamples, over images.
        seed: of the resamples.

    Returns:
        Columns method, size (``all`` too), instances, ours, ci_low, ci_high; points of 100.
    """
    drawn: dict[str, Any] = {"resamples": resamples, "seed": seed}
    lines = []
    for size in SIZES:
        rows = frame if size == "all" else frame[frame["size"] == size]
        of = {m: rows[rows["method"] == m] for m in dict.fromkeys(frame["method"])}
        intervals = {method: mean_iou(part, **drawn) for method, part in of.items()}
        for first, second in MASK_PAIRS:
            if first in of and second in of:
                difference = mean_iou_difference(of[first], of[second], **drawn)
                intervals[first + LESS + second] = difference
        count = max((len(part) for part in of.values()), default=0)
        lines += [
            {"method": method, "size": size, "instances": count, **points(interval)}
            for method, interval in intervals.items()
        ]
    columns = ["method", "size", "instances", "ours", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)
