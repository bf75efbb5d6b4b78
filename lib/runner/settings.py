"""Values that replace a notebook's defaults: from a profile or from ``--set``.

``grabcut.iterations`` in a profile or on the command line is ``grabcut_iterations`` in a notebook;
nesting in YAML counts as dots.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """YAML where repeated keys are errors, ``1e-3`` is a number, and only true/false are bool."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping, unless a key occurs twice (PyYAML would keep the last one)."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                mark = key.start_mark
                raise yaml.YAMLError(f"{key.value!r} is given twice (line {mark.line + 1})")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF")
)
StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(?:inf|nan))$", re.I
    ),
    list("-+.0123456789"),
)


@dataclass(frozen=True)
class Setting:
    """One value for one parameter.

    Args:
        name: the notebook's name of the parameter, with underscores.
        value: as read from YAML.
        scope: a step id or a notebook's name; None for every notebook that has the parameter.
        origin: where it was given, for messages: ``params/demo.yaml`` or ``--set``.
    """

    name: str
    value: Any
    scope: str | None
    origin: str


def dotted(name: str) -> str:
    """Return a parameter's name as profiles and ``--set`` spell it."""
    return name.replace("_", ".", 1)


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ValueError: if it is not YAML, with the place.
    """
    try:
        return yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def flatten(mapping: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(name, value)`` of a nested mapping; dots and nesting become underscores."""
    for key, value in mapping.items():
        name = f"{prefix}{key}".replace(".", "_")
        if isinstance(value, dict):
            yield from flatten(value, f"{name}_")
        else:
            yield name, value


def parse_assignment(text: str) -> Setting:
    """Return the setting of one ``--set`` argument, ``[STEP:]NAME=VALUE``.

    Raises:
        ValueError: if there is no ``=`` or the value is not YAML.
    """
    target, equals, value = text.partition("=")
    if not equals or not target.strip():
        raise ValueError(
            f"--set {text!r} is not of the form NAME=VALUE or STEP:NAME=VALUE, "
            "such as grabcut.iterations=3."
        )
    scope, colon, name = target.rpartition(":")
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise ValueError(f"The value of --set {text!r} is not valid YAML: {error}.") from error
    if isinstance(parsed, dict):
        raise ValueError(f"--set {text!r} gives a mapping; set one parameter at a time.")
    return Setting(
        name=name.strip().replace(".", "_"),
        value=parsed,
        scope=scope.strip() if colon else None,
        origin="--set",
    )
