"""Values that replace notebooks' defaults: from a profile, one YAML file each, or from ``--set``.

``grabcut.iterations`` in a profile or on the command line is ``grabcut_iterations`` in a notebook;
nesting in YAML counts as dots.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lib.runner.problems import UsageError, nearest
from lib.runner.steps import Amount, Gigabytes
from lib.strict_yaml import cut, parse_yaml, read_yaml
from lib.study import Study

NOT_PROFILES = {"claims"}
"""Files in ``params/`` that are something else."""

MOST_SEEDS = 100
"""More are taken for a slip."""


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


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested mapping by name; dots and nesting become underscores.

    Raises:
        ValueError: if two of its names mean the same one.
    """
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}".replace(".", "_")
        nested = isinstance(value, Mapping) and value
        values = flatten(value, f"{name}_") if nested else {name: value}
        if twice := found.keys() & values:
            raise ValueError(f"{cut(dotted(min(twice)))!r} is given twice, in two spellings")
        found |= values
    return found


Values = Annotated[dict[str, Any], AfterValidator(flatten)]
"""Parameters and their values, as notebooks name them."""


class Profile(BaseModel):
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
        seeds: how often each training of a notebook, or a step, is repeated; else it is once.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    name: str
    description: str
    parameters: Values = Field(default_factory=dict)
    steps: dict[str, Values] = Field(default_factory=dict)
    leave_out: list[str] = Field(default_factory=list)
    add: list[str] = Field(default_factory=list)
    minutes: dict[str, Amount] = Field(default_factory=dict)
    gigabytes: dict[str, Gigabytes] = Field(default_factory=dict)
    seeds: dict[str, Annotated[int, Field(ge=1, le=MOST_SEEDS)]] = Field(default_factory=dict)

    @property
    def settings(self) -> list[Setting]:
        """The values of ``parameters`` and ``steps``, later ones winning."""
        # A notebook's overrides come before those of its variants, whichever is written first.
        scopes = sorted(self.steps, key=lambda name: name.count("."))
        given = [(None, self.parameters), *((scope, self.steps[scope]) for scope in scopes)]
        origin = f"params/{self.name}.yaml"
        return [
            Setting(name, value, scope, origin)
            for scope, values in given
            for name, value in values.items()
        ]


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
    origin = f"params/{name}.yaml"
    try:
        content = read_yaml(study.root / origin, origin)
        if not isinstance(content, dict):
            raise ValueError(f"{origin} must be a mapping with `description` and `parameters`.")
        profile = Profile.model_validate_json(json.dumps(content | {"name": name}))
    except ValidationError as error:
        raise UsageError(_sentence(entry, origin) for entry in error.errors()) from error
    except ValueError as error:
        raise UsageError([str(error)]) from error
    return profile.model_copy(update={"description": " ".join(profile.description.split())})


def _sentence(entry: Mapping[str, Any], origin: str) -> str:
    """Return one of pydantic's problems as a sentence."""
    where = cut(".".join(map(str, entry["loc"])))
    if entry["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = nearest(where, Profile.model_fields)
        return f"{origin}: {where!r} is not a part of a profile.{known}"
    return f"{origin}: {where!r} is wrong: {entry['msg']}."


def parse_assignment(text: str) -> Setting:
    """Return the setting of one ``--set`` argument, ``[STEP:]NAME=VALUE``.

    Raises:
        ValueError: if there is no ``=`` or the value is not YAML.
    """
    target, equals, value = text.partition("=")
    scope, colon, name = target.rpartition(":")
    if not equals or not name.strip():
        raise ValueError(
            f"--set {cut(text)!r} is not of the form NAME=VALUE or STEP:NAME=VALUE, "
            "such as grabcut.iterations=3."
        )
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise ValueError(f"The value of --set {cut(text)!r} is not valid YAML: {error}.") from error
    return Setting(
        name=name.strip().replace(".", "_"),
        value=parsed,
        scope=scope.strip() if colon else None,
        origin="--set",
    )
