"""A training on the way: what the model was after shares of its iterations, and what it predicted.

The run keeps snapshots (:mod:`lib.training.train`), and whatever is looked at on the way is looked
at in these, when it has ended. So looking changes no random number and no weight, and a run that
was interrupted leaves the same files.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lib.data.coco import CocoSet
from lib.files import read_json, write_json
from lib.paths import display
from lib.training import checkpoint
from lib.training.predict import predict
from lib.training.predictions import predictions_at
from lib.training.train import DIVISION


class Moment(NamedTuple):
    """A run after a share of its iterations.

    Attributes:
        share: as it was asked for, 0 to 1.
        iteration: after how many iterations.
        model: its model file.
    """

    share: float
    iteration: int
    model: Path

    def file(self, stem: str) -> Path:
        """Return where predictions at this moment are."""
        return predictions_at(self.model.parent, stem, self.share)


def iterations_at(shares: Iterable[float], iterations: int) -> list[int]:
    """Return the iterations at some shares of a run, each once: its ``snapshots``."""
    return sorted({round(share * iterations) for share in shares})


def moments(run: Path, shares: Iterable[float]) -> list[Moment]:
    """Return a finished run at some shares of its iterations; 1 is its end.

    Args:
        run: its folder.
        shares: of those for which it was told to keep snapshots, or 1.

    Raises:
        ValueError: if it was not told to keep a snapshot there.
    """
    division = read_json(run / DIVISION)
    asked, trained = division["asked"], division["resolved"]
    # on more devices with images of their own a run has fewer iterations than it was asked for
    kept = dict(zip(asked["snapshots"], trained["snapshots"], strict=True))
    models = {n: (kept[n], checkpoint.snapshot_path(run, kept[n])) for n in kept}
    models[asked["iterations"]] = (trained["iterations"], run / "model.pt")
    places = {share: round(share * asked["iterations"]) for share in shares}
    if missing := [n for n in places.values() if n not in models]:
        raise ValueError(
            f"{display(run)} was told to keep its model after {', '.join(map(str, models))} "
            f"iterations, not after {missing[0]}: name the share before the training (snapshots)."
        )
    return [Moment(share, *models[n]) for share, n in places.items()]


def predict_at(moment: Moment, coco: CocoSet, **options: Any) -> list[Path]:
    """Write what a model found on the way, beside it, as :mod:`lib.training.predict` does.

    Detections and, of a model with masks, masks on true boxes. If the model was released, they were
    written before.

    Args:
        moment: from :func:`moments`.
        coco: the validation set.
        options: of :func:`lib.training.predict.predict`.

    Returns:
        The files.

    Raises:
        FileNotFoundError, ValueError: as there, and if there is no such model.
    """
    if not checkpoint.is_released(moment.model):
        trained = checkpoint.load_model(moment.model)
        found = predict(trained, coco, **options)
        write_json(moment.file("detections_val"), found.detections)
        if trained.config.has_masks:
            write_json(moment.file("masks_on_boxes_val"), found.masks_on_boxes)
    return sorted(moment.model.parent.glob(moment.file("*").name))


def release(run: Path) -> None:
    """Free the room of a run's snapshots, once all was written that they were kept for."""
    for path in run.glob("snapshot_*.pt"):
        checkpoint.release(path)


def is_released(run: Path) -> bool:
    """Return whether all that a run's snapshots were kept for was written."""
    return any(checkpoint.is_released(path) for path in run.glob("snapshot_*.pt"))
