"""The value of every parameter of every step; all mistakes are found before anything runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_origin

from lib import paths
from lib.parameter_names import FILE_SUFFIXES, PATH_ENDINGS, STEP_NAMING, WEIGHTS_WITHOUT_FILE
from lib.runner.parameters import Parameter, read_parameters
from lib.runner.problems import nearest
from lib.runner.profiles import Setting, dotted
from lib.runner.steps import Step, in_scope, matching
from lib.strict_yaml import cut
from lib.study import Study

PROFILE = "profile"
"""The parameter that every notebook has, and that the runner sets."""

Schemas = Mapping[str, Mapping[str, Parameter]]


def read_schemas(
    study: Study, steps: Sequence[Step]
) -> tuple[dict[str, dict[str, Parameter]], list[str]]:
    """Return the parameters of every step's notebook, and what is wrong with them.

    Returns:
        The parameters by notebook, and a sentence for each notebook that is missing or has no
        proper parameters cell.
    """
    schemas: dict[str, dict[str, Parameter]] = {}
    problems: list[str] = []
    for notebook in dict.fromkeys(step.notebook for step in steps):
        try:
            schemas[notebook] = read_parameters(
                study.notebooks / f"{notebook}.ipynb", root=study.root
            )
        except (ValueError, FileNotFoundError) as error:
            problems.append(str(error))
    return schemas, problems


def resolve_parameters(
    steps: Sequence[Step],
    schemas: Schemas,
    settings: Sequence[Setting],
    *,
    profile: str,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the full set of parameters of every step, by step id, and what is wrong with them.

    Defaults give way to settings without scope, these to settings of a notebook or step, in the
    order given. What makes a step the variant that it is cannot be set.

    Returns:
        The parameters, and a sentence for each unknown name, unknown step and wrong type.
    """
    problems = [problem for s in settings if (problem := _misnamed(s, steps, schemas))]
    problems += [
        f"lib/steps.py gives {step.id!r} the parameter {name!r}, which "
        f"notebooks/{step.notebook}.ipynb does not declare."
        f"{nearest(name, schemas[step.notebook])}"
        for step in steps
        for name in [PROFILE, *step.parameters]
        if name not in schemas[step.notebook]
    ]
    resolved: dict[str, dict[str, Any]] = {}
    for step in steps:
        schema = schemas[step.notebook]
        fixed = dict(step.parameters) | {PROFILE: profile}
        values = {name: parameter.default for name, parameter in schema.items()}
        meant = [s for s in settings if s.scope is None or in_scope(step, s.scope)]
        given = [s for s in meant if s.name in schema and s.name not in fixed]
        given += [Setting(n, v, None, "lib/steps.py") for n, v in fixed.items()]
        for setting in (s for s in given if s.name in schema):
            try:
                values[setting.name] = schema[setting.name].check(setting.value)
            except ValueError as error:
                problems.append(f"{cut(dotted(setting.name))} ({setting.origin}) {error}.")
        resolved[step.id] = values
    return resolved, problems


def _misnamed(setting: Setting, steps: Sequence[Step], schemas: Schemas) -> str | None:
    """Return what is wrong with the name or the scope of a setting, if anything."""
    if setting.name == PROFILE:
        return f"The profile cannot be set by {setting.origin}; use --profile."
    meant = list(steps)
    if setting.scope is not None:
        try:
            ids = matching(setting.scope, steps)
        except ValueError as error:
            return f"{setting.origin}: {error}"
        meant = [step for step in steps if step.id in ids]
    names = {name for step in meant for name in schemas[step.notebook]}
    where = f"step {setting.scope!r}" if setting.scope else "any notebook of this profile"
    if setting.name not in names:
        offers = {dotted(name) for name in names - {PROFILE}}
        known = nearest(dotted(setting.name), offers)
        name = cut(dotted(setting.name))
        return f"{name} ({setting.origin}) is not a parameter of {where}.{known}"
    declaring = [step for step in meant if setting.name in schemas[step.notebook]]
    if all(setting.name in step.parameters for step in declaring):
        return (
            f"{dotted(setting.name)} ({setting.origin}) is what makes each variant what it is, "
            "so it cannot be set. Choose variants with --only."
        )
    return None


def with_named_needs(
    steps: Sequence[Step], parameters: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[Step, ...], dict[str, list[str]]]:
    """Add to each step's needs the steps that its parameters name.

    Args:
        steps: with what they need as step ids.
        parameters: the full set of parameters of each, by step id.

    Returns:
        The steps, and by step id the sentences on parameters that name no other step.
    """
    ids = [step.id for step in steps]
    found: list[Step] = []
    problems: dict[str, list[str]] = {}
    for step in steps:
        needs = step.needs
        for parameter in STEP_NAMING:
            name = parameters.get(step.id, {}).get(parameter)
            if name and (name not in ids or name == step.id):
                others = [other for other in ids if other != step.id]
                problems.setdefault(step.id, []).append(
                    f"{dotted(parameter)} of step {step.id} names {cut(name)!r}, which is no other "
                    f"step of this profile.{nearest(str(name), others)}"
                )
            elif name and name not in needs:
                needs = (*needs, name)
        found.append(replace(step, needs=needs))
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
    study: Study, steps: Iterable[Step], schemas: Schemas, parameters: Mapping[str, dict[str, Any]]
) -> list[str]:
    """Return a sentence for each file or folder that a parameter names and nobody has.

    Args:
        study: the folders.
        steps: to look at.
        schemas: the parameters that each notebook declares.
        parameters: the full set of parameters of each step, by step id.
    """
    naming: dict[tuple[str, str], list[str]] = {}
    for step in steps:
        for name, value in _paths(schemas[step.notebook], parameters[step.id]):
            if _find(study, value) is None:
                naming.setdefault((name, value), []).append(step.id)
    places = ", ".join("the repository" if r == study.root else str(r) for r in _roots(study))
    return [
        f"{dotted(name)} of step {ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''} "
        f"names {cut(value)!r}, which does not exist in {places}.{_offer(study, value)}"
        for (name, value), ids in naming.items()
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


def _offer(study: Study, value: str) -> str:
    """Return an offer of the name most like a file's, if its folder is there."""
    path = paths.expanded(value)
    for root in _roots(study):
        folder = root / path.parent
        if path.parent.name and paths.exists(folder) and folder.is_dir():
            offer = nearest(path.name, [place.name for place in folder.iterdir()])
            if "Did you mean" in offer:
                return f"{offer[:-1]} (in {path.parent})?"
    return ""
