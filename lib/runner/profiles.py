"""Profiles: one YAML file each, which only replaces notebooks' defaults."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lib.runner.problems import UsageError, nearest
from lib.runner.settings import Setting, flatten
from lib.runner.steps import Amount, Gigabytes
from lib.strict_yaml import cut, read_yaml
from lib.study import Study

NOT_PROFILES = {"claims"}
"""Files in ``params/`` that are something else."""


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
