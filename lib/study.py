"""The folders of a study: where notebooks, parameters, caches and results lie."""

from dataclasses import dataclass
from pathlib import Path

from lib.paths import ROOT

STAMP = "stamp.json"
"""What the runner leaves in the folder of a step that succeeded."""

STEP_VARIABLE = "BOXES_TO_MASKS_STEP"
"""Environment variable, set by the runner to the id of the step that a kernel executes."""


@dataclass(frozen=True)
class Study:
    """The folders below one root; the repository itself, or a small study made by a test.

    Args:
        root: absolute path of the folder that holds ``notebooks/``, ``params/`` and ``lib/``.
    """

    root: Path = ROOT

    @property
    def notebooks(self) -> Path:
        """The folder of the notebooks' sources."""
        return self.root / "notebooks"

    @property
    def params(self) -> Path:
        """The folder of the profiles and of ``claims.yaml``."""
        return self.root / "params"

    def cache(self, profile: str) -> Path:
        """Return the folder of everything that can be computed again."""
        return self.root / "cache" / profile

    def results(self, profile: str) -> Path:
        """Return the folder of pages, tables and figures, which the runner alone writes."""
        return self.root / "results" / profile

    def step_folder(self, profile: str, step: str) -> Path:
        """Return the cache folder of one step, such as ``06_train_opmask.baseline.voc``."""
        return self.cache(profile) / step

    def page(self, profile: str, step: str) -> Path:
        """Return where the executed notebook of a step goes."""
        return self.results(profile) / "notebooks" / f"{step}.ipynb"

    def relative(self, path: Path) -> str:
        """Return ``path`` relative to the root, with forward slashes; absolute if outside."""
        absolute = path if path.is_absolute() else self.root / path
        if absolute.is_relative_to(self.root):
            return absolute.relative_to(self.root).as_posix()
        return absolute.as_posix()
