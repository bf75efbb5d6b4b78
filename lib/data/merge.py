"""Several COCO-format files as one set: VOC's own images and those of SBD, say."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.data.validation import check_structure
from lib.files import read_json, write_json


def merge(files: Sequence[Path], out: Path) -> Path:
    """Write one COCO-format file with the images and annotations of several, in their order.

    Nothing is renumbered: an id means the same in the merged file as in its own.

    Args:
        files: COCO-format files with the same categories, whose pictures lie in one folder.
        out: the file to write.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: if one of the files does not exist.
        ValueError: if one is not COCO format, their categories differ, or an id is in two of them.
    """
    contents = []
    for path in files:
        contents.append(read_json(path))
        check_structure(contents[-1], str(path))
    for path, content in zip(files, contents, strict=True):
        if _classes(content) != _classes(contents[0]):
            raise ValueError(
                f"{files[0]} and {path} cannot be merged: they list different categories. Give "
                "both the same list, with the same ids; a class may have no instance."
            )
    for kind in ("images", "annotations"):
        ids = [{entry["id"] for entry in content[kind]} for content in contents]
        repeated = [i for i, n in Counter(i for some in ids for i in some).items() if n > 1]
        if repeated:
            raise ValueError(
                f"{', '.join(map(str, files))} cannot be merged: {len(repeated)} ids of {kind} are "
                f"in more than one of them ({', '.join(map(str, repeated[:5]))}). Renumber one."
            )
    write_json(
        out,
        {
            "info": {"merged_from": [content.get("info") or {} for content in contents]},
            "images": [entry for content in contents for entry in content["images"]],
            "annotations": [entry for content in contents for entry in content["annotations"]],
            "categories": contents[0]["categories"],
        },
    )
    return out


def _classes(content: dict[str, Any]) -> dict[int, str]:
    return {category["id"]: category["name"] for category in content["categories"]}
