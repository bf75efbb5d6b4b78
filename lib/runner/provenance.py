"""Where each result comes from: written once by the runner, never by a notebook."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib import paths
from lib.files import read_object, write_json
from lib.runner.fingerprint import Fingerprint
from lib.runner.parameters import Parameter
from lib.runner.profiles import dotted
from lib.runner.stamps import Stamp, read_stamp
from lib.runner.steps import Step
from lib.study import Study
from lib.terms import Terms

FILE = "provenance.json"
SHOWN_DIGITS = 12


def of_step(
    fingerprint: Fingerprint,
    schema: Mapping[str, Parameter],
    parameters: Mapping[str, Any],
    *,
    seconds: float,
    sources: Mapping[str, Any],
    machine: Mapping[str, Any],
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the provenance of one executed step.

    Args:
        fingerprint: what it depended on.
        schema: the parameters that its notebook declares.
        parameters: the full set of values.
        seconds: wall time.
        sources: ``describe_sources``.
        machine: ``machine.describe_machine``.
        notes: sentences on anything out of the ordinary, such as inputs that were kept.
    """
    values = {name: presentable(value) for name, value in parameters.items()}
    defaults = {name: presentable(parameter.default) for name, parameter in schema.items()}
    return {
        **sources,
        **machine,
        "finished": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds, 1),
        "packages": fingerprint.packages,
        "seeds": {name: v for name, v in values.items() if name.split("_")[-1] == "seed"},
        "parameters": values,
        "not_default": {name: v for name, v in values.items() if v != defaults[name]},
        "inputs": {
            name: digest[:SHOWN_DIGITS]
            for digests in (fingerprint.files, *fingerprint.needs.values())
            for name, digest in digests.items()
        },
        "fingerprint": fingerprint.digest[:SHOWN_DIGITS],
        "notes": list(notes),
    }


def describe_sources(root: Path) -> dict[str, Any]:
    """Return the commit of a repository, and whether anything but results differs from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        try:
            return subprocess.check_output(
                command, cwd=root, text=True, timeout=20, stderr=subprocess.DEVNULL
            ).strip()
        except (OSError, subprocess.SubprocessError):
            return ""

    commit = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", ".", ":!results")
    return {"commit": commit or None, "dirty": bool(changes) if commit else None}


def presentable(value: Any) -> Any:
    """Return ``value`` with absolute paths shortened, for files that others will read."""
    if isinstance(value, list | tuple):
        return [presentable(inner) for inner in value]
    with suppress(ValueError):  # no path at all
        if isinstance(value, str) and paths.expanded(value).is_absolute():
            return paths.display(value)
    return value


def as_markdown(record: Mapping[str, Any]) -> str:
    """Return the provenance block that the runner adds to an executed notebook."""
    commit = record["commit"][:SHOWN_DIGITS] if record["commit"] else "no commit"
    changed = " with uncommitted changes" if record["dirty"] else ""
    versions = ", ".join(f"{name} {number}" for name, number in record["packages"].items())
    rows = {
        "commit": f"{_code(commit)}{changed}",
        "finished": f"{record['finished']}, after {record['seconds']:.0f} s",
        "machine": _text(f"{record['system']}, {record['cores']} cores, {record['device']}"),
        "versions": f"Python {record['python']}, {versions}",
        "seeds": _listed(record["seeds"]) or "none",
        "parameters that differ from the defaults": _listed(record["not_default"]) or "none",
        "inputs (SHA-256)": "<br>".join(
            f"{_text(k)} {_code(v)}" for k, v in record["inputs"].items()
        ),
        "remarks": _text(" ".join(record["notes"])),
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items() if text)
    return f"## Provenance\n\nAdded by the runner.\n\n| | |\n|---|---|\n{table}\n"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(_code(f"{dotted(name)} = {value!r}") for name, value in values.items())


def _code(text: str) -> str:
    """Return ``text`` as markdown code for a table's cell; as text where code cannot be safe."""
    return _text(text) if re.search(r"[`|\\<>&$]|[^\S ]", text) else f"`{text}`"


def _text(text: str) -> str:
    """Return ``text`` as markdown that shows it as it is, in a table's cell too."""
    signs = re.compile(r"[\\`*\[\]<>|$~&\"'!#]|(?<!\w)_|_(?!\w)")
    return signs.sub(lambda sign: f"&#{ord(sign[0])};", " ".join(text.split()))


def write(study: Study, terms: Terms, steps: Iterable[Step], kept: Mapping[str, list[str]]) -> None:
    """Write ``results/<name>/provenance.json`` from the stamps of all finished steps.

    A step whose page is there without a stamp, as in a fresh clone, keeps the record it has.

    Args:
        study: the folders.
        terms: what the run is.
        steps: the profile's steps, in order.
        kept: for each step whose old output was kept on request, what had changed.
    """
    name = terms.name
    path = study.results(name) / FILE
    before = records(path)
    found = {}
    for step in steps:
        stamp = read_stamp(study, name, step.id)
        if stamp is not None:
            found[step.id] = stamp.provenance | {"outputs": _results(study, name, stamp)}
            if step.id in kept:
                found[step.id]["kept_although"] = kept[step.id]
        elif step.id in before and study.page(name, step.id).exists():
            found[step.id] = before[step.id]
    content = terms.as_record() | {"steps": found}
    if content != read_object(path):
        write_json(path, content, indent=1)


def records(path: Path) -> dict[str, Any]:
    """Return the records of an earlier run by step; none if the file is absent or damaged."""
    try:
        return dict(read_object(path)["steps"])
    except (KeyError, TypeError, ValueError):
        return {}


def _results(study: Study, profile: str, stamp: Stamp) -> dict[str, dict[str, str]]:
    """Return the outputs in the results folder, by path below it, with kind and caption."""
    folder = study.results(profile)
    return {
        (study.root / name).relative_to(folder).as_posix(): {
            key: value for key, value in entry.items() if key != "digest"
        }
        for name, entry in stamp.outputs.items()
        if (study.root / name).is_relative_to(folder)
    }
