"""Under which name a run keeps what it makes, and what that may be compared with.

A profile's run has the profile's name. A run with other parameters is a run of its own: it has a
name and folders of its own, and knows the profile that it departs from.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lib.files import read_object, write_json
from lib.study import Study

FILE = "run.json"
"""Lies in the run's folder of the cache; ``provenance.json`` says the same of finished runs."""


@dataclass(frozen=True)
class Terms:
    """What a run is.

    Args:
        name: of its folders in ``cache/`` and ``results/``.
        profile: the profile that it departs from, or is.
        differs: what differs from the profile, as ``name = value (the profile's)``.
        settings: digest of the profile's name and all that differs; empty for a profile's own.
        own_data: whether its data are not the profile's; no claim of a paper is judged on them.
        options: of the command line that make it: profile, name and settings.
        left_out: for each step whose observations belong to other parameters: why.
    """

    name: str
    profile: str
    differs: tuple[str, ...] = ()
    settings: str = ""
    own_data: bool = False
    options: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether it is a run of its own, not that of a profile."""
        return self.name != self.profile

    @property
    def command(self) -> str:
        """The command that continues it, without the steps."""
        return f"python run_all.py {self.options or f'--profile {self.profile}'}"

    @property
    def banner(self) -> str:
        """How it differs from its profile, as sentences; empty for the profile's own run."""
        if not self.is_own:
            return ""
        what = "; ".join(self.differs) or "nothing but the name"
        text = f"This run differs from profile {self.profile}: {what}."
        if self.own_data:
            return f"{text} Its data are one's own: no claim of the papers is judged on them."
        return f"{text} Its results are not the study's."

    def as_record(self) -> dict[str, Any]:
        """Return what ``provenance.json`` says of the run; of a profile's no more than its name."""
        if not self.is_own:
            return {"profile": self.profile}
        return {
            "profile": self.profile,
            "run": self.name,
            "banner": self.banner,
            "differs": list(self.differs),
            "settings": self.settings,
            "own_data": self.own_data,
        }


def recorded_terms(study: Study, name: str) -> Terms | None:
    """Return what the cache, or else the results, say of the run of a name; None if nothing."""
    fields = {field.name for field in dataclasses.fields(Terms)}
    for path in (study.cache(name) / FILE, study.results(name) / "provenance.json"):
        known = {key: value for key, value in read_object(path).items() if key in fields}
        try:
            return TypeAdapter(Terms).validate_python({**known, "name": name})
        except ValidationError:
            continue
    return None


def terms_of(study: Study, name: str) -> Terms:
    """Return what is known of the run of a name; of one that never began, it is a profile's."""
    return recorded_terms(study, name) or Terms(name, name)


def write_terms(study: Study, terms: Terms) -> None:
    """Record what a run is, for its notebooks, unless that is recorded already."""
    content = terms.as_record() | {"options": terms.options, "left_out": dict(terms.left_out)}
    path = study.cache(terms.name) / FILE
    if read_object(path) != content:
        write_json(path, content, indent=1)
