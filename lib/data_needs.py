"""Which sets and weights steps read besides outputs of others, and whether these are here."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.data.download.catalogue import CATALOGUE, Remote
from lib.paths import display, expanded, find_data

FETCH = "python -m lib.data.download"
FETCHED_AS = {"coco": ("coco",), "voc": ("voc", "sbd")}
"""The names of a source in the catalogue of what can be fetched."""

_PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Data:
    """A set, or a file of weights.

    Args:
        title: what it is.
        where: where it was found; empty if it is not here, or drawn by the study.
        problem: what is amiss with it on this machine; empty if nothing is.
        fetch: the names under which it can be fetched, if it has to be.
        kept: GB that it takes once it is fetched.
        fetched: GB that it takes while it is fetched, with its archives.
    """

    title: str
    where: str = ""
    problem: str = ""
    fetch: tuple[str, ...] = ()
    kept: float = 0.0
    fetched: float = 0.0


def needed_data(running: Iterable[Mapping[str, Any]]) -> list[Data]:
    """Return what steps with these parameters read: each set and file once.

    Files of one's own that are not there are left out: the check of the parameters names them.
    """
    found: list[Data | None] = []
    for values in running:
        if "data_source" in values:
            found.append(_set_of(values))
        own = values.get("model_backbone") == "lite0"  # its weights are an installed package
        if values.get("model_weights") == "imagenet" and not (own or values.get("train_init")):
            found.append(_weights_of(values["model_backbone"]))
    return [data for data in dict.fromkeys(found) if data]


def _set_of(values: Mapping[str, Any]) -> Data | None:
    """Return the set that a step with a ``data_source`` prepares."""
    source = values["data_source"]
    if source == "embedded":
        return Data(f"{values['scenes_train']:,} + {values['scenes_val']:,} scenes, drawn here")
    from lib.data.prepare import WHOLE, find  # a slow import

    fetch, whole = FETCHED_AS.get(source, ()), WHOLE.get(source, {})
    title = " with ".join(CATALOGUE[name].title for name in fetch)
    if whole:
        title += f", {whole['train']:,} + {whole['val']:,} images"
    names = ("train_annotations", "train_images", "val_annotations", "val_images")
    named = {name: values[f"data_{name}"] for name in names}
    if not isinstance(named["train_annotations"], str):  # several files become one in the step
        named["train_annotations"] = next(iter(named["train_annotations"]), "")
    try:
        places = find(source, **named)
    except FileNotFoundError:
        return _absent(title, "not found", fetch) if fetch else None
    except ValueError as error:
        return Data("A set of one's own", problem=str(error).rstrip("."))
    folders = dict.fromkeys(files.images for files in places.values())
    if whole and (count := sum(map(_count, folders))) < sum(whole.values()):
        return _absent(title, f"only {count:,} images are here: a part of it", fetch)
    if not fetch:
        title = ", ".join(display(files.annotations) for files in places.values())
    return Data(title, ", ".join(map(display, folders)))


def _weights_of(backbone: str) -> Data:
    """Return torchvision's weights of a backbone, which PyTorch may have fetched before."""
    collection = CATALOGUE["weights"]
    remote = next(r for r in collection.remotes if r.name.startswith(f"{backbone}-"))
    title = f"ImageNet weights of {backbone.replace('resnet', 'ResNet-')}"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch = expanded(os.environ.get("TORCH_HOME", f"{cache}/torch")) / "hub" / "checkpoints"
    for place in (f"{collection.folder}/{remote.name}", torch / remote.name):
        try:
            return Data(title, display(find_data(place)))
        except FileNotFoundError:
            continue
    return _absent(title, "not found", ("weights",), [remote])


def _absent(
    title: str, problem: str, fetch: tuple[str, ...], remotes: Iterable[Remote] | None = None
) -> Data:
    """Return a set or file that has to be fetched, with the room that takes."""
    wanted = remotes or [remote for name in fetch for remote in CATALOGUE[name].remotes]
    kept = sum(remote.unpacked or remote.size for remote in wanted) / 1e9
    fetched = sum(remote.size + remote.unpacked for remote in wanted) / 1e9
    return Data(title, "", problem, fetch, kept, fetched)


def _count(folder: Path) -> int:
    return sum(name.lower().endswith(_PICTURES) for name in os.listdir(folder))  # noqa: PTH208
