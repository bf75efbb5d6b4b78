"""Categories as tools list them: a made-up root that is no class, one category listed twice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lib.data.numbers import is_integer, is_key, whole
from lib.data.repair.counts import Repairs

Entry = dict[str, Any]


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
    """Return the categories of a set without roots that no annotation uses."""
    categories: list[Entry] = content["categories"]
    roots = [c for c in possible_roots(categories) if is_integer(whole(c.get("id")))]
    if not roots:
        return categories
    used = {whole(a.get("category_id")) for a in content["annotations"]}
    same = Counter(c.get("name") for c in categories if isinstance(c.get("name"), str))
    named = {
        a["category_id"]
        for a in content["annotations"]
        if isinstance(a.get("category_id"), str) and same[a["category_id"]] == 1
    }
    roots = [c for c in roots if whole(c["id"]) not in used and c["name"] not in named]
    repairs.add("category_root", *(c["name"] for c in roots))
    return [c for c in categories if not any(c is root for root in roots)]


def once(categories: list[Entry], repairs: Repairs) -> list[Entry]:
    """Return the categories without further entries of the same id and name."""
    seen: set[tuple[Any, Any]] = set()
    first: list[Entry] = []
    for category in categories:
        key = (category.get("id"), category.get("name"))
        if not all(map(is_key, key)) or key not in seen:
            first.append(category)
            seen.update([key] if all(map(is_key, key)) else [])
        else:
            repairs.add("category_repeated", category["name"])
    return first
