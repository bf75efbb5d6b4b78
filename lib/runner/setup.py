"""From the words on the command line to a checked set-up; every mistake is found here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from lib.parameter_names import STEP_NAMING
from lib.runner.own_runs import name_problems, taken, terms_for
from lib.runner.parameters import Parameter
from lib.runner.problems import UsageError
from lib.runner.profiles import Profile, Setting, dotted, load_profile, parse_assignment
from lib.runner.resolve import (
    PROFILE,
    missing_files,
    read_schemas,
    resolve_parameters,
    with_named_needs,
)
from lib.runner.stamps import read_stamp
from lib.runner.steps import Step, in_scope, matching, selection, with_needs_resolved
from lib.strict_yaml import read_yaml
from lib.study import Study
from lib.terms import Terms

Value = TypeVar("Value")

Parameters = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Setup:
    """What is asked for, checked.

    Args:
        study: the folders.
        profile: the profile.
        terms: under which name the run keeps what it makes, and how it departs from the profile.
        steps: all steps of the profile, with what they need as step ids; in order.
        schemas: the parameters that each notebook declares.
        parameters: the full set of parameters of each step, by step id.
        selected: ids of the steps to look at, needed ones included.
        force: ids of steps to run in any case.
        keep: ids of steps whose output is accepted as it is.
        absent: sentences on files that a plan lacks.
    """

    study: Study
    profile: Profile
    terms: Terms
    steps: tuple[Step, ...]
    schemas: dict[str, dict[str, Parameter]]
    parameters: Parameters
    selected: frozenset[str]
    force: frozenset[str] = field(default_factory=frozenset)
    keep: frozenset[str] = field(default_factory=frozenset)
    absent: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the run's folders: the profile's, unless it is a run of its own."""
        return self.terms.name

    @property
    def chosen(self) -> list[Step]:
        """The selected steps, in order."""
        return [step for step in self.steps if step.id in self.selected]


def prepare(
    study: Study,
    all_steps: Sequence[Step],
    *,
    profile: str = "demo",
    only: Sequence[str] = (),
    start: Sequence[str] = (),
    force: Sequence[str] = (),
    keep: Sequence[str] = (),
    assignments: Sequence[str] = (),
    name: str | None = None,
    planned: bool = False,
) -> Setup:
    """Check what is asked for, as written on the command line, and return what it means.

    Args:
        study: the folders.
        all_steps: those of all profiles.
        profile: its name.
        only: steps to run, with those they need; empty for all.
        start: steps to run with all that depend on them, and those they need; empty for all.
        force: steps to run even if they are up to date.
        keep: steps whose output is accepted although something changed.
        assignments: ``[STEP:]NAME=VALUE`` texts.
        name: of a run of its own; None for the profile's, or one made from what differs.
        planned: whether nothing will run; files that nobody has are then no mistake.

    Raises:
        UsageError: with every mistake at once, as sentences.
    """
    problems: list[str] = []  # whatever is called here adds its own
    stated, settings = _settings(study, profile, assignments, problems)
    steps = _steps_of(stated, all_steps, problems)
    flags = {"--only": only, "--from": start, "--force": force, "--keep": keep}
    asked = {
        flag: _named(names, flag, steps, problems, all_steps=all_steps, profile=profile)
        for flag, names in flags.items()
    }
    problems += [
        f"Step {step!r} is both in --force and in --keep; it can only be in one of them."
        for step in sorted(asked["--force"] & asked["--keep"])
    ]

    def is_there(step: Step) -> bool:
        return (study.notebooks / f"{step.notebook}.ipynb").exists()

    schemas, wrong = read_schemas(study, [step for step in all_steps if is_there(step)])
    problems += wrong
    known = [step for step in steps if step.notebook in schemas]
    parameters, wrong = resolve_parameters(known, schemas, settings, profile=profile)
    problems += wrong
    unfit = [] if name is None else name_problems(study, name)
    problems += unfit
    terms = Terms(profile, profile)
    if not wrong and not unfit:
        own, _ = resolve_parameters(known, schemas, stated.settings, profile=profile)
        terms = terms_for(profile, base=own, values=parameters, name=name, assignments=assignments)
        for values in parameters.values():
            values[PROFILE] = terms.name  # where the notebooks find their folders
        problems += taken(study, terms)
    steps, unnamed = with_named_needs(steps, parameters)
    selected = selection(steps, only=asked["--only"], start=asked["--from"])
    chosen = [step for step in steps if step.id in selected]
    problems += read_schemas(study, [step for step in chosen if not is_there(step)])[1]
    problems += _cycle(chosen)
    chosen = [step for step in chosen if step.id in parameters]
    problems += [problem for step in chosen for problem in unnamed.get(step.id, [])]
    for file in dict.fromkeys(file for step in chosen for file in step.files):
        problems += _unusable(study, file)
    problems += [
        f"--keep {step}: the step has nothing to keep in {'run' if terms.is_own else 'profile'} "
        f"{terms.name!r}; it was never begun."
        for step in sorted(asked["--keep"])
        if read_stamp(study, terms.name, step) is None
        and not study.step_folder(terms.name, step).exists()
    ]
    absent = missing_files(study, chosen, schemas, parameters)
    problems += [] if planned else absent
    if problems:
        raise UsageError(problems)
    return Setup(
        study=study,
        profile=stated,
        terms=terms,
        steps=tuple(
            replace(
                step,
                minutes=_meant(step, stated.minutes, step.minutes),
                takes=_meant(step, stated.gigabytes, step.takes),
            )
            for step in steps
        ),
        schemas=schemas,
        parameters=parameters,
        selected=frozenset(selected),
        force=frozenset(asked["--force"]),
        keep=frozenset(asked["--keep"]),
        absent=tuple(absent),
    )


def _settings(
    study: Study, name: str, assignments: Iterable[str], problems: list[str]
) -> tuple[Profile, list[Setting]]:
    """Return the profile of a name, and its settings followed by those asked for."""
    try:
        profile = load_profile(study, name)
    except UsageError as error:
        problems += error.problems
        profile = Profile(name=name, description="")
    settings = list(profile.settings)
    for text in assignments:
        try:
            settings.append(parse_assignment(text))
        except ValueError as error:
            problems.append(str(error))
    return profile, settings


def _steps_of(profile: Profile, all_steps: Sequence[Step], problems: list[str]) -> tuple[Step, ...]:
    """Return the steps that a profile runs; every name of a step in its file is checked."""
    ids = {
        part: _named(names, f"{part} of params/{profile.name}.yaml", all_steps, problems)
        for part, names in (
            ("leave_out", profile.leave_out),
            ("add", profile.add),
            ("minutes", profile.minutes),
            ("gigabytes", profile.gigabytes),
            ("steps", [name for name, values in profile.steps.items() if not values]),
        )  # a name of `steps` with values is checked with these
    }
    steps = [s for s in all_steps if s.id not in ids["leave_out"]]
    steps = [s for s in steps if not s.extra or s.id in ids["add"]]
    try:
        steps = with_needs_resolved(steps)
    except ValueError as error:
        problems.append(str(error))
    return tuple(steps)


def _named(
    names: Iterable[str],
    origin: str,
    steps: Sequence[Step],
    problems: list[str],
    *,
    all_steps: Sequence[Step] = (),
    profile: str = "",
) -> set[str]:
    """Return the ids of those of ``steps`` that names mean.

    Args:
        names: as they were given.
        origin: where they were given.
        steps: those that can be meant.
        problems: gets what is wrong with the names.
        all_steps: those of all profiles, to tell names that a profile leaves out.
        profile: its name.
    """
    found: set[str] = set()
    for name in names:
        if not name:
            problems.append(f"{origin} has an empty name. Give ids of steps, with commas.")
            continue
        try:
            found |= set(matching(name, steps))
        except ValueError as error:
            there = [step for step in all_steps if in_scope(step, name)]
            reason = f"Profile {profile!r} leaves out step {name!r}." if there else str(error)
            if there and all(step.extra for step in there):
                reason = f"Step {name!r} is extra: name it in `add` of params/{profile}.yaml."
            problems.append(f"{origin}: {reason}")
    return found


def _cycle(steps: Iterable[Step]) -> list[str]:
    """Return a sentence if some of ``steps`` would wait for each other."""
    try:
        TopologicalSorter({step.id: step.needs for step in steps}).prepare()
    except CycleError as error:
        *_, found = error.args
        return [
            f"These steps would wait for each other: {', which is needed by '.join(found)}. Change "
            f"{' or '.join(map(dotted, STEP_NAMING))}, which name a step that theirs needs."
        ]
    return []


def _unusable(study: Study, name: str) -> list[str]:
    """Return a sentence if something is wrong with a further file that steps depend on."""
    path = study.root / name
    if not path.exists():
        return [f"Steps depend on {name}, which does not exist."]
    try:
        if path == study.params / "claims.yaml":
            from lib.metrics.claims import load_claims  # a slow import

            load_claims(root=study.root)
        elif path.suffix == ".yaml":
            read_yaml(path, name)
    except ValueError as error:
        return [str(error)]
    return []


def _meant(step: Step, stated: Mapping[str, Value], otherwise: Value) -> Value:
    """Return what is stated for a step; of several names that mean it, the longest counts."""
    names = [name for name in stated if in_scope(step, name)]
    return stated[max(names, key=len)] if names else otherwise
