"""What steps read besides outputs of others: sets and weights, and whether these are here."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lib.data.download.catalogue import CATALOGUE, Remote
from lib.paths import display, expanded, find_data
from lib.runner.setup import Setup
from lib.runner.steps import Step
from lib.strict_yaml import cut

BYTES_PER_PIXEL = 0.35
"""Of an embedded scene, as JPEG with its labels."""

PICTURES = (".jpg", ".jpeg", ".png")
FETCHED_AS = {"coco": ("coco",), "voc": ("voc", "sbd")}
"""The names of a source in the catalogue of what can be fetched."""

_SAMPLE = 200


@dataclass(frozen=True)
class Data:
    """A set, or a file of weights.

    Args:
        name: short, for tables.
        title: what it is.
        gigabytes: on disk; 0 if not known.
        where: where it was found; empty if it is not here.
        problem: what is amiss with it on this machine; empty if nothing is.
        fetch: the names under which it can be fetched, if it has to be.
        room: GB that fetching takes, with the archives.
    """

    name: str
    title: str
    gigabytes: float = 0.0
    where: str = ""
    problem: str = ""
    fetch: tuple[str, ...] = ()
    room: float = 0.0


def needed_data(setup: Setup, steps: Sequence[Step]) -> dict[str, tuple[Data, ...]]:
    """Return what each of ``steps`` reads besides outputs of others, by step id.

    A step that works on the set of another one, ``01_data`` or a variant of it, needs what that
    one needs.
    """
    sources = [name for name, values in setup.parameters.items() if "data_source" in values]
    sets = {name: _set_of(setup.parameters[name]) for name in sources}
    weights = {
        step.id: _weights(str(setup.parameters[step.id]["model_backbone"]))
        for step in steps
        if _from_imagenet(setup.parameters[step.id])
    }
    found = {}
    for step in steps:
        read = [name for name in (step.id, *step.needs) if name in sets]
        if len(step.needs) == len(setup.steps) - 1:  # it gathers what all others found
            read = []
        own = (weights[step.id],) if step.id in weights else ()
        found[step.id] = (*(sets[name] for name in read), *own)
    return found


def distinct(data: Iterable[Sequence[Data]]) -> list[Data]:
    """Return each set and file once, in order."""
    return list(dict.fromkeys(entry for entries in data for entry in entries))


def _set_of(values: Mapping[str, Any]) -> Data:
    """Return the set that a step of the notebook ``01_data`` prepares."""
    source = values["data_source"]
    if source == "embedded":
        train, val = values["scenes_train"], values["scenes_val"]
        width, height = values["scenes_width"], values["scenes_height"]
        size = (train + val) * width * height * BYTES_PER_PIXEL / 1e9
        title = f"{train:,} + {val:,} scenes of {width} x {height}, drawn here"
        return Data("scenes", title, size)
    from lib.data.prepare import WHOLE, find  # a slow import

    named = {
        name: values[f"data_{name}"]
        for name in ("train_annotations", "train_images", "val_annotations", "val_images")
    }
    fetched = FETCHED_AS.get(source, ())
    remotes = [remote for name in fetched for remote in CATALOGUE[name].remotes]
    expected = WHOLE.get(source, {})
    title = " with ".join(CATALOGUE[name].title for name in fetched) or "the files that are named"
    if expected:
        title += f", {expected['train']:,} + {expected['val']:,} images"
    if not isinstance(named["train_annotations"], str):  # several files become one in the step
        named["train_annotations"] = next(iter(named["train_annotations"]), "")
    try:
        places = find(source, **named)
    except (FileNotFoundError, ValueError) as error:
        problem = "not found" if fetched else cut(str(error).rstrip("."), 300)
        return Data(source, title, _unpacked(remotes), "", problem, fetched, _room(remotes))
    folders = dict.fromkeys(files.images for files in places.values())
    counts = {folder: _count(folder) for folder in folders}
    problem = ""
    if expected and sum(counts.values()) < sum(expected.values()):
        problem = f"only {sum(counts.values()):,} images are here: a part of it"
    if not expected:
        title = ", ".join(display(files.annotations) for files in places.values())
    sizes = sum(_size(folder, counts[folder]) for folder in folders)
    return Data(
        source,
        title,
        _unpacked(remotes) if problem else sizes,
        "" if problem else ", ".join(display(folder) for folder in folders),
        problem,
        fetched if problem else (),
        _room(remotes) if problem else 0.0,
    )


def _from_imagenet(values: Mapping[str, Any]) -> bool:
    """Return whether a training begins with torchvision's weights."""
    return values.get("model_weights") == "imagenet" and not values.get("train_init")


def _weights(backbone: str) -> Data:
    collection = CATALOGUE["weights"]
    remote = next(r for r in collection.remotes if r.name.startswith(f"{backbone}-"))
    title = f"ImageNet weights of {backbone.replace('resnet', 'ResNet-')}"
    places = (f"{collection.folder}/{remote.name}", str(_torch_cache() / remote.name))
    for place in places:
        try:
            where = display(find_data(place))
            return Data(backbone, title, remote.size / 1e9, where)
        except FileNotFoundError:
            continue
    size = remote.size / 1e9
    return Data(backbone, title, size, "", "not found", ("weights",), size)


def _torch_cache() -> Path:
    """Return where PyTorch keeps weights that it has downloaded."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    home = expanded(os.environ.get("TORCH_HOME", str(cache)))
    return home / "hub" / "checkpoints"


def _unpacked(remotes: Iterable[Remote]) -> float:
    return sum(remote.unpacked or remote.size for remote in remotes) / 1e9


def _room(remotes: Iterable[Remote]) -> float:
    return sum(remote.size + remote.unpacked for remote in remotes) / 1e9


def _count(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.name.lower().endswith(PICTURES) for entry in entries)


def _size(folder: Path, count: int) -> float:
    """Return about how many GB the pictures of a folder take, by some of them."""
    with os.scandir(folder) as entries:
        pictures = (entry for entry in entries if entry.name.lower().endswith(PICTURES))
        sizes = [entry.stat().st_size for entry in islice(pictures, _SAMPLE)]
    return count * sum(sizes) / max(1, len(sizes)) / 1e9
