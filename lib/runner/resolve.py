"""The value of every parameter of every step; all mistakes are found before anything runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_origin

from lib import paths
from lib.parameter_names import FILE_SUFFIXES, PATH_ENDINGS, STEP_NAMING, WEIGHTS_WITHOUT_FILE
from lib.runner.parameters import Parameter
from lib.runner.problems import nearest
from lib.runner.profiles import Setting, dotted
from lib.runner.repetitions import meant_by
from lib.runner.steps import Step, in_scope, matching
from lib.strict_yaml import cut
from lib.study import Study

PROFILE = "profile"
"""The parameter that every notebook has, and that the runner sets."""

VARIANT = "variant"
"""The parameter of a notebook with several variants, which the runner sets too."""

Schemas = Mapping[str, Mapping[str, Parameter]]

Parameters = dict[str, dict[str, Any]]
"""The full set of parameters of each step, by step id."""


def resolve_parameters(
    steps: Sequence[Step], schemas: Schemas, settings: Sequence[Setting], *, profile: str
) -> tuple[Parameters, list[str]]:
    """Return the full set of parameters of every step, and what is wrong with them.

    Defaults give way to settings without scope, these to settings of a notebook or step, in the
    order given. What makes a step the variant that it is cannot be set.

    Returns:
        The parameters, and a sentence for each unknown name, unknown step and wrong type.
    """
    problems = [problem for s in settings if (problem := _misnamed(s, steps, schemas))]
    resolved: Parameters = {}
    for step in steps:
        schema = schemas[step.notebook]
        fixed = dict(step.parameters) | {PROFILE: profile}
        if VARIANT in schema:
            fixed[VARIANT] = step.variant
        values = {name: parameter.default for name, parameter in schema.items()}
        given = [s for s in settings if s.scope is None or in_scope(step, s.scope)]
        given = [s for s in given if s.name in schema and s.name not in fixed]
        for setting in [*given, *(Setting(n, v, None, "lib/steps.py") for n, v in fixed.items())]:
            try:
                values[setting.name] = schema[setting.name].check(setting.value)
            except ValueError as error:
                problems.append(f"{cut(dotted(setting.name))} ({setting.origin}) {error}.")
            except KeyError:
                problems.append(
                    f"lib/steps.py gives {step.id!r} the parameter {setting.name!r}, which its "
                    f"notebook does not declare.{nearest(setting.name, schema)}"
                )
        resolved[step.id] = values
    return resolved, problems


def name_repetitions(steps: Sequence[Step], parameters: Parameters) -> None:
    """Let each parameter that names a repeated step name the repetition that is meant."""
    for step in steps:
        values = parameters.get(step.id, {})
        for name in values.keys() & set(STEP_NAMING):
            values[name] = meant_by(values[name], step, steps)


def _misnamed(setting: Setting, steps: Sequence[Step], schemas: Schemas) -> str | None:
    """Return what is wrong with the name or the scope of a setting, if anything."""
    try:
        ids = matching(setting.scope, steps) if setting.scope else [step.id for step in steps]
    except ValueError as error:
        return f"{setting.origin}: {error}"
    meant = [step for step in steps if step.id in ids]
    declaring = [step for step in meant if setting.name in schemas[step.notebook]]
    name = f"{cut(dotted(setting.name))} ({setting.origin})"
    if not declaring:
        offers = {dotted(other) for step in meant for other in schemas[step.notebook]}
        where = f"step {setting.scope!r}" if setting.scope else "any notebook of this profile"
        return f"{name} is not a parameter of {where}.{nearest(dotted(setting.name), offers)}"
    if setting.name in (PROFILE, VARIANT) or all(
        setting.name in step.parameters for step in declaring
    ):
        return f"{name} makes a step what it is and cannot be set: use --profile or --only."
    return None


def with_named_needs(
    steps: Sequence[Step], parameters: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[Step, ...], dict[str, str]]:
    """Add to each step's needs the steps that its parameters name.

    Args:
        steps: with what they need as step ids.
        parameters: the full set of parameters of each, by step id.

    Returns:
        The steps, and by step id a sentence on a parameter that names no other step.
    """
    found: list[Step] = []
    problems: dict[str, str] = {}
    for step in steps:
        others = [other.id for other in steps if other.id != step.id]
        named = {key: parameters.get(step.id, {}).get(key) for key in STEP_NAMING}
        for key, name in named.items():
            if name and name not in others:
                problems[step.id] = (
                    f"{dotted(key)} of step {step.id} names {cut(name)!r}, which is no other "
                    f"step of this profile.{nearest(name, {s.base for s in steps} - {step.base})}"
                )
        right = [name for name in named.values() if name in others]
        found.append(replace(step, needs=tuple(dict.fromkeys([*step.needs, *right]))))
    return tuple(found), problems


def named_files(
    study: Study, schema: Mapping[str, Parameter], parameters: Mapping[str, Any]
) -> dict[str, Path]:
    """Return the existing files and folders that text parameters name, by parameter."""
    return {
        name if value == parameters[name] else f"{name} {value}": path
        for name, value in _paths(schema, parameters)
        if (path := _find(study, value)) is not None
    }


def missing_files(
    study: Study, steps: Iterable[Step], schemas: Schemas, parameters: Parameters
) -> list[str]:
    """Return a sentence for each file or folder that parameters of steps name and nobody has."""
    naming: dict[str, str] = {}
    for step in steps:
        for name, value in _paths(schemas[step.notebook], parameters[step.id]):
            if _find(study, value) is None:
                naming.setdefault(value, f"{dotted(name)} of step {step.id}")
    places = ", ".join("the repository" if r == study.root else str(r) for r in _roots(study))
    return [
        f"{cut(value)!r}, which {first} names, does not exist in {places}."
        for value, first in naming.items()
    ]


def _paths(
    schema: Mapping[str, Parameter], parameters: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the names and values of parameters that name a file or folder; of lists each entry."""
    for name, given in parameters.items():
        if get_origin(schema[name].type) is Literal:  # one of a fixed set of words
            continue
        for value in given if isinstance(given, list) else [given]:
            if not isinstance(value, str) or not value or "://" in value:
                continue
            if name.endswith("_weights") and value in WEIGHTS_WITHOUT_FILE:
                continue
            if name.endswith(PATH_ENDINGS) or value.lower().endswith(FILE_SUFFIXES):
                yield name, value


def _roots(study: Study) -> list[Path]:
    return [study.root, *paths.data_folders()]


def _find(study: Study, value: str) -> Path | None:
    candidates = [root / paths.expanded(value) for root in _roots(study)]
    return next((path for path in candidates if paths.exists(path)), None)
