"""Pictures of a set, looked at when it is opened: where each lies, whether it can be read, and how.

Where the size in the labels is that of the turned or of the stored picture, it decides whether the
EXIF tag counts. Where it cannot (turns by 180 degrees, mirrored pictures, squares), the pictures of
the set for which it can decide, and upright if there are none.
"""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from lib.data.numbers import all_finite, is_natural
from lib.data.pictures.find import Found, PictureFiles, leads_outside
from lib.data.pictures.headers import Look, look_at
from lib.data.pictures.images import ImageRecord
from lib.data.validation import Problem, choice

log = logging.getLogger(__name__)

ImageCheck = Literal["none", "header", "decode"]
Orientation = Literal["auto", "upright", "stored"]
Outside = Literal["refuse", "read"]

THREADS = 16
"""Files looked at at the same time; most of the time is waiting for the disk."""


def check_images(
    images: Sequence[Mapping[str, Any]],
    root: Path | None,
    check: ImageCheck,
    orientation: Orientation,
    outside: Outside,
    *,
    name: str = "the set",
) -> tuple[dict[int, Problem], dict[int, ImageRecord], set[int]]:
    """Find images that cannot be used, and how the others are read.

    What was found under another name, turned or stretched is counted in warnings, one per kind.

    Args:
        images: the ``images`` of a COCO file.
        root: their folder; files are not looked at if it is ``None``.
        check: ``"header"`` looks at headers and endings (``lib.data.pictures.headers.look_at``),
            ``"decode"`` at every pixel, ``"none"`` at no file.
        orientation: ``"auto"`` reads pictures with an EXIF turn as the size in the labels says,
            ``"upright"`` turns all, ``"stored"`` none; the size is then the picture's.
        outside: ``"read"`` files outside the folder too, or ``"refuse"`` them.
        name: of the set, for warnings.

    Returns:
        Problems by position in ``images``; records of the others, by position; and ids of pictures
        that are read as stored, although their EXIF tag exchanges their sides. Of images that
        repeat one id, the first stays if they all name the same file; else none does, as nobody
        knows which one the labels mean.
    """
    problems = _check_fields(images)
    sound = [i for i in range(len(images)) if i not in problems]
    records = {i: ImageRecord.of(images[i], root) for i in sound}
    if root is None or check == "none":
        return problems, records, set()
    where = {i: record.file_name for i, record in records.items()}
    with ThreadPoolExecutor(THREADS) as pool:
        found = _find(where, PictureFiles(root, all_allowed=outside == "read"), pool)
        there = [i for i, at in found.items() if not at.kind]
        decode = check == "decode"
        seen = pool.map(lambda i: look_at(root / found[i].file, decode=decode), there)
        looks = dict(zip(there, seen, strict=True))
    sizes = {i: (record.width, record.height) for i, record in records.items()}
    for i, at in found.items():
        look = looks.get(i, Look(at.kind, at.detail))
        kind, detail = look.kind, f": {look.detail}" if look.detail else ""
        if not kind and sizes[i] not in (look.size, look.upright_size):
            kind, detail = (
                "image_other_size",
                ", JSON: {} x {}, file: {} x {}".format(*sizes[i], *look.upright_size),
            )
        if kind:
            problems[i] = Problem(kind, records.pop(i).id, f"{where[i][:120]}{detail}")
    looks = {i: look for i, look in looks.items() if i not in problems}
    turns = _turns(looks, sizes, orientation, name)
    _report(name, where, found, looks)
    unturned = set()
    for i, look in looks.items():
        at, turn = found[i], turns.get(i)
        size = sizes[i] if turn is None else look.upright_size if turn else look.size
        records[i] = replace(
            records[i],
            width=size[0],
            height=size[1],
            file=at.file if at.how else "",
            upright=turn,
            outside=outside == "read" and leads_outside(root / at.file, root),
        )
        if look.upright_size != look.size and size == look.size:
            unturned.add(records[i].id)
    return problems, records, unturned


def _check_fields(images: Sequence[Mapping[str, Any]]) -> dict[int, Problem]:
    problems: dict[int, Problem] = {}
    first: dict[int, int] = {}
    for i, image in enumerate(images):
        missing = [
            key
            for key in ("id", "width", "height")
            if not is_natural(image.get(key), zero_allowed=key == "id")
        ]
        if not isinstance(image.get("file_name"), str) or not image.get("file_name"):
            missing.append("file_name")
        if missing:
            problems[i] = Problem("image_malformed", image.get("id"), f"bad {', '.join(missing)}")
        elif not all_finite(image):
            problems[i] = Problem("image_not_finite", image["id"], image["file_name"])
        elif (j := first.setdefault(image["id"], i)) != i:
            same = image["file_name"] == images[j]["file_name"]
            for k in (i,) if same else (i, j):
                detail = f"{images[k]['file_name']}, repeated"
                problems[k] = Problem("image_id_repeated", image["id"], detail)
    return problems


def _find(
    where: Mapping[int, str], files: PictureFiles, pool: ThreadPoolExecutor
) -> dict[int, Found]:
    """Return where each picture is; no two are found in one file unless both name it as it is."""
    found = dict(zip(where, pool.map(files.as_written, where.values()), strict=True))
    for i, at in found.items():
        if at.kind in ("image_missing", "image_outside"):
            other = files.otherwise(where[i])
            if not other.kind or at.kind == "image_missing":
                found[i] = other
    if not any(at.how for at in found.values()):
        return found
    claims: dict[str, list[int]] = defaultdict(list)
    for i, at in found.items():
        if not at.kind:
            claims[os.path.realpath(files.root / at.file)].append(i)
    for indices in claims.values():
        for i in indices if len(indices) > 1 else ():
            if found[i].how:
                number, file = len(indices), found[i].file
                detail = f"{number} images of the list would be read from the one file {file}"
                found[i] = Found(where[i], kind="image_missing", detail=detail)
    return found


def _turns(
    looks: Mapping[int, Look],
    sizes: Mapping[int, tuple[int, int]],
    orientation: Orientation,
    name: str,
) -> dict[int, bool]:
    """Return whether pictures are turned for which the size in the labels is not to decide."""
    tagged = {i: look for i, look in looks.items() if look.orientation != 1}
    if orientation != "auto":
        return dict.fromkeys(tagged, orientation == "upright")
    telling = [i for i, look in tagged.items() if look.size != look.upright_size]
    silent = [i for i, look in tagged.items() if look.size == look.upright_size]
    force = f"{choice('orientation', 'upright')} or stored decides otherwise"
    stored = sum(sizes[i] == looks[i].size for i in telling)
    upright = stored * 2 <= len(telling)
    if stored:
        log.warning(
            "%s: the sizes of %d of %d pictures that their EXIF tag turns are those of the stored "
            "files: these are read as they are stored; %s",
            name, stored, len(telling), force,
        )  # fmt: skip
    if silent:
        log.warning(
            "%s: %d pictures have an EXIF turn that their size cannot show (squares, turns by 180 "
            "degrees, mirrored): they are read %s, as %s; %s",
            name, len(silent), "upright" if upright else "as they are stored",
            f"most whose size decides it ({len(telling)})" if telling else "viewers do", force,
        )  # fmt: skip
    return dict.fromkeys(silent, upright)


def _report(
    name: str, where: Mapping[int, str], found: Mapping[int, Found], looks: Mapping[int, Look]
) -> None:
    """Log what people should know of pictures that are read, one warning per kind."""
    for how, number in Counter(found[i].how for i in looks if found[i].how).items():
        i = next(i for i in looks if found[i].how == how)
        log.warning(
            "%s: %d pictures are not there under the name in the file and were found by %s "
            "(%s is %s%s)",
            name, number, how, where[i], found[i].file, ", ..." if number > 1 else "",
        )  # fmt: skip
    for some, what in (
        ([where[i] for i, look in looks.items() if look.deep],
         "have values of more than 8 bits that do not fill 16 bits; they are read by the range "
         "that they fill"),
        ([where[i] for i, look in looks.items() if look.pages],
         "have several pages or frames; the first is read"),
    ):  # fmt: skip
        if some:
            more = ", ..." if some[1:] else ""
            log.warning("%s: %d pictures %s (%s%s)", name, len(some), what, some[0], more)
