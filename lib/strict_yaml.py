"""YAML of people's: plain values alone, and every mistake a sentence with the line.

Aliases, with which a few lines stand for gigabytes, tags, and names that are given twice are
refused.
"""

import re
from pathlib import Path
from typing import Any

import yaml

SHOWN = 100
"""Characters of a value or a parser's remark that a message shows."""


class _Loader(yaml.SafeLoader):
    """YAML where ``1e-3`` is a number, and a date or ``no`` is a text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node, unless it is an alias or has a tag."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.tag:
            _refuse(event, "aliases and tags are not allowed; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, unless a name is no text or occurs twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                _refuse(key, "a name must be text")
            if key.value in seen:
                _refuse(key, f"{key.value!r} is given twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", "|~|null", ["", "~", "n"]),
    ("bool", "true|True|false|False", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9]\d*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+)|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
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
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{where}{cut(str(error.problem))}") from None
    except RecursionError:
        raise ValueError("its lists and mappings stand inside each other too deeply") from None
    except (yaml.YAMLError, ValueError) as error:  # such as an integer of ten thousand digits
        raise ValueError(cut(str(error))) from None


def read_yaml(path: Path, shown: str) -> Any:
    """Return the value of a YAML file in UTF-8.

    Args:
        path: of the file.
        shown: what messages call it.

    Raises:
        ValueError: if it cannot be read or is not YAML; a sentence that names file and line.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ValueError(f"{shown} is not UTF-8: save it as UTF-8.") from None
    except ValueError as error:
        raise ValueError(f"{shown} is not valid YAML: {error}.") from None
