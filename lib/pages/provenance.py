"""How the results of a folder were made: the runner's ``provenance.json``, as pages show it."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lib.files import read_json


class StepRecord(BaseModel):
    """How one step ran; the file holds more, for those who read it themselves."""

    commit: str | None
    dirty: bool | None
    finished: str
    seconds: float
    device: str
    notes: list[str]
    outputs: dict[str, dict[str, Any]]
    kept_although: list[str] = []

    @property
    def took(self) -> str:
        """The wall time in minutes and seconds."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

    @property
    def remark(self) -> str:
        """What was out of the ordinary."""
        kept = [f"Kept although {'; '.join(self.kept_although)}."] if self.kept_although else []
        return " ".join(self.notes + kept)


class Provenance(BaseModel):
    """Which profile the results are of, whose own run if it is one, and its steps by id."""

    profile: str
    run: str | None = None
    steps: dict[str, StepRecord]


def read_provenance(results: Path) -> Provenance | None:
    """Return the provenance of a folder of results; None if nothing has run.

    Raises:
        ValueError: if the file is damaged.
    """
    path = results / "provenance.json"
    if not path.exists():
        return None
    try:
        return Provenance.model_validate(read_json(path))
    except ValueError as error:  # pydantic's are such, too
        raise ValueError(
            f"{path} does not hold the provenance of a run: {error} Delete it and run again: "
            "`python run_all.py` makes it anew."
        ) from error
