"""Labels as people have them, turned into labels that can be checked.

``tidy`` does what is harmless in every mode; ``repair`` also reads numbers written as text, finds
what references mean and gives ids where there are none; boxes are for ``repair.boxes``. Nothing
that was parsed is changed in place. What is still wrong afterwards is for ``lib.data.validation``.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import Any, Literal

from lib.data.numbers import all_finite, is_integer, is_key, number, shown, whole
from lib.data.repair.counts import Repairs
from lib.data.validation import JUDGED

Entry = dict[str, Any]
Kind = Literal["image", "category", "annotation"]
_IMAGE = frozenset(("id", "file_name", "width", "height"))
_CATEGORY = frozenset(("id", "name"))
_LISTS = frozenset(("images", "annotations", "categories"))
_LARGEST = 1e300


def tidy(content: Mapping[str, Any], repairs: Repairs, *, strict: bool) -> dict[str, Any]:
    """Return a COCO set without what stands in the way of any use.

    ``info`` of another type than an object is kept under a key; a category that others name as
    their supercategory and no annotation uses (made up by some tools) is left out; equal entries of
    a category count once. Unless ``strict``, fields outside the labels that no JSON file can hold
    are left out.
    """
    content = dict(content)
    if not strict:
        content = _writable(content, _LISTS, repairs)
        content["categories"] = [_writable(c, _CATEGORY, repairs) for c in content["categories"]]
    info = content.get("info")
    if info is not None and not isinstance(info, dict):
        repairs.add("info_no_object", "info")
        info = {"original": info}
    content["categories"] = _once(without_roots(content, repairs), repairs)
    return {**content, "info": info or {}}


def repair(content: Mapping[str, Any], repairs: Repairs) -> dict[str, Any]:
    """Return a COCO set, boxes apart, as far as its meaning is clear; see ``counts.REPAIRS``.

    Args:
        content: a COCO set: lists of objects, maybe with bad ones among them.
        repairs: where changes are counted.
    """
    images = [_with_whole_sides(_writable(i, _IMAGE, repairs), repairs) for i in content["images"]]
    categories = [_named(category, repairs) for category in content["categories"]]
    annotations = [
        _with_read_values(_writable(a, JUDGED, repairs), repairs) for a in content["annotations"]
    ]
    named = {key: {whole(a.get(key)) for a in annotations} for key in ("image_id", "category_id")}
    images, image_ids = _identified(images, "image", repairs, named=named["image_id"])
    categories, category_ids = _identified(
        categories, "category", repairs, named=named["category_id"]
    )
    annotations, _ = _identified(annotations, "annotation", repairs)
    by_name = _unique((c.get("name"), c["id"]) for c in categories)
    annotations = _resolved(annotations, "image", image_ids, _file_names(images), repairs)
    annotations = _resolved(annotations, "category", category_ids, by_name, repairs)
    categories = _once(categories, repairs)
    return {**content, "images": images, "annotations": annotations, "categories": categories}


def possible_roots(categories: Sequence[Entry]) -> list[Entry]:
    """Return categories that others name as supercategory and that have none of their own."""
    above = {name for c in categories if isinstance(name := c.get("supercategory"), str) and name}
    return [
        c
        for c in categories
        if isinstance(c.get("name"), str)
        and c["name"] in above
        and c.get("supercategory") in (None, "", "none")
    ]


def without_roots(content: Mapping[str, Any], repairs: Repairs) -> list[Entry]:
    """Return the categories of a set without roots that no annotation uses, by id or by name."""
    categories: list[Entry] = content["categories"]
    roots = possible_roots(categories)
    if not roots:
        return categories
    raws = [a.get("category_id") for a in content["annotations"]]
    used = {whole(raw) for raw in raws}
    named = {raw for raw in raws if isinstance(raw, str)}
    named &= _unique((c.get("name"), i) for i, c in enumerate(categories)).keys()
    roots = [
        c
        for c in roots
        if is_integer(own := whole(c.get("id"))) and own not in used and c["name"] not in named
    ]
    repairs.add("category_root", *(c["name"] for c in roots))
    return [c for c in categories if not any(c is root for root in roots)]


def _once(categories: list[Entry], repairs: Repairs) -> list[Entry]:
    """Return the categories without further entries of the same id and name."""
    first: dict[Any, Entry] = {}
    for i, category in enumerate(categories):
        key = (category.get("id"), category.get("name"))
        if not all(map(is_key, key)):
            first[i] = category  # for the checks
        elif first.setdefault(key, category) is not category:
            repairs.add("category_repeated", category["name"])
    return list(first.values())


def _named(category: Entry, repairs: Repairs) -> Entry:
    """Return a category whose name is text."""
    name = category.get("name")
    if type(name) not in (int, float):
        return category
    repairs.add("name_no_text", name)
    return {**category, "name": str(name)}


def _writable(entry: Entry, judged: frozenset[str], repairs: Repairs) -> Entry:
    """Return an entry without further fields that no JSON file can hold."""
    bad = [key for key in entry.keys() - judged if not all_finite(entry[key])]
    if not bad:
        return entry
    of = f" of id {shown(entry['id'])}" if "id" in entry else ""
    repairs.add("field_unwritable", *(f"{key}{of}" for key in bad))
    return {key: value for key, value in entry.items() if key not in bad}


def _with_whole_sides(image: Entry, repairs: Repairs) -> Entry:
    """Return an image whose width and height are integers, where they mean one."""
    sides = {side: image.get(side) for side in ("width", "height")}
    read = {k: n for k, v in sides.items() if type(v) is not int and (n := whole(v))}
    repairs.add("number_as_text", *([image.get("id")] if read else []))
    return {**image, **read} if read else image


def _with_read_values(a: Entry, repairs: Repairs) -> Entry:
    """Return an annotation whose area and iscrowd are numbers, without those that mean nothing."""
    read: Entry = {}
    area, crowd = a.get("area"), a.get("iscrowd")
    if area is not None and not (type(area) in (int, float) and 0 <= area < _LARGEST):
        value = number(area)
        read["area"] = value if value is not None and 0 <= value < _LARGEST else None
    if isinstance(crowd, str):
        words = {"": 0, "0": 0, "false": 0, "1": 1, "true": 1}
        if (flag := words.get(crowd.strip().lower())) is not None:
            read["iscrowd"] = flag
    if not isinstance(a.get("pseudo"), dict | None):
        read["pseudo"] = None
    if not read:
        return a
    lost = any(value is None for value in read.values())
    repairs.add("field_unreadable" if lost else "number_as_text", a.get("id"))
    return {**a, **read}


def _identified(
    entries: list[Entry], kind: Kind, repairs: Repairs, *, named: Collection[int | None] = ()
) -> tuple[list[Entry], dict[Any, int]]:
    """Return entries with integer ids, and the new id by the one in the file.

    Images or categories of one id keep one; of annotations, to whose ids nothing refers, the first
    keeps it. An id is never made up that annotations name: they would become ones of what they
    never named.
    """
    raws: list[Any] = [entry.get("id") for entry in entries]
    shared = kind != "annotation"

    def usable(value: Any) -> bool:
        return is_integer(value) and (value >= 0 or kind != "image")

    if all(map(usable, raws)) and (shared or len(set(raws)) == len(raws)):
        return entries, dict(zip(raws, raws, strict=True))
    new: dict[Any, int] = {}
    own: list[int | None] = [None] * len(raws)
    taken: set[int] = set()
    for i in sorted(range(len(raws)), key=lambda i: type(raws[i]) is not int):  # before texts
        raw, integer = raws[i], whole(raws[i])
        if integer is not None and usable(integer) and integer not in taken:
            taken.add(integer)
            own[i] = new[raw] = integer
    fresh = (i for i in count(1) if i not in taken and i not in named)
    result = []
    for entry, raw, integer in zip(entries, raws, own, strict=True):
        known = integer if integer is not None else new.get(raw) if shared and is_key(raw) else None
        found = next(fresh) if known is None else known
        if is_key(raw):
            new.setdefault(raw, found)
        if type(raw) is int and raw == found:
            result.append(entry)
            continue
        read = whole(raw) == found
        repairs.add("number_as_text" if read else f"{kind}_id_renumbered", raw)
        lost = not read if shared else not is_integer(whole(raw))
        origin = {"original_id": raw} if lost and isinstance(raw, (str, int)) else {}
        result.append({**entry, "id": found, **origin})
    return result, new


def _resolved(
    annotations: list[Entry],
    kind: str,
    known: Mapping[Any, int],
    names: Mapping[str, int],
    repairs: Repairs,
) -> list[Entry]:
    """Return annotations whose reference to an image or a category is its id, where it is clear."""
    key = f"{kind}_id"
    ids = set(known.values())
    result = list(annotations)
    for i, annotation in enumerate(annotations):
        raw: Any = annotation.get(key)
        if not is_key(raw) or (type(raw) is int and known.get(raw) == raw):
            continue
        integer = whole(raw)
        if raw in names and raw != str(integer):  # "000012" is a file's name before it is 12
            integer = None
        found = known.get(raw, integer if integer in ids else None)
        by_name = found is None and isinstance(raw, str)
        found = names.get(raw) if by_name else found
        if found is not None and (type(raw) is not int or found != raw):
            result[i] = {**annotation, key: found}
            if by_name:
                repairs.add(f"{kind}_by_name", annotation.get("id"))
            elif integer == found:
                repairs.add("number_as_text", annotation.get("id"))
    return result


def _file_names(images: Sequence[Entry]) -> dict[str, int]:
    """Return image ids by file name, last part of it, and that without its ending, if unique."""
    files = [
        (PurePosixPath(name.replace("\\", "/")), name, image["id"])
        for image in images
        if isinstance(name := image.get("file_name"), str)
    ]
    return {
        **_unique((path.stem, i) for path, _, i in files),
        **_unique((path.name, i) for path, _, i in files),
        **_unique((name, i) for _, name, i in files),
    }


def _unique(pairs: Iterable[tuple[Any, int]]) -> dict[str, int]:
    """Return what each name stands for, without names of several."""
    found: dict[str, set[int]] = {}
    for name, integer in pairs:
        if isinstance(name, str):
            found.setdefault(name, set()).add(integer)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}
