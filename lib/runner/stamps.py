"""The record of a finished step: what it depended on and what it made.

Beside it lies ``started.json``, the fingerprint under which the files in the step's folder were
begun. A step that runs again finds its folder as it left it (models, checkpoints, shards) unless
something changed that those can depend on: parameters, inputs, packages, or a module of ``lib``
that is not one of :data:`JUDGING`.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lib.files import read_json, read_object, remove_temporaries, write_json
from lib.runner.fingerprint import Digests, Fingerprint
from lib.study import STAMP, Study
from lib.workspace import MANIFEST

STARTED = "started.json"
TIMES = "times.json"

UNCHECKED = ("figure", "notebook", "log")
"""Kinds of outputs of which only the presence is checked."""

NOT_READ = (*UNCHECKED, "table")
"""Kinds of outputs that are for people: a change of them makes no other step run again."""

JUDGING = (
    *("lib/metrics/", "lib/opmask/", "lib/pages/", "lib/runner/"),
    *("lib/study.py", "lib/terms.py", "lib/workspace.py"),
)
"""Code that looks at models and masks, draws and records them, and makes none."""


@dataclass(frozen=True)
class Stamp:
    """What is recorded of a finished step.

    Args:
        fingerprint: what the step depended on.
        outputs: by path relative to the root: kind, digest, and for some figures a caption.
        provenance: where, when and from which commit it was made.
    """

    fingerprint: Fingerprint
    outputs: dict[str, dict[str, str]]
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def for_dependents(self) -> dict[str, str]:
        """Digests of the outputs that other steps read, such as files and claims."""
        return {
            path: entry["digest"]
            for path, entry in self.outputs.items()
            if entry["kind"] not in NOT_READ
        }


def read_stamp(study: Study, profile: str, step: str) -> Stamp | None:
    """Return the stamp of a step; None if it never finished or the stamp is damaged."""
    content = read_object(study.step_folder(profile, step) / STAMP)
    try:
        stamp = TypeAdapter(Stamp).validate_python(content)
    except ValidationError:
        return None
    return stamp if all({"kind", "digest"} <= e.keys() for e in stamp.outputs.values()) else None


def missing_outputs(study: Study, stamp: Stamp, digests: Digests) -> list[str]:
    """Return a sentence for each output that is gone or was changed by something else."""
    reasons = []
    for name, entry in stamp.outputs.items():
        path = study.root / name
        if not path.exists():
            reasons.append(f"{name} is missing")
        elif _is_spoilt(path, entry, digests):
            reasons.append(f"{name} was changed by something else")
    return reasons


def begin(
    study: Study,
    profile: str,
    step: str,
    fingerprint: Fingerprint,
    *,
    fresh: bool,
    keep: bool,
    digests: Digests,
) -> bool:
    """Make a step's folder ready for a run; return whether earlier work in it is continued.

    Args:
        study: the folders.
        profile: name of the profile.
        step: id of the step.
        fingerprint: what the step depends on now.
        fresh: throw earlier work away whatever it depended on.
        keep: keep earlier work even though it depended on something else.
        digests: remembers digests of files.
    """
    folder = study.step_folder(profile, step)
    try:
        content = read_object(folder / STARTED).get("fingerprint")
        begun = TypeAdapter(Fingerprint).validate_python(content)
        same = _for_work(begun) == _for_work(fingerprint)
    except ValidationError:  # absent or damaged
        same = False
    for name, entry in _earlier_outputs(study, profile, step).items():
        path = study.root / name
        # What an earlier run left in results/, finished or not, must not look like a result of
        # this one, and no damaged output may be taken for finished work.
        in_results = path.is_relative_to(study.results(profile))
        in_cache = path.is_relative_to(study.root / "cache")
        if in_results or (in_cache and path.exists() and _is_spoilt(path, entry, digests)):
            _remove(path)
    continued = folder.exists() and (same or keep) and not fresh
    if folder.exists() and not continued:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    for name in (STAMP, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    if not keep or not (folder / STARTED).exists():
        write_json(folder / STARTED, {"fingerprint": asdict(fingerprint)})
    return continued


def _for_work(fingerprint: Fingerprint) -> Fingerprint:
    """Return what the files in a step's folder can depend on, as the module's text says.

    The notebook is not among it: what takes long is done by modules, which it hands parameters.
    """
    code = {k: v for k, v in fingerprint.code.items() if not k.startswith(JUDGING)}
    return replace(fingerprint, notebook="", code=code)


def _earlier_outputs(study: Study, profile: str, step: str) -> dict[str, dict[str, str]]:
    """Return what the last run of a step made, as far as it came; digests only if it finished."""
    manifest = read_object(study.step_folder(profile, step) / MANIFEST)
    announced = {name: entry for name, entry in manifest.items() if isinstance(entry, dict)}
    stamp = read_stamp(study, profile, step)
    return announced | (stamp.outputs if stamp else {})


def _is_spoilt(path: Path, entry: Mapping[str, str], digests: Digests) -> bool:
    """Return whether an output is not what the step made of it, as far as that is checked."""
    checked = "digest" in entry and entry["kind"] not in UNCHECKED
    return checked and digests.content(path) != entry["digest"]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def finish(
    study: Study,
    profile: str,
    step: str,
    fingerprint: Fingerprint,
    *,
    notebook: Path,
    provenance: dict[str, Any],
    digests: Digests,
) -> Stamp:
    """Record that a step finished, and return the record.

    Raises:
        FileNotFoundError: if the notebook announced an output that it did not write.
    """
    folder = study.step_folder(profile, step)
    manifest = folder / MANIFEST
    outputs = read_json(manifest) if manifest.exists() else {}
    outputs[study.relative(notebook)] = {"kind": "notebook"}
    for name, entry in outputs.items():
        if not (study.root / name).exists():
            raise FileNotFoundError(
                f"Step {step!r} announced {name} with its workspace but did not write it."
            )
        entry["digest"] = digests.content(study.root / name)
    stamp = Stamp(fingerprint, outputs, provenance)
    write_json(folder / STAMP, asdict(stamp), indent=1)
    return stamp


def past_seconds(study: Study, profile: str) -> dict[str, float]:
    """Return the wall time of the last finished run of each step, as if on one GPU."""
    times = read_object(study.cache(profile) / TIMES)
    return {step: seconds for step, seconds in times.items() if isinstance(seconds, int | float)}


def remember_seconds(study: Study, profile: str, step: str, seconds: float) -> None:
    """Remember how long a step took, or takes on one GPU; this outlives the step's folder."""
    times = past_seconds(study, profile) | {step: round(seconds, 1)}
    write_json(study.cache(profile) / TIMES, dict(sorted(times.items())), indent=1)
