"""Masks for your own boxes: ``python -m lib.masks --annotations FILE --images DIR --out FILE``.

Exit codes: 0 done, 1 a worker or the cluster is gone (start it again), 2 the input is wrong.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from lib.cluster import connected
from lib.data.coco import CocoSet, load
from lib.data.label_options import add_on_bad
from lib.data.pictures.check import Orientation, Outside
from lib.data.repair.counts import REPAIRS
from lib.data.validation import said
from lib.files import explain, read_json, read_object
from lib.interrupts import announced
from lib.masks.grabcut.exact import GrabCutSettings, Variant
from lib.masks.pseudo import SHARD_SIZE, generate
from lib.masks.quality import SMALL_SIDE, VALID_FROM
from lib.outputs import check_output
from lib.progress import duration, printer
from lib.workers import WorkerLostError

DESCRIPTION = """\
Make a mask for every box of a COCO-format file with GrabCut on the whole image.

The output is the same file with masks: 'segmentation' (run lengths, [] where nothing was found),
'area', and 'pseudo': the seed, the IoU of the mask's tight box and the given box, and whether that
makes the mask valid. Masks of the input are not used and not copied. Crowd regions get no mask.

The work can be interrupted in any way: the same command continues it. The result does not depend
on the number of workers, nor on whether they are processes here or those of a dask cluster."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    with announced():
        return _run(_parser().parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    start = time.monotonic()
    try:
        check_output(
            options.out,
            inputs=[options.annotations],
            images=options.images,
            is_ours=None if options.force else _is_ours,
        )
        settings = GrabCutSettings(iterations=options.iterations, method=options.method)
        if options.dask and options.workers is not None:
            print("--workers is not used: with --dask, the cluster decides.", file=sys.stderr)
        with connected(options.dask, generate.__module__):
            pass  # is it there at all?
        # Decoding every image first costs little beside GrabCut and finds all damage at once.
        coco_set = load(
            options.annotations,
            options.images,
            on_bad=options.on_bad,
            check_images="decode",
            orientation=options.orientation,
            outside=options.outside,
        )
        generate(
            coco_set,
            settings=settings,
            seed=options.seed,
            workers=1 if options.workers is None else options.workers,
            dask=options.dask,
            out=options.out,
            valid_from=options.valid_from,
            shard_size=options.shard_size,
            on_progress=printer(),
        )
    except WorkerLostError as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"Error: {explain(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: start the same command again to continue.", file=sys.stderr)
        return 130
    print(summary(read_json(options.out)))
    print("".join(f"{line}\n" for line in changes(coco_set)), end="")
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


def changes(coco_set: CocoSet) -> list[str]:
    """Return a line each for what was repaired, or is strange, and what was left out."""
    repaired = "; ".join(f"{n:,} {REPAIRS[kind]}" for kind, n in coco_set.repaired.items())
    lines = (("Labels repaired or to be looked at", repaired), ("Dropped", said(coco_set.dropped)))
    return [f"{name}: {text}." for name, text in lines if text]


def _box_area(annotation: dict[str, Any]) -> float:
    return annotation["bbox"][2] * annotation["bbox"][3]


def _invalid_share(annotations: list[dict[str, Any]]) -> str:
    invalid = sum(not annotation["pseudo"]["valid"] for annotation in annotations)
    return f"{invalid / len(annotations):.1%}"


def _is_ours(path: Path) -> bool:
    """Return whether a file holds pseudo-masks, and no labels that somebody made."""
    info = read_object(path).get("info")
    return isinstance(info, dict) and "pseudo_masks" in info


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
    add(
        "--method",
        choices=get_args(Variant),
        default="fast",
        help="exact: OpenCV on the whole image; fast: the same masks up to chance, for a fraction "
        "of the time (default: fast)",
    )
    add("--workers", type=int, help="processes; 0: all cores (default: 1)")
    add(
        "--dask",
        metavar="ADDRESS",
        help="scheduler of a running dask cluster that does the work, such as tcp://host:8786; its "
        "machines need this code and its packages, and the images under the same path",
    )
    add("--force", action="store_true", help="replace --out whatever it holds")
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
        help="images saved at a time while the work goes on (default: "
        f"{SHARD_SIZE}, fewer in a small set)",
    )
    add_on_bad(parser)
    add(
        "--orientation",
        choices=get_args(Orientation),
        default="auto",
        help="pictures that an EXIF tag turns: as the sizes in the labels say, all upright, or as "
        "they are stored (default: auto)",
    )
    add(
        "--outside",
        choices=get_args(Outside),
        default="refuse",
        help="pictures outside --images, by links, .. or absolute names (default: refuse)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
