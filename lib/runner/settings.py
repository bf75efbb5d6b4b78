"""Values that replace a notebook's defaults: from a profile or from ``--set``.

``grabcut.iterations`` in a profile or on the command line is ``grabcut_iterations`` in a notebook;
nesting in YAML counts as dots.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib.strict_yaml import cut, parse_yaml


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


def flatten(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a nested mapping by name; dots and nesting become underscores.

    Raises:
        ValueError: if two of its names mean the same one.
    """
    found: dict[str, Any] = {}
    for name, value in _leaves(mapping, ""):
        if name in found:
            raise ValueError(f"{cut(dotted(name))!r} is given twice, in two spellings.")
        found[name] = value
    return found


def _leaves(mapping: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        name = f"{prefix}{key}".replace(".", "_")
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}_")
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
            f"--set {cut(text)!r} is not of the form NAME=VALUE or STEP:NAME=VALUE, "
            "such as grabcut.iterations=3."
        )
    scope, colon, name = target.rpartition(":")
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise ValueError(f"The value of --set {cut(text)!r} is not valid YAML: {error}.") from error
    if isinstance(parsed, dict):
        raise ValueError(f"--set {cut(text)!r} gives a mapping; set one parameter at a time.")
    return Setting(
        name=name.strip().replace(".", "_"),
        value=parsed,
        scope=scope.strip() if colon else None,
        origin="--set",
    )
