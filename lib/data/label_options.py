"""How programs are told about labels, and open them: all the same way."""

import argparse
from pathlib import Path
from typing import get_args

from lib.data.coco import CocoSet, load
from lib.data.pictures.check import ImageCheck
from lib.data.validation import OnBad

ON_BAD: OnBad = "repair"
"""What programs do with bad labels, unless told otherwise."""


def add_on_bad(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what becomes of bad labels."""
    parser.add_argument(
        "--on-bad",
        choices=get_args(OnBad),
        default=ON_BAD,
        help="bad labels: stop with a list of them, repair what is clear in its meaning and leave "
        f"out the rest, or leave them all out; all of it counted (default: {ON_BAD})",
    )


def open_labels(
    options: argparse.Namespace,
    annotations: Path,
    images: Path | None = None,
    *,
    check_images: ImageCheck = "none",
) -> CocoSet:
    """Open labels as the user's ``--on-bad`` says; see ``lib.data.coco.load``."""
    return load(annotations, images, on_bad=options.on_bad, check_images=check_images)
