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
from lib.study import Study
from lib.terms import Terms, recorded_terms

LONGEST_NAME = 80
SHOWN_LENGTH, SHOWN_DIGITS = 50, 10
SHOWN_VALUE = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]*")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)

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
        return [
            f"--name {name}: that is a profile's name, whose folders a run of its own must not "
            "touch. Choose another."
        ]
    if (
        not _NAME.fullmatch(name)
        or name.endswith(".")
        or len(name) > LONGEST_NAME
        or _RESERVED.fullmatch(name)
    ):
        found = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        return [
            f"--name {found!r} cannot be a folder's name on every system: expected at most "
            f"{LONGEST_NAME} letters, digits or any of . _ + = -, beginning with a letter or "
            "digit, not ending with a dot, and none of CON, NUL and the like."
        ]
    return []


def taken(study: Study, terms: Terms) -> list[str]:
    """Return a sentence if the folders of a run belong to a run with other parameters.

    Otherwise pages of both would lie side by side, with one line above them on what differs.
    """
    before = recorded_terms(study, terms.name)
    cache, results = (study.relative(f(terms.name)) for f in (study.cache, study.results))
    remove = f"remove the folders {cache} and {results}"
    if before is None:
        if not terms.is_own or not study.results(terms.name).exists():
            return []
        return [
            f"{results} is there, and nothing in it says of which run. Choose another --name, or "
            f"{remove}."
        ]
    if before.settings == terms.settings:
        return []
    if not terms.is_own:
        return [
            f"{cache} and {results} are those of a run of its own. {before.banner} "
            f"{remove.capitalize()}."
        ]
    return [
        f"The name {terms.name!r} is that of a run with other parameters. {before.banner} "
        f"Choose another --name, or {remove}."
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
        pairs = {step: (values[step][name], base[step][name]) for step in values
                 if name in values[step]}  # fmt: skip
        each = list(pairs.values())
        if all(pair == each[0] for pair in each):
            found.append((dotted(name), *each[0]))
            continue
        found += [
            (f"{step}:{dotted(name)}", *pair) for step, pair in pairs.items()
            if name in settings.get(step, {})
        ]  # fmt: skip
    return [(label, presentable(new), presentable(old)) for label, new, old in found]


def _made_name(profile: str, changes: Sequence[str], digest: str) -> str:
    """Return a folder's name that says what differs; other values never give the same.

    The digest tells apart what the readable part has cut off, replaced or, where a disk does not
    tell capitals from small letters, does not tell.
    """
    text = re.sub(r"[^A-Za-z0-9._=+]+", "-", "+".join(changes)).strip("-.")[:SHOWN_LENGTH]
    return f"{profile}+{text}-{digest[:SHOWN_DIGITS]}"


def _shown(value: Any) -> str:
    """Return a value for people, cut short."""
    text = value if isinstance(value, str) and value else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}..."
