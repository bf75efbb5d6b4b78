"""From a choice of source to checked sets: find or make the files, open them, write ``sets.json``.

Sources: ``embedded`` scenes (made here, nothing to download), ``coco`` and ``voc`` (looked for in
the data folders, see ``lib.paths``), ``custom`` (any COCO-format file and its pictures).
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lib.data.coco import CocoSet, load
from lib.data.merge import merge
from lib.data.overlap import objects
from lib.data.pictures.check import ImageCheck, Orientation, Outside
from lib.data.pictures.images import ImageRecord
from lib.data.scenes.generate import generate
from lib.data.scenes.settings import SceneSettings, Split
from lib.data.sources import SetFiles, write_sets
from lib.data.validation import OnBad, said
from lib.files import digest_of, write_json
from lib.paths import ROOT, find_data

log = logging.getLogger(__name__)

SOURCES = ("embedded", "coco", "voc", "custom")
Source = Literal["embedded", "coco", "voc", "custom"]

USUAL_PLACES: Mapping[str, Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "coco": {
        name: (
            (f"coco2017/annotations/instances_{name}2017.json",),
            (f"coco2017/{name}2017", "coco2017/images"),
        )
        for name in ("train", "val")
    },
    "voc": {
        name: ((f"voc2012/annotations/{name}.json",), ("voc2012/images", "voc2012/JPEGImages"))
        for name in ("train", "val")
    },
}
"""Where the annotations and the pictures of a source usually lie, below a data folder."""

FETCHED: Mapping[str, str] = {
    "coco": "python -m lib.data.download coco",
    "voc": "python -m lib.data.download voc sbd",
}
"""The command that brings a source."""

WHOLE: Mapping[str, Mapping[str, int]] = {
    "coco": {"train": 118_287, "val": 5_000},
    "voc": {"train": 10_582, "val": 1_449},
}
"""Images of the whole sets: COCO 2017; VOC 2012 with SBD. A part of one is another scale."""


def scenes(
    folder: str | Path,
    *,
    counts: Mapping[Split, int],
    settings: SceneSettings,
    classes: Sequence[str] = (),
    seed: int = 0,
    workers: int = 0,
) -> dict[str, SetFiles]:
    """Make the embedded scenes, or find those that an earlier run made.

    Args:
        folder: cache of scenes; each recipe has its own folder in it, so that trying out another
            one does not throw the first away.
        counts: number of scenes by split, such as {"train": 600, "val": 200}; a split with none
            is left out.
        settings: how scenes look.
        classes: COCO names; all that have artwork if empty.
        seed: base seed.
        workers: processes, 0 for all cores. The scenes do not depend on it.

    Raises:
        ValueError: if there are no training scenes, a negative number of any, or no such class.
    """
    for split, count in counts.items():
        if count < 0:
            raise ValueError(f"scenes_{split} is {count}: expected a number of scenes, 0 or more.")
    if not counts.get("train"):
        raise ValueError("scenes_train is 0: a study needs at least one scene to train on.")
    sets: dict[str, SetFiles] = {}
    for split, count in counts.items():
        if not count:
            continue
        recipe = {"split": split, "count": count, "settings": settings.to_dict()}
        place = Path(folder) / digest_of({**recipe, "classes": list(classes), "seed": seed})[:12]
        annotations = generate(
            place,
            split=split,
            count=count,
            settings=settings,
            classes=classes,
            seed=seed,
            workers=workers,
        )
        sets[split] = SetFiles(annotations, annotations.parent / "images")
    return sets


def find(
    source: Source,
    *,
    train_annotations: str | Sequence[str] = "",
    train_images: str = "",
    val_annotations: str = "",
    val_images: str = "",
    merged: str | Path = "",
    on_bad: OnBad | Literal["auto"] = "auto",
) -> dict[str, SetFiles]:
    """Return where the sets of a source lie.

    Args:
        source: ``"coco"`` or ``"voc"``, whose usual places are taken for whatever is not named,
            or ``"custom"``, where at least the training set must be named.
        train_annotations: COCO-format file, relative to the repository or a data folder; or
            several, whose pictures are in one folder.
        train_images: folder of its pictures.
        val_annotations: the same for the validation set, which a custom source may lack.
        val_images: the same.
        merged: the file to write if there are several training files.
        on_bad: what is done about bad labels in files that are merged; see ``prepare``.

    Raises:
        FileNotFoundError: if a file or folder is nowhere.
        ValueError: if an unknown source is given, a name is missing, or files cannot be merged.
    """
    if source not in ("coco", "voc", "custom"):
        raise ValueError(f"data_source is one of {', '.join(SOURCES)}, not {source!r}.")
    parts = [train_annotations] if isinstance(train_annotations, str) else list(train_annotations)
    named = {
        "train": (parts[0] if parts else "", train_images),
        "val": (val_annotations, val_images),
    }
    sets = {}
    for name, (annotations, images) in named.items():
        usual = USUAL_PLACES.get(source, {}).get(name, ((), ()))
        if source == "custom" and not (annotations and images):
            if name == "val" and not (annotations or images):
                continue
            raise ValueError(
                f'data_source "custom" needs both data_{name}_annotations (a COCO-format file) and '
                f"data_{name}_images (the folder of its pictures); found {annotations!r} and "
                f"{images!r}."
            )
        sets[name] = SetFiles(
            _first((annotations,) if annotations else usual[0], source),
            _first((images,) if images else usual[1], source),
        )
    if len(parts) > 1:
        paths = [find_data(name) for name in parts]
        file = merge(paths, Path(merged), on_bad=_chosen(on_bad, source))
        sets["train"] = replace(sets["train"], annotations=file)
    return sets


def prepare(
    files: Mapping[str, SetFiles],
    *,
    out: str | Path,
    source: Source = "custom",
    on_bad: OnBad | Literal["auto"] = "auto",
    check_images: ImageCheck = "header",
    orientation: Orientation = "auto",
    outside: Outside = "refuse",
    whole_masks: Collection[str] = (),
) -> dict[str, CocoSet]:
    """Open and check sets, and write ``sets.json`` for the steps that follow.

    Args:
        files: where the sets lie, by name.
        out: path of ``sets.json``. A set of which bad labels were repaired or dropped, or whose
            pictures are not read just as it says (other name, orientation), is written beside it,
            as it was opened, as ``<name>.json``.
        source: what they are taken for; as ``"coco"`` or ``"voc"`` they must be the whole sets.
        on_bad: see ``lib.data.coco.load``; ``"auto"`` repairs people's own sets (``"custom"``) and
            stops at bad labels of the others.
        check_images: see ``lib.data.coco.load``.
        orientation: see ``lib.data.coco.load``.
        outside: see ``lib.data.coco.load``.
        whole_masks: names of sets of which only the images are kept whose every object has a
            mask: on others a found object without one is neither right nor wrong. Images that
            the file marks ``"clean": false`` have further objects and are left out too.

    Returns:
        The sets, by name.

    Raises:
        BadLabels: if there are bad labels and ``on_bad`` is ``"error"``.
        ValueError: if a file is not COCO format, a set is but a part of its source, there is no
            object to learn from, or the sets' categories differ.
    """
    out = Path(out)
    sets: dict[str, CocoSet] = {}
    for name, place in files.items():
        opened = load(
            place.annotations,
            place.images,
            on_bad=_chosen(on_bad, source),
            check_images=check_images,
            orientation=orientation,
            outside=outside,
        )
        _check_objects(opened, name)
        if name in whole_masks:
            opened = opened.subset(i.id for i in opened.images if _all_masked(opened, i))
            if not objects(opened):
                raise ValueError(
                    f"{opened.annotations_path} has no image whose every object has a mask, so "
                    f"nothing is left of {name}. Set data_{name}_whole_masks to False to keep all "
                    "images."
                )
        _check_whole(opened, source, name)
        sets[name] = opened
    sets = _with_used_roots(sets)
    for name, opened in sets.items():
        resolved = any(image.read_as for image in opened.images)
        if opened.dropped or opened.repaired or resolved or name in whole_masks:
            clean = out.parent / f"{name}.json"
            write_json(clean, opened.to_coco())
            sets[name] = replace(opened, annotations_path=clean)
    first, *others = sets.values()
    for other in others:
        if other.categories != first.categories:
            raise ValueError(
                f"{first.annotations_path} and {other.annotations_path} list different "
                f"categories ({_difference(first, other)}). Give both files the same list of "
                "categories, with the same ids; a class may have no instance."
            )
    _warn_of_shared_pictures(sets)
    places = {name: SetFiles(s.annotations_path, files[name].images) for name, s in sets.items()}
    write_sets(out, places)
    return sets


def made_here(sets: Mapping[str, CocoSet]) -> list[Path]:
    """Return the annotation files that this step made: scenes, merged sets, parts of sets."""
    made = [s.annotations_path for s in sets.values()]
    return [path for path in made if path.resolve().is_relative_to(ROOT / "cache")]


def _chosen(on_bad: OnBad | Literal["auto"], source: Source) -> OnBad:
    if on_bad == "auto":
        return "repair" if source == "custom" else "error"
    return on_bad


def _first(names: Sequence[str], source: Source) -> Path:
    """Return the first of ``names`` that a data folder has."""
    for name in names[:-1]:
        try:
            return find_data(name)
        except FileNotFoundError:
            continue
    try:
        return find_data(names[-1])
    except FileNotFoundError as error:
        if source not in FETCHED:
            raise
        raise FileNotFoundError(f"{error}\nOr fetch it: {FETCHED[source]}") from None


def _check_whole(coco_set: CocoSet, source: Source, name: str) -> None:
    """Refuse a part of COCO or VOC: results on it are not to be judged as on the whole."""
    expected = WHOLE.get(source, {}).get(name)
    if expected and len(coco_set) != expected:
        raise ValueError(
            f"{coco_set.annotations_path} has {len(coco_set)} usable images; data_source "
            f'"{source}" is the whole set, whose {name} has {expected}. For a part of it, set '
            f'data_source to "custom" and name its files in data_{name}_annotations and '
            f"data_{name}_images."
        )


def _check_objects(coco_set: CocoSet, name: str) -> None:
    """Refuse a training set without an object; warn of another one without."""
    if objects(coco_set):
        return
    found = f"{coco_set.annotations_path} has no object (crowd regions apart)"
    if coco_set.dropped:
        found += f" left after dropping {said(coco_set.dropped)}"
    if name == "train":
        raise ValueError(f"{found}: nothing to learn from. Name another file for {name}.")
    log.warning("%s: nothing can be judged on %s.", found, name)


def _all_masked(coco_set: CocoSet, image: ImageRecord) -> bool:
    """Return whether every object has a mask; a file may know of more objects than it labels."""
    labelled = all(x.has_mask for x in coco_set.instances(image.id) if not x.iscrowd)
    return labelled and bool(image.extra.get("clean", True))


def _with_used_roots(sets: Mapping[str, CocoSet]) -> dict[str, CocoSet]:
    """Return sets that list a root category as a class if it is used in one of them."""
    most = max((s.categories for s in sets.values()), key=len)
    return {
        name: s.with_categories(most)
        if "category_root" in s.repaired and set(s.categories.categories) <= set(most.categories)
        else s
        for name, s in sets.items()
    }


def _difference(one: CocoSet, other: CocoSet) -> str:
    differing = set(one.categories.categories) ^ set(other.categories.categories)
    shown = [f"{c.id} {c.name!r}" for c in sorted(differing)[:5]]
    return ", ".join(shown) + (", ..." if len(differing) > 5 else "")


def _warn_of_shared_pictures(sets: Mapping[str, CocoSet]) -> None:
    files = [{image.path for image in s.images} for n, s in sets.items() if n in ("train", "val")]
    if shared := set.intersection(*files) if len(files) == 2 else set():
        log.warning(
            "%d pictures are both in train and in val (%s, ...): results on val will look "
            "better than they are.", len(shared), min(shared).name,
        )  # fmt: skip
