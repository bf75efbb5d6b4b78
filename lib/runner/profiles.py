"""Values that replace notebooks' defaults: from a profile, one YAML file each, or from ``--set``.

``grabcut.iterations`` in a profile or on the command line is ``grabcut_iterations`` in a notebook;
nesting in YAML counts as dots.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lib.runner.problems import UsageError, nearest
from lib.runner.steps import Amount, Gigabytes
from lib.strict_yaml import cut, parse_yaml, read_yaml
from lib.study import Study

NOT_PROFILES = {"claims"}
"""Files in ``params/`` that are something else."""


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


class _File(BaseModel):
    """What a profile's YAML may hold."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    description: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = Field(default_factory=dict)
    leave_out: list[str] = Field(default_factory=list)
    add: list[str] = Field(default_factory=list)
    minutes: dict[str, Amount] = Field(default_factory=dict)
    gigabytes: dict[str, Gigabytes] = Field(default_factory=dict)


class Profile(_File):
    """A profile as read from its file.

    Args:
        name: the file's name without suffix.
        description: a sentence or two for people.
        parameters: values for all notebooks that have such a parameter.
        steps: values for one notebook or step.
        leave_out: notebooks or steps that it does not run.
        add: steps that it runs although they are extra.
        minutes: expected time of notebooks or steps.
        gigabytes: expected room of notebooks or steps.
        settings: the values of ``parameters`` and ``steps``, later ones winning.
    """

    name: str
    settings: tuple[Setting, ...] = ()


def profile_names(study: Study) -> list[str]:
    """Return the names of all profiles of a study."""
    return sorted(p.stem for p in study.params.glob("*.yaml") if p.stem not in NOT_PROFILES)


def load_profile(study: Study, name: str) -> Profile:
    """Return the profile called ``name``.

    Raises:
        UsageError: if there is none, or its file does not have the form of a profile.
    """
    names = profile_names(study)
    if name not in names:
        raise UsageError([f"There is no profile {cut(name)!r}.{nearest(name, names)}"])
    path = study.params / f"{name}.yaml"
    origin = study.relative(path)
    try:
        file = _File.model_validate_json(json.dumps(read_yaml(path, origin)))
        settings = tuple(_settings(file.parameters, file.steps, origin))
    except ValidationError as error:
        raise UsageError(_sentences(error, origin)) from error
    except ValueError as error:
        raise UsageError([str(error)]) from error
    fields = dict(file) | {"description": " ".join(file.description.split())}
    return Profile(name=name, settings=settings, **fields)


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


def _settings(
    parameters: dict[str, Any], steps: dict[str, dict[str, Any]], origin: str
) -> Iterator[Setting]:
    # A notebook's overrides come before those of its variants, whichever is written first.
    scopes = sorted(steps, key=lambda name: name.count("."))
    for scope, values in [(None, parameters), *((name, steps[name]) for name in scopes)]:
        try:
            yield from (Setting(k, v, scope, origin) for k, v in flatten(values).items())
        except ValueError as error:
            where = f" for step {cut(scope)!r}" if scope else ""
            raise ValueError(f"{origin}{where}: {error}") from error


def _sentences(error: ValidationError, origin: str) -> Iterator[str]:
    for entry in error.errors():
        where = cut(".".join(str(part) for part in entry["loc"]))
        if entry["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            known = nearest(where, _File.model_fields)
            yield f"{origin}: {where!r} is not a part of a profile.{known}"
        elif not where:
            yield f"{origin} must be a mapping with `description` and `parameters`."
        else:
            yield f"{origin}: {where!r} is wrong: {entry['msg']}."
