"""Our evaluation beside pycocotools' own, in one process: ``python -m lib.bench.evaluation``.

Both judge the same detections: 100 on each of 5000 drawn images with as many objects and classes as
COCO's validation images have (or on the images of ``--annotations``). Half of them are objects of
the image, moved and scaled a little, the others shapes from elsewhere. What is timed starts with
labels and detections as a JSON file gives them and ends with COCO's twelve numbers, which must be
equal to the last digit. Who comes first changes with each round.
"""

import argparse
import contextlib
import gc
import io
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lib.bench.drawn_detections import Labels, Result, draw_detections, draw_labels
from lib.bench.program import in_turn, with_sentences
from lib.data.label_options import add_on_bad, open_labels
from lib.metrics.coco_ap import evaluate
from lib.metrics.coco_input import IouType, ground_truth
from lib.paths import resolve

Judge = Callable[[Labels, list[Result], IouType], list[float]]


def plain(labels: Labels, detections: list[Result], iou_type: IouType) -> list[float]:
    """Return COCO's twelve numbers as pycocotools alone computes them; NaN for its -1.

    Its code writes into ``labels`` and ``detections``.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = labels
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(detections), iou_type)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) if value > -1 else float("nan") for value in judge.stats]


def ours(labels: Labels, detections: list[Result], iou_type: IouType) -> list[float]:
    """Return COCO's twelve numbers as this study computes them."""
    return list(evaluate(labels, detections, iou_type=iou_type).coco_numbers.values())


JUDGES: dict[str, Judge] = {"pycocotools": plain, "ours": ours}


def compare(
    labels: Labels, detections: Sequence[Result], iou_type: IouType, *, rounds: int
) -> dict[str, Any]:
    """Return what both say and how long they take.

    Returns:
        ``iou_type``; ``ratio`` of the median seconds; ``numbers`` (twelve, by judge); ``equal``,
        to the last digit.
    """
    seconds: dict[str, list[float]] = {name: [] for name in JUDGES}
    numbers: dict[str, list[float]] = {}
    # pycocotools takes the box's area for a mask's if a detection has both
    drop = "bbox" if iou_type == "segm" else "segmentation"
    for turn in range(rounds):
        for name in in_turn(list(JUDGES), turn):
            own = labels | {"annotations": [dict(a) for a in labels["annotations"]]}
            found = [{k: v for k, v in d.items() if k != drop} for d in detections]
            gc.collect()
            start = time.perf_counter()
            numbers[name] = JUDGES[name](own, found, iou_type)
            seconds[name].append(time.perf_counter() - start)
            del own, found
            print(f"{iou_type}, round {turn + 1}: {name} {seconds[name][-1]:.1f} s", flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "iou_type": iou_type,
        "ratio": medians["pycocotools"] / medians["ours"],
        "numbers": numbers,
        "equal": bool(np.array_equal(numbers["pycocotools"], numbers["ours"], equal_nan=True)),
    }


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Judge as the command line says and return what `compare` finds of boxes or masks.

    Labels of one's own are given to both judges as `lib.metrics.coco_input.ground_truth` completes
    them: numbered from 1, with areas, and with a region where an instance lacks its mask.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit, or nothing is to be judged.
    """
    for name in ("images", "detections", "rounds"):
        if (number := getattr(options, name)) < 1:
            raise ValueError(f"--{name} is {number}: expected 1 or more.")
    if options.annotations:
        coco_set = open_labels(options, resolve(options.annotations))
        some = [x for x in coco_set.all_instances() if not x.iscrowd]
        if not some:
            raise ValueError(f"{coco_set.annotations_path} has no instance to judge.")
        if "segm" in options.iou_type and not any(x.has_mask for x in some):
            raise ValueError(
                f"None of the {len(some):,} instances in {coco_set.annotations_path} has a mask, "
                "so masks cannot be judged. Judge boxes: --iou-type bbox."
            )
        given = coco_set.to_coco()
        labels = {kind: ground_truth(given, iou_type=kind) for kind in options.iou_type}
    else:
        given = draw_labels(options.images, seed=options.seed)
        labels = dict.fromkeys(options.iou_type, given)
    detections = draw_detections(given, per_image=options.detections, seed=options.seed)
    images, objects = len(given["images"]), len(given["annotations"])
    print(f"{images} images, {objects} objects, {len(detections)} detections", flush=True)
    warm = draw_labels(5, seed=0)  # compiled functions compile at their first call
    for kind in options.iou_type:
        ours(warm, draw_detections(warm, per_image=1, seed=0), kind)
    return [compare(own, detections, kind, rounds=options.rounds) for kind, own in labels.items()]


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Time both judges; exit code 1 if their numbers differ."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.evaluation",
        description="Time our evaluation and pycocotools' own on the same detections.",
    )
    add = parser.add_argument
    add("--annotations", help="COCO-format labels; drawn without")
    add("--images", type=int, default=5000, help="drawn images")
    add("--detections", type=int, default=100, help="on each image")
    add("--iou-type", choices=get_args(IouType), nargs="+", default=["segm"])
    add("--rounds", type=int, default=2)
    add("--seed", type=int, default=0)
    add_on_bad(parser)
    results = measure(parser.parse_args(arguments))
    for row in results:
        same = "the same twelve numbers" if row["equal"] else "OTHER NUMBERS"
        print(f"{row['iou_type']}: {row['ratio']:.1f} times as fast, {same}")
    return 0 if all(row["equal"] for row in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
