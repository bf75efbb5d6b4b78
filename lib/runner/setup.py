"""From the words on the command line to a checked set-up; every mistake is found here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from lib.runner.own_runs import name_problems, taken, terms_for
from lib.runner.parameters import Parameter, read_parameters
from lib.runner.problems import UsageError
from lib.runner.profiles import Profile, load_profile, parse_assignment
from lib.runner.repetitions import repetitions
from lib.runner.resolve import (
    PROFILE,
    Parameters,
    missing_files,
    name_repetitions,
    resolve_parameters,
    with_named_needs,
)
from lib.runner.steps import Step, in_scope, matching, selection, with_needs_resolved
from lib.strict_yaml import cut, read_yaml
from lib.study import Study
from lib.terms import Terms

Value = TypeVar("Value")


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
    problems = [] if name is None else name_problems(study, name)
    unfit = bool(problems)
    stated = Profile(name=profile, description="")
    with _told(problems):
        stated = load_profile(study, profile)
    own = stated.settings
    settings = list(own)
    for text in assignments:
        with _told(problems):
            settings.append(parse_assignment(text))
    steps = _steps_of(stated, all_steps, problems)
    asked: list[set[str]] = []
    for flag, given in {"only": only, "from": start, "force": force, "keep": keep}.items():
        asked.append(_named(given, f"--{flag}", steps, problems))
    problems += [f"{step}: both in --force and in --keep." for step in sorted(asked[2] & asked[3])]
    schemas: dict[str, dict[str, Parameter]] = {}
    for notebook in dict.fromkeys(step.notebook for step in steps):
        with _told(problems):
            file = study.notebooks / f"{notebook}.ipynb"
            schemas[notebook] = read_parameters(file, root=study.root)
    known = [step for step in steps if step.notebook in schemas]
    parameters, wrong = resolve_parameters(known, schemas, settings, profile=profile)
    terms = Terms(profile, profile)
    if not wrong and not unfit:
        base, _ = resolve_parameters(known, schemas, own, profile=profile)
        terms = terms_for(profile, base=base, values=parameters, name=name, assignments=assignments)
        for values in parameters.values():
            values[PROFILE] = terms.name  # where the notebooks find their folders
        problems += taken(study, terms)
    name_repetitions(steps, parameters)  # now that the terms say what was asked for
    steps, unnamed = with_named_needs(steps, parameters)
    selected = selection(steps, only=asked[0], start=asked[1])
    chosen = [step for step in steps if step.id in selected and step.id in parameters]
    problems += [*wrong, *(unnamed[step.id] for step in chosen if step.id in unnamed)]
    with _told(problems):
        TopologicalSorter({step.id: step.needs for step in chosen}).prepare()
    for name_of_file in sorted({file for step in chosen for file in step.files}):
        with _told(problems):
            _check_file(study, name_of_file)
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
        force=frozenset(asked[2]),
        keep=frozenset(asked[3]),
        absent=tuple(absent),
    )


@contextmanager
def _told(problems: list[str]) -> Iterator[None]:
    """Add to ``problems`` what is found wrong in the block, and go on after it."""
    try:
        yield
    except UsageError as error:
        problems += error.problems
    except CycleError as error:
        problems.append(f"These steps would wait for each other: {', '.join(error.args[1])}.")
    except (ValueError, FileNotFoundError) as error:
        problems.append(str(error))


def _steps_of(profile: Profile, all_steps: Sequence[Step], problems: list[str]) -> tuple[Step, ...]:
    """Return the steps that a profile runs, those that are repeated once for each seed.

    Every name of a step in the profile's file is checked.
    """
    origin = f"of params/{profile.name}.yaml"
    for name in profile.seeds:
        ids = _named([name], f"`seeds` {origin}", all_steps, problems)
        if ids and not any(step.repeated for step in all_steps if step.id in ids):
            problems.append(
                f"`seeds` {origin}: {cut(name)!r} trains nothing, so it is not repeated. Name a "
                "training, or a notebook of trainings."
            )
    all_steps = [
        repetition
        for step in all_steps
        for repetition in repetitions(step, _meant(step, profile.seeds, 1))
    ]
    for part in ("minutes", "gigabytes", "steps"):
        _named(getattr(profile, part), f"`{part}` {origin}", all_steps, problems)
    left_out = _named(profile.leave_out, f"`leave_out` {origin}", all_steps, problems)
    added = _named(profile.add, f"`add` {origin}", all_steps, problems)
    steps = [s for s in all_steps if s.id not in left_out and (not s.extra or s.id in added)]
    with _told(problems):
        steps = with_needs_resolved(steps)
    return tuple(steps)


def _named(
    names: Iterable[str], origin: str, steps: Sequence[Step], problems: list[str]
) -> set[str]:
    """Return the ids of those of ``steps`` that names mean, which were given at ``origin``."""
    found: set[str] = set()
    for name in names:
        try:
            found |= set(matching(name, steps))
        except ValueError as error:
            problems.append(f"{origin}: {error}")
    return found


def _check_file(study: Study, name: str) -> None:
    """Check a further file that steps depend on.

    Raises:
        ValueError: if it is absent, or no YAML; of the claims also if one of them is wrong.
    """
    if study.root / name == study.params / "claims.yaml":
        from lib.metrics.claims import load_claims  # a slow import

        load_claims(root=study.root)
    else:
        read_yaml(study.root / name, name)


def _meant(step: Step, stated: Mapping[str, Value], otherwise: Value) -> Value:
    """Return what is stated for a step; of several names that mean it, the longest counts."""
    names = [name for name in stated if in_scope(step, name)]
    return stated[max(names, key=len)] if names else otherwise
