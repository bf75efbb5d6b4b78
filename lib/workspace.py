"""What a notebook uses to find the outputs of earlier steps and to write its own.

Everything written through a workspace is listed in ``outputs.json`` of the step's folder, from
which the runner knows what a step made. Run by hand in JupyterLab, a notebook writes below
``cache/<profile>/lab/`` instead, so that trying something out never changes the study's results;
its inputs still are those that the runner made.
"""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.files import atomic, read_json, write_json
from lib.study import STAMP, STEP_VARIABLE, Study
from lib.terms import terms_of
from lib.variant import split_seed, with_seed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NEEDS_VARIABLE = "BOXES_TO_MASKS_NEEDS"
"""Set by the runner to the ids of the steps whose outputs the step may read, with commas."""

MANIFEST = "outputs.json"

PICTURE_PIXELS = 10_000
"""A figure whose images have more pixels shows pictures; with fewer they are heat maps."""


@dataclasses.dataclass(frozen=True)
class SavedFigure:
    """A figure that was written to a file; notebooks show the file.

    Args:
        name: file name without suffix.
        path: the PNG file.
        caption: what it shows, in a sentence; may be empty.
    """

    name: str
    path: Path
    caption: str

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        return self.path.read_bytes(), {"alt": self.caption} if self.caption else {}

    def __repr__(self) -> str:
        return f"figure {self.name}"


class Workspace:
    """The inputs and outputs of one step in one run.

    Args:
        profile: name of the profile, such as ``demo``, or of a run of its own.
        step: id of the step: the notebook's name, then the variant if it has several, such as
            ``02_pseudo_masks`` or ``06_train_opmask.baseline.voc``.
        study: the folders.

    Raises:
        ValueError: if the runner executes the notebook as another step than ``step``.
    """

    def __init__(self, profile: str, step: str, *, study: Study | None = None) -> None:
        self.profile, self.step, self.study = profile, step, study or Study()
        running = os.environ.get(STEP_VARIABLE)
        if running and running != step:
            raise ValueError(
                f"The runner executes this notebook as step {running!r}, but its workspace is "
                f"{step!r}. Name the workspace after the step (lib/steps.py)."
            )
        self.by_hand = not running
        lab = self.study.cache(profile) / "lab"
        self.folder = lab / step if self.by_hand else self.study.step_folder(profile, step)
        """The step's own folder in the cache."""
        self.results = lab if self.by_hand else self.study.results(profile)
        """The folder below which tables and figures go."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def command(self) -> str:
        """The command that runs the profile, or the run of its own, without the steps."""
        return terms_of(self.study, self.profile).command

    def input(self, step: str, name: str) -> Path:
        """Return the path of the file ``name`` that an earlier step wrote.

        By hand, the name of a repeated step means its first repetition.

        Raises:
            FileNotFoundError: if it does not exist; the message has the command that makes it.
            ValueError: if the runner does not know that this step needs the other one.
        """
        if not self.by_hand and step not in os.environ.get(NEEDS_VARIABLE, "").split(","):
            raise ValueError(
                f"Step {self.step!r} reads {name!r} of {step!r}, but does not name it among the "
                f"steps it needs. Add {step!r} to its `needs` in lib/steps.py."
            )
        folder = self.study.step_folder(self.profile, step)
        if self.by_hand and not folder.exists():
            first = self.study.step_folder(self.profile, with_seed(step, 0))
            folder = first if first.exists() else folder
        path = folder / name
        if not path.exists():
            raise FileNotFoundError(
                f"{self.study.relative(path)} does not exist: step {step!r} has not been run for "
                f"{self.profile!r}. Make it with\n  {self.command} --only {step}"
            )
        return path

    def variants(self, notebook: str) -> tuple[str, ...]:
        """Return the variants of an earlier notebook whose outputs can be read, in order.

        Those that succeeded: of those that the step needs; by hand, of those in the cache.
        """
        prefix = f"{notebook}."
        stamps = self.study.cache(self.profile).glob(f"{prefix}*/{STAMP}")
        done = sorted((stamp.parent.name for stamp in stamps), key=_in_order)
        steps = done if self.by_hand else os.environ.get(NEEDS_VARIABLE, "").split(",")
        return tuple(name.removeprefix(prefix) for name in steps if name in done)

    def file(self, name: str) -> Path:
        """Return the path of an output ``name`` in the step's folder, for the notebook to write."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.output(path)

    def log(self, name: str) -> Path:
        """Return the path of an output ``name`` that records how the step went, such as its times.

        It is kept like any other file, but a change of it alone makes no other step run again.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._record(path, kind="log")
        return path

    def output(self, path: str | Path) -> Path:
        """Record a file or folder that lies elsewhere (such as generated scenes) as an output.

        Steps that need this one run again when its contents change.
        """
        path = Path(path)
        self._record(path, kind="file")
        return path

    def table(self, frame: "pd.DataFrame", name: str) -> None:
        """Write ``frame`` without its index to ``tables/<name>.csv``, see `write_csv`."""
        from lib.csv_files import write_csv

        path = self.results / "tables" / f"{name}.csv"
        write_csv(frame, path)
        self._record(path, kind="table")

    def figure(self, figure: "Figure", name: str, *, caption: str = "") -> "SavedFigure":
        """Write a figure to ``figures/<name>.png`` and ``.svg``, and return it to be shown.

        The figure is closed in pyplot: as the last line of a cell it is shown once. One that shows
        pictures is written as PNG alone, with 256 colours, since vectors would only make it larger.

        Args:
            figure: a matplotlib figure.
            name: file name without suffix.
            caption: one sentence. The first figure of a step that has one appears on the site's
                front page; for those who cannot see a figure, the caption stands in its place.
        """
        import matplotlib.pyplot as plt

        images = [image for axes in figure.axes for image in axes.images]
        has_pictures = sum(math.prod(image.get_size()) for image in images) > PICTURE_PIXELS
        paths = {kind: self.results / "figures" / f"{name}.{kind}" for kind in ("png", "svg")}
        # No date and no software version: the same figure gives the same bytes.
        with atomic(paths["png"]) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
            if has_pictures:
                _reduce_colours(temporary)
        self._record(paths["png"], kind="figure", caption=caption)
        if has_pictures:
            paths["svg"].unlink(missing_ok=True)
        else:
            with atomic(paths["svg"]) as temporary:
                figure.savefig(temporary, format="svg", metadata={"Date": None})
            self._record(paths["svg"], kind="figure", caption=caption)
        plt.close(figure)
        return SavedFigure(name, paths["png"], caption)

    def claims(self, observations: Sequence[Any]) -> None:
        """Write what this step observed of the papers' claims to ``claims.json``.

        Args:
            observations: ``lib.metrics.claims.Observation`` objects; NaN is written as null.
        """
        rows = [dataclasses.asdict(observation) for observation in observations]
        path = self.folder / "claims.json"
        write_json(path, [{k: _finite(v) for k, v in row.items()} for row in rows], indent=1)
        self._record(path, kind="claims")

    def _record(self, path: Path, *, kind: str, caption: str = "") -> None:
        manifest = self.folder / MANIFEST
        outputs = read_json(manifest) if manifest.exists() else {}
        entry = {"kind": kind, "caption": caption} if caption else {"kind": kind}
        outputs[self.study.relative(path)] = entry
        write_json(manifest, outputs, indent=1)


def _in_order(step: str) -> tuple[str, int]:
    """Return what sorts the repetitions of a step by their number."""
    base, seed = split_seed(step)
    return base, -1 if seed is None else seed


def _reduce_colours(path: Path) -> None:
    """Write a PNG file anew with 256 colours, which makes pictures three times smaller."""
    from PIL import Image

    with Image.open(path) as image:
        full = image.convert("RGB")
    palette = full.quantize(256, method=Image.Quantize.MEDIANCUT)
    reduced = full.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    reduced.save(path, format="PNG", optimize=True)


def _finite(value: Any) -> Any:
    """Return ``value``, or None for a float that JSON cannot hold; numpy scalars as Python's."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
