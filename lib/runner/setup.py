"""From the words on the command line to a checked set-up; every mistake is found here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from lib.runner.own_runs import name_problems, taken, terms_for
from lib.runner.parameters import Parameter
from lib.runner.problems import UsageError
from lib.runner.profiles import Profile, load_profile
from lib.runner.resolve import (
    PROFILE,
    missing_files,
    read_schemas,
    resolve_parameters,
    with_named_needs,
)
from lib.runner.settings import Setting, parse_assignment
from lib.runner.stamps import read_stamp
from lib.runner.steps import Step, in_scope, matching, with_needs_resolved
from lib.strict_yaml import read_yaml
from lib.study import Study
from lib.terms import Terms

Value = TypeVar("Value")


@dataclass(frozen=True)
class Request:
    """What the command line asks for, as written there.

    Args:
        profile: name of the profile.
        only: steps to run, with those they need; empty for all.
        start: steps to run with all that depend on them, and those they need; empty for all.
        force: steps to run even if they are up to date.
        keep: steps whose output is accepted although something changed.
        assignments: ``[STEP:]NAME=VALUE`` texts.
        name: of a run of its own; None for the profile's, or one made from what differs.
        planned: whether nothing will run; files that nobody has are then no mistake.
    """

    profile: str = "demo"
    only: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    name: str | None = None
    planned: bool = False


@dataclass(frozen=True)
class Setup:
    """A checked request.

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
    parameters: dict[str, dict[str, Any]]
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


def prepare(study: Study, all_steps: Sequence[Step], request: Request) -> Setup:
    """Check a request and return what it means.

    Raises:
        UsageError: with every mistake at once, as sentences.
    """
    profile, settings, problems = _settings(study, request)

    named = {
        "leave_out": profile.leave_out,
        "add": profile.add,
        "minutes": profile.minutes,
        "gigabytes": profile.gigabytes,
        "steps": set(profile.scopes) - {setting.scope for setting in settings},
    }
    meant: dict[str, set[str]] = {}
    for part, those in named.items():
        meant[part], wrong = _named(those, all_steps, f"{part} of params/{profile.name}.yaml")
        problems += wrong
    steps = tuple(
        step
        for step in all_steps
        if step.id not in meant["leave_out"] and (not step.extra or step.id in meant["add"])
    )
    try:
        steps = tuple(with_needs_resolved(steps))
    except ValueError as error:
        problems.append(str(error))
    chosen: dict[str, set[str]] = {}
    for option in ("only", "start", "force", "keep"):
        flag = "--from" if option == "start" else f"--{option}"
        names = getattr(request, option)
        chosen[option], wrong = _named(names, steps, flag, all_steps, profile.name)
        problems += wrong
    problems += [
        f"Step {name!r} is both in --force and in --keep; it can only be in one of them."
        for name in sorted(chosen["force"] & chosen["keep"])
    ]
    selected = _selection(steps, chosen["only"], chosen["start"])

    present = [s for s in all_steps if (study.notebooks / f"{s.notebook}.ipynb").exists()]
    wanted = [s for s in steps if s.id in selected and s not in present]
    schemas, wrong = read_schemas(study, [*present, *wanted])
    problems += wrong
    known = [step for step in steps if step.notebook in schemas]
    parameters, wrong = resolve_parameters(known, schemas, settings, profile=profile.name)
    base, _ = resolve_parameters(known, schemas, profile.settings, profile=profile.name)
    terms, unnameable = _terms(study, request, None if wrong else base, parameters)
    problems += [*wrong, *unnameable]
    steps, unnamed = with_named_needs(steps, parameters)
    selected = _selection(steps, chosen["only"], chosen["start"])
    problems += _cycle(step for step in steps if step.id in selected)
    chosen_steps = [step for step in steps if step.id in selected and step.id in parameters]
    absent = missing_files(study, chosen_steps, schemas, parameters)
    for step in chosen_steps:
        problems += unnamed.get(step.id, [])
        problems += [p for name in step.files if (p := _unusable(study, step.id, name))]
    problems += [
        f"--keep {name}: the step has nothing to keep in {_called(terms)}; it was never begun."
        for name in sorted(chosen["keep"])
        if read_stamp(study, terms.name, name) is None
        and not study.step_folder(terms.name, name).exists()
    ]
    problems += [] if request.planned else absent
    if problems:
        raise UsageError(problems)
    return Setup(
        study=study,
        profile=profile,
        terms=terms,
        steps=_with_expectations(steps, profile),
        schemas=schemas,
        parameters=parameters,
        selected=frozenset(selected),
        force=frozenset(chosen["force"]),
        keep=frozenset(chosen["keep"]),
        absent=tuple(absent),
    )


def _settings(study: Study, request: Request) -> tuple[Profile, list[Setting], list[str]]:
    """Return the profile, its settings and then those asked for, and what is wrong with them."""
    problems: list[str] = []
    settings: list[Setting] = []
    profile = Profile(request.profile, "", (), (), (), {})
    try:
        profile = load_profile(study, request.profile)
        settings += profile.settings
    except UsageError as error:
        problems += error.problems
    for text in request.assignments:
        try:
            settings.append(parse_assignment(text))
        except ValueError as error:
            problems.append(str(error))
    return profile, settings, problems


def _cycle(steps: Iterable[Step]) -> list[str]:
    """Return a sentence if some of ``steps`` would wait for each other."""
    try:
        TopologicalSorter({step.id: step.needs for step in steps}).prepare()
    except CycleError as error:
        *_, found = error.args
        return [
            f"These steps would wait for each other: {', which is needed by '.join(found)}. Change "
            "train.init or data.from, which name a step that theirs needs."
        ]
    return []


def _unusable(study: Study, step: str, name: str) -> str | None:
    """Return what is wrong with a further file that a step depends on, if anything."""
    path = study.root / name
    if not path.exists():
        return f"Step {step!r} depends on {name}, which does not exist."
    try:
        if path == study.params / "claims.yaml":
            from lib.metrics.claims import load_claims  # a slow import

            load_claims(root=study.root)
        elif path.suffix == ".yaml":
            read_yaml(path, name)
    except ValueError as error:
        return str(error)
    return None


def _terms(
    study: Study,
    request: Request,
    base: Mapping[str, Mapping[str, Any]] | None,
    parameters: Mapping[str, dict[str, Any]],
) -> tuple[Terms, list[str]]:
    """Return what the run is, and what is wrong with its name; the parameters get the name.

    Args:
        study: the folders.
        request: with the profile's name and perhaps the run's.
        base: the profile's own parameters, by step id; None if there is something wrong with some.
        parameters: those of the run.
    """
    problems = [] if request.name is None else name_problems(study, request.name)
    if problems or base is None:
        return Terms(request.profile, request.profile), problems
    terms = terms_for(
        request.profile,
        base=base,
        values=parameters,
        name=request.name,
        assignments=request.assignments,
    )
    for values in parameters.values():
        values[PROFILE] = terms.name  # where the notebooks find their folders
    return terms, taken(study, terms)


def _called(terms: Terms) -> str:
    return f"{'run' if terms.is_own else 'profile'} {terms.name!r}"


def _named(
    names: Iterable[str],
    steps: Sequence[Step],
    origin: str,
    all_steps: Sequence[Step] = (),
    profile: str = "",
) -> tuple[set[str], list[str]]:
    """Return the ids of the steps that ``names`` mean, and a sentence for each wrong name."""
    found: set[str] = set()
    problems = []
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
    return found, problems


def _selection(steps: Sequence[Step], only: set[str], start: set[str]) -> set[str]:
    """Return the ids of the steps that are asked for, and of all that these need."""
    if not only and not start:
        return {step.id for step in steps}
    asked = set(only) | set(start)
    if start:
        after = set(start)
        for step in steps:
            if after & set(step.needs):
                after.add(step.id)
        asked |= after
    needs = {step.id: step.needs for step in steps}
    waiting, found = list(asked), set(asked)
    while waiting:
        for name in needs.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def _with_expectations(steps: Iterable[Step], profile: Profile) -> tuple[Step, ...]:
    """Return ``steps`` with the minutes and the room that the profile expects."""
    return tuple(
        replace(
            step,
            minutes=_meant(step, profile.minutes, step.minutes),
            takes=_meant(step, profile.gigabytes, step.takes),
        )
        for step in steps
    )


def _meant(step: Step, stated: Mapping[str, Value], otherwise: Value) -> Value:
    """Return what is stated for a step; of several names that mean it, the longest counts."""
    names = [name for name in stated if in_scope(step, name)]
    return stated[max(names, key=len)] if names else otherwise
