"""Masks for your own boxes: ``python -m lib.masks --annotations FILE --images DIR --out FILE``.

Exit codes: 0 done, 1 a worker died (start it again), 2 something in the input is wrong.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.data.coco import load
from lib.files import read_json
from lib.masks.grabcut import GrabCutSettings
from lib.masks.progress import duration, printer
from lib.masks.pseudo import SHARD_SIZE, generate
from lib.masks.quality import SMALL_SIDE, VALID_FROM
from lib.masks.shards import WorkerLostError

DESCRIPTION = """\
Make a mask for every box of a COCO-format file with GrabCut (OpenCV, whole image).

The output is the same file with masks: 'segmentation' (run lengths, [] where nothing was found),
'area', and 'pseudo': the seed, the IoU of the mask's tight box and the given box, and whether that
makes the mask valid. Masks of the input are not used and not copied. Crowd regions get no mask.

The work can be interrupted in any way: the same command continues it. The result does not depend
on the number of workers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = _parser().parse_args(arguments)
    start = time.monotonic()
    try:
        _check_output(options.out, options.annotations)
        # Decoding every image first costs little beside GrabCut and finds all damage at once.
        coco_set = load(
            options.annotations, options.images, on_bad=options.on_bad, check_images="decode"
        )
        generate(
            coco_set,
            settings=GrabCutSettings(iterations=options.iterations),
            seed=options.seed,
            workers=options.workers,
            out=options.out,
            valid_from=options.valid_from,
            shard_size=options.shard_size,
            on_progress=printer(),
        )
    except WorkerLostError as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: start the same command again to continue.", file=sys.stderr)
        return 130
    print(summary(read_json(options.out)))
    print(f"{options.out} written in {duration(time.monotonic() - start)}.")
    return 0


def summary(content: dict[str, Any]) -> str:
    """Return what is in a file of pseudo-masks: boxes, and the invalid share by size."""
    masked = [a for a in content["annotations"] if "pseudo" in a]
    small = [a for a in masked if _box_area(a) < SMALL_SIDE**2]
    large = [a for a in masked if _box_area(a) >= SMALL_SIDE**2]
    shares = ", ".join(
        f"{name} {_invalid_share(some)} of {len(some):,}"
        for name, some in (
            (f"small boxes (area < {SMALL_SIDE} x {SMALL_SIDE})", small),
            ("large boxes", large),
        )
        if some
    )
    crowd = len(content["annotations"]) - len(masked)
    notes = f" {crowd:,} crowd regions have no mask." if crowd else ""
    if not masked:
        return f"No box to make a mask for.{notes}"
    return f"{len(masked):,} boxes. Invalid: {_invalid_share(masked)} ({shares}).{notes}"


def _box_area(annotation: dict[str, Any]) -> float:
    return annotation["bbox"][2] * annotation["bbox"][3]


def _invalid_share(annotations: list[dict[str, Any]]) -> str:
    invalid = sum(not annotation["pseudo"]["valid"] for annotation in annotations)
    return f"{invalid / len(annotations):.1%}"


def _check_output(out: Path, annotations: Path) -> None:
    """Find out before hours of work, not after, that the result cannot be written."""
    if out.resolve() == annotations.resolve():
        raise ValueError("--out and --annotations are the same file; choose another --out.")
    if out.is_dir() or not out.suffix:
        raise ValueError(f"--out is {str(out)!r}: expected a file name such as masks.json.")
    out.parent.mkdir(parents=True, exist_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lib.masks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--annotations", type=Path, required=True, help="COCO-format JSON with boxes")
    add("--images", type=Path, required=True, help="folder of the images that it names")
    add("--out", type=Path, required=True, help="the COCO-format JSON to write")
    add("--workers", type=int, default=1, help="processes; 0: all cores (default: 1)")
    add("--iterations", type=int, default=5, help="GrabCut iterations (default: 5)")
    add("--seed", type=int, default=0, help="base seed (default: 0)")
    add(
        "--valid-from",
        type=float,
        default=VALID_FROM,
        help="box IoU, above 0, from which a mask is valid (default: 0.5)",
    )
    add(
        "--shard-size",
        type=int,
        default=SHARD_SIZE,
        help=f"images saved at a time while the work goes on (default: {SHARD_SIZE})",
    )
    add(
        "--on-bad",
        choices=("error", "drop"),
        default="error",
        help="bad labels and images: stop with a list of them, or leave them out (default: error)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
