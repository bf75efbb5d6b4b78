"""What pseudo-masks cost: the fast method beside GrabCut on the whole image, in one run.

``python -m lib.bench.masks --annotations FILE --images DIR --out speed.json`` measures two things
on boxes of a set, and compiles nothing while the clock runs:

- time and masks: GrabCut on the whole image with two seeds, and the fast method, in turns, box by
  box, on one core (`lib.masks.trials.trial`);
- memory: each method in a fresh process (`lib.bench.mask_memory`).

`lib.bench.mask_tables` makes tables of it.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from lib.bench.mask_memory import peaks
from lib.bench.program import add_out, with_sentences, write
from lib.data.coco import CocoSet
from lib.data.label_options import add_on_bad, open_labels
from lib.masks.grabcut.exact import GrabCutSettings
from lib.masks.grabcut.segmenter import warm_up
from lib.masks.trials import EXACT, FAST, OTHER_SEED, sample, trial
from lib.paths import display
from lib.progress import printer
from lib.workers import worker_count

PROGRAM = "lib.bench.masks"

MEMORY_IMAGES = 3
"""Memory is measured on the images of so many of the largest boxes, and on so many of the largest
images: the peak of the whole set is among them."""


def measure(coco_set: CocoSet, *, boxes: int, iterations: int, seed: int) -> dict[str, Any]:
    """Measure both methods on a set and return what the JSON file holds.

    Args:
        coco_set: the boxes and where their images are.
        boxes: how many are tried one by one; 0 for all.
        iterations: of GrabCut.
        seed: base seed, of masks and of the draw.

    Returns:
        ``set`` (the file, images, boxes, mean pixels of an image), ``settings``, ``machine``,
        ``compile_seconds``, ``cores_used`` (processor time by the clock while boxes were tried: 1
        if that was on one core and nothing disturbed it), ``rows`` (see
        `lib.masks.trials.trial`) and ``memory`` (see `lib.bench.mask_memory.peaks`).

    Raises:
        ValueError: if the set has no box, or a number is out of range.
    """
    exact = GrabCutSettings(iterations=iterations, method=EXACT)
    fast = replace(exact, method=FAST)
    instances = sample(coco_set, boxes, seed=seed)
    compiling = warm_up(fast)
    runs = {EXACT: (exact, seed), OTHER_SEED: (exact, seed + 1), FAST: (fast, seed)}
    clock, processor = time.perf_counter(), time.process_time()
    frame = trial(coco_set, instances, runs, on_progress=printer())
    busy = (time.process_time() - processor) / (time.perf_counter() - clock)
    largest = frame.groupby("image_id")[["box_area", "image_area"]].max()
    orders = ("box_area", ["image_area", "box_area"])
    images = {i for order in orders for i in largest.nlargest(MEMORY_IMAGES, order).index}
    large = [x for x in instances if x.image_id in images]
    return {
        "set": {
            "annotations": display(coco_set.annotations_path),
            "images": int(frame["image_id"].nunique()),
            "boxes": len(instances),
            "image_pixels": float(frame.groupby("image_id")["image_area"].first().mean()),
        },
        "settings": {"iterations": iterations, "seed": seed},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": worker_count(0),
            "opencv": cv2.__version__,
        },
        "compile_seconds": compiling,
        "cores_used": busy,
        "rows": frame.astype(object).where(frame.notna(), None).to_dict("records"),
        "memory": peaks(coco_set, large, {EXACT: exact, FAST: fast}, seed=seed),
    }


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both methods as the command line says."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}",
        description="Measure the fast method beside GrabCut on the whole image, in one run.",
    )
    add = parser.add_argument
    add("--annotations", type=Path, required=True, help="COCO-format JSON with boxes")
    add("--images", type=Path, required=True, help="folder of the images that it names")
    add_out(parser, PROGRAM, place=Path)
    add("--boxes", type=int, default=0, help="tried one by one; 0: all (default)")
    add("--iterations", type=int, default=5, help="GrabCut iterations (default: 5)")
    add("--seed", type=int, default=0, help="base seed (default: 0)")
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    amounts = {n: getattr(options, n) for n in ("boxes", "iterations", "seed")}
    coco_set = open_labels(options, options.annotations, options.images)
    write(options.out, PROGRAM, measure(coco_set, **amounts))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
