"""Several COCO-format files as one set: VOC's own images and those of SBD, say."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.data.coco import load
from lib.data.validation import OnBad
from lib.files import write_json


def merge(files: Sequence[Path], out: Path, *, on_bad: OnBad = "error") -> Path:
    """Write one COCO-format file with the images and annotations of several, in their order.

    Each is opened as ``lib.data.coco.load`` does, pictures apart. Nothing is renumbered that is
    sound: an id means the same in the merged file as in its own.

    Args:
        files: COCO-format files with the same categories, whose pictures lie in one folder.
        out: the file to write.
        on_bad: see ``lib.data.coco.load``; to repair also gives annotations an id of their own
            whose id is in several files.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: if one of the files does not exist.
        BadLabels: if there are bad labels and ``on_bad`` is ``"error"``.
        ValueError: if one is not COCO format, their categories differ, or an id is in two of them.
    """
    contents = [load(path, None, on_bad=on_bad, check_images="none").to_coco() for path in files]
    for path, content in zip(files, contents, strict=True):
        if _classes(content) != _classes(contents[0]):
            raise ValueError(
                f"{files[0]} and {path} cannot be merged: they list different categories. Give "
                "both the same list, with the same ids; a class may have no instance."
            )
    for kind, field in (("images", "id"), ("images", "file_name"), ("annotations", "id")):
        if kind == "annotations" and on_bad == "repair":
            continue  # nothing refers to these ids: opening the merged file numbers them anew
        values = [{str(entry.get(field)) for entry in content[kind]} for content in contents]
        repeated = [v for v, n in Counter(v for some in values for v in some).items() if n > 1]
        if repeated:
            raise ValueError(
                f"{', '.join(map(str, files))} cannot be merged: {len(repeated)} values of "
                f"{field!r} of {kind} are in more than one of them "
                f"({', '.join(repeated[:5])}). An image or an id must be in one file alone."
            )
    write_json(
        out,
        {
            "info": {"merged_from": [content["info"] for content in contents]},
            "images": [entry for content in contents for entry in content["images"]],
            "annotations": [entry for content in contents for entry in content["annotations"]],
            "categories": contents[0]["categories"],
        },
    )
    return out


def _classes(content: dict[str, Any]) -> dict[int, str]:
    return {category["id"]: category["name"] for category in content["categories"]}
