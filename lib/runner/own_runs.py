"""Runs whose parameters are not their profile's: what differs, and the name that follows."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lib.files import digest_of
from lib.parameter_names import is_of_data
from lib.runner.fingerprint import with_effect
from lib.runner.profiles import NOT_PROFILES, dotted, profile_names
from lib.runner.provenance import presentable
from lib.runner.resolve import PROFILE
from lib.strict_yaml import cut
from lib.study import Study
from lib.terms import Terms, recorded_terms
from lib.variant import split_seed

LONGEST_NAME = 80
SHOWN_LENGTH, SHOWN_DIGITS = 50, 10
SHOWN_VALUE = 60
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._+=-]{{0,{LONGEST_NAME - 1}}}")

Values = Mapping[str, Mapping[str, Any]]


def terms_for(
    profile: str,
    *,
    base: Values,
    values: Values,
    name: str | None = None,
    assignments: Sequence[str] = (),
) -> Terms:
    """Return what a run is whose parameters are ``values``.

    Parameters that cannot change a result, such as numbers of workers, do not count.

    Args:
        profile: name of the profile.
        base: the profile's own parameters, by step id.
        values: those of the run, of the same steps.
        name: a name given to the run; None to make one from what differs.
        assignments: the settings as given on the command line.
    """
    settings = {step: own for step in values if (own := _changed(base[step], values[step]))}
    if not settings and name is None:
        return Terms(profile, profile, options=f"--profile {profile}")
    changes = _merged(base, values, settings)
    digest = digest_of([profile, settings])
    options = ["--profile", profile, *(["--name", name] if name else [])]
    options += [part for text in assignments for part in ("--set", text)]
    return Terms(
        name or _made_name(profile, [f"{label}={new}" for label, new, _ in changes], digest),
        profile,
        tuple(f"{label} = {_shown(new)} ({_shown(old)})" for label, new, old in changes),
        digest,
        any(is_of_data(name) for own in settings.values() for name in own),
        shlex.join(options),
    )


def name_problems(study: Study, name: str) -> list[str]:
    """Return a sentence if a name that is given to a run cannot be one."""
    if name.lower() in {other.lower() for other in (*profile_names(study), *NOT_PROFILES)}:
        return [f"--name {name}: that is a profile's name. Choose another."]
    if not _NAME.fullmatch(name):
        return [
            f"--name {cut(name)!r} cannot be a folder's name: expected at most {LONGEST_NAME} "
            "letters, digits or any of . _ + = -, beginning with a letter or digit."
        ]
    return []


def taken(study: Study, terms: Terms) -> list[str]:
    """Return a sentence if the folders of a run belong to a run with other parameters.

    Otherwise pages of both would lie side by side, with one line above them on what differs.
    """
    before = recorded_terms(study, terms.name)
    if before is None:
        of_another = terms.is_own and any(study.results(terms.name).glob("*"))
    else:
        of_another = before.settings != terms.settings
    if not of_another:
        return []
    cache, results = (study.relative(f(terms.name)) for f in (study.cache, study.results))
    return [
        f"{cache} and {results} belong to another run. {before.banner if before else ''} "
        "Choose another --name, or remove both folders."
    ]


def own_runs(study: Study) -> dict[str, str]:
    """Return the runs of their own that are in the cache or the results: name and banner."""
    names = {p.parent.name for p in study.root.glob("cache/*/run.json")}
    names |= {p.parent.name for p in study.root.glob("results/*/provenance.json")}
    found = {name: recorded_terms(study, name) for name in sorted(names)}
    return {name: terms.banner for name, terms in found.items() if terms and terms.is_own}


def _changed(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    before, now = with_effect(base), with_effect(values)
    return {n: value for n, value in now.items() if n != PROFILE and value != before[n]}


def _merged(base: Values, values: Values, settings: Values) -> list[tuple[str, Any, Any]]:
    """Return label, value and profile's value of each change; all steps' at once if they agree."""
    found: list[tuple[str, Any, Any]] = []
    for name in sorted({name for own in settings.values() for name in own}):
        pairs = {s: (values[s][name], base[s][name]) for s in values if name in values[s]}
        first, *others = pairs.values()
        if all(pair == first for pair in others):
            found.append((dotted(name), *first))
        else:
            changed = {_scope(s, pairs): pairs[s] for s in pairs if name in settings.get(s, {})}
            found += [(f"{scope}:{dotted(name)}", *pair) for scope, pair in changed.items()]
    return [(label, presentable(new), presentable(old)) for label, new, old in found]


def _scope(step: str, values: Mapping[str, Any]) -> str:
    """Return how to name a step: as all its repetitions together if they have the same value."""
    base = split_seed(step)[0]
    own = [value for other, value in values.items() if split_seed(other)[0] == base]
    return base if all(value == values[step] for value in own) else step


def _made_name(profile: str, changes: Sequence[str], digest: str) -> str:
    """Return a folder's name that says what differs; other values never give the same.

    The digest tells apart what the readable part has cut off or replaced.
    """
    text = re.sub(r"[^A-Za-z0-9._=+]+", "-", "+".join(changes)).strip("-.")[:SHOWN_LENGTH]
    return f"{profile}+{text}-{digest[:SHOWN_DIGITS]}"


def _shown(value: Any) -> str:
    """Return a value for people, cut short."""
    return cut(value if isinstance(value, str) and value else repr(value), SHOWN_VALUE)
