"""YAML of people's: plain values alone, and every mistake a sentence with the line.

What YAML has besides is refused: aliases, with which a few lines stand for gigabytes, tags, which
make objects, names that are no text, and nesting without end.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml

LARGEST = 400_000
"""Greatest size of a text, in bytes; the list of the papers' claims has a quarter of it."""

DEEPEST = 20
"""Greatest number of lists and mappings inside each other."""

SHOWN = 100
"""Characters of a value or a parser's remark that a message shows."""


_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that YAML can spell and neither a file's name nor a page can have."""


class _Loader(yaml.SafeLoader):
    """YAML without what is refused, where ``1e-3`` is a number, and a date or ``no`` is a text."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node, unless it is of a kind that is refused."""
        event = self.peek_event()
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            _refuse(event, f"aliases ({sign}{anchor}) are not allowed; write the value out")
        if tag is not None:
            _refuse(event, f"tags ({tag}) are not allowed; write a plain value")
        if found := _UNSHOWN.search(getattr(event, "value", "")):
            _refuse(event, f"the character U+{ord(found[0]):04X} is not allowed")
        self.depth += 1
        if self.depth > DEEPEST:
            _refuse(event, f"more than {DEEPEST} lists and mappings stand inside each other")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, unless a name is no text or occurs twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                word = repr(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                _refuse(key, f"a name must be text, not {word}")
            if key.value in seen:
                _refuse(key, f"{key.value!r} is given twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: Any) -> float:
        """Return the number, unless it is not finite."""
        value = float(super().construct_yaml_float(node))
        if not math.isfinite(value):
            _refuse(node, f"{node.value} is no finite number")
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith((":bool", ":float", ":timestamp", ":value"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(?:inf|nan))$", re.I
    ),
    list("-+.0123456789"),
)


def _refuse(at: Any, problem: str) -> None:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def cut(text: str, length: int = SHOWN) -> str:
    """Return ``text`` on one line, and its beginning alone where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ValueError: if it is not YAML, or has what is refused; the message has the line.
    """
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} characters, more than {LARGEST:,}")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{error.character:04X} is not allowed"
        raise ValueError(f"line {line}: {problem}") from None
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        context = f"{error.context}, " if (error.problem or "").startswith("but ") else ""
        raise ValueError(f"{where}{cut(f'{context}{error.problem}')}") from None
    except (ValueError, OverflowError) as error:  # such as an integer of ten thousand digits
        raise ValueError(f"a value of it cannot be: {cut(str(error))}") from None


def read_yaml(path: Path, shown: str) -> Any:
    """Return the value of a YAML file in UTF-8.

    Args:
        path: of the file.
        shown: what messages call it.

    Raises:
        ValueError: if it cannot be read or is not YAML; a sentence that names file and line.
    """
    try:
        if not path.is_file():
            raise ValueError(f"{shown} is no file.")
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"{shown} has {size:,} bytes; at most {LARGEST:,} are read.")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{shown} is not UTF-8 (line {line}, byte {error.start}): save it as UTF-8."
        ) from None
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ValueError(f"{shown} is not valid YAML: {error}.") from None
