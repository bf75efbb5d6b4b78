from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lib.files import read_json
from lib.study import STAMP, Study
from lib.workspace import MANIFEST, NEEDS_VARIABLE, STEP_VARIABLE, Workspace


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv(STEP_VARIABLE, raising=False)
    return Workspace("demo", "03_x", study=Study(tmp_path))


@pytest.fixture
def by_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    plt.switch_backend("Agg")
    monkeypatch.setenv(STEP_VARIABLE, "03_x")
    monkeypatch.setenv(NEEDS_VARIABLE, "01_y,02_z")
    return Workspace("demo", "03_x", study=Study(tmp_path))


@dataclass
class Observation:
    id: str
    observed: float
    ci_low: float | None = None


def test_run_by_hand_it_touches_neither_results_nor_the_runners_files(by_hand: Workspace) -> None:
    by_hand.file("a.json").write_text("1")
    by_hand.table(pd.DataFrame({"a": [1]}), "t")
    by_hand.figure(plt.figure(), "f")
    by_hand.claims([Observation("A.x", 1.0)])
    root = by_hand.study.root
    written = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert written == {
        f"cache/demo/lab/{name}"
        for name in (
            "03_x/a.json",
            "03_x/claims.json",
            f"03_x/{MANIFEST}",
            "tables/t.csv",
            "figures/f.png",
            "figures/f.svg",
        )
    }


def test_everything_written_is_listed_in_order_with_its_kind(by_runner: Workspace) -> None:
    by_runner.table(pd.DataFrame({"b": [1]}), "t")
    by_runner.file("deep/a.json").write_text("1")
    by_runner.figure(plt.figure(), "f", caption="A figure.")
    by_runner.claims([Observation("A.x", 1.0)])
    outputs = read_json(by_runner.folder / MANIFEST)
    assert {path: entry["kind"] for path, entry in outputs.items()} == {
        "results/demo/tables/t.csv": "table",
        "cache/demo/03_x/deep/a.json": "file",
        "results/demo/figures/f.png": "figure",
        "results/demo/figures/f.svg": "figure",
        "cache/demo/03_x/claims.json": "claims",
    }
    assert next(iter(outputs)) == "results/demo/tables/t.csv"
    assert outputs["results/demo/figures/f.png"]["caption"] == "A figure."


def test_an_input_is_found_or_named_with_the_command_that_makes_it(by_runner: Workspace) -> None:
    with pytest.raises(FileNotFoundError, match=r"run_all\.py --profile demo --only 01_y"):
        by_runner.input("01_y", "sets.json")
    path = by_runner.study.step_folder("demo", "01_y") / "sets.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert by_runner.input("01_y", "sets.json") == path


def test_an_input_of_a_step_that_is_not_needed_is_refused(by_runner: Workspace) -> None:
    with pytest.raises(ValueError, match="Add '04_w' to its `needs`"):
        by_runner.input("04_w", "sets.json")


def test_the_runner_and_the_notebook_must_agree_on_the_step(
    by_runner: Workspace,
) -> None:
    with pytest.raises(ValueError, match="executes this notebook as step '03_x'"):
        Workspace("demo", "03_y", study=by_runner.study)


def test_missing_numbers_are_null_in_claims_and_empty_in_tables(by_runner: Workspace) -> None:
    by_runner.claims([Observation("A.x", float("nan"), np.float64(0.5))])
    assert read_json(by_runner.folder / "claims.json") == [
        {"id": "A.x", "observed": None, "ci_low": 0.5}
    ]
    by_runner.table(pd.DataFrame({"a": [0.1, np.nan], "b": ["ä", "x,y"]}), "t")
    table = by_runner.results / "tables" / "t.csv"
    assert table.read_text(encoding="utf-8") == 'a,b\n0.1,ä\n,"x,y"\n'


def test_a_figure_is_shown_once_as_its_file_with_its_caption(by_runner: Workspace) -> None:
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    shown = by_runner.figure(figure, "f", caption="A line.")
    content, metadata = shown._repr_png_()
    assert content == (by_runner.results / "figures" / "f.png").read_bytes()
    assert metadata == {"alt": "A line."}
    assert not plt.fignum_exists(figure.number)


def test_the_same_figure_gives_the_same_bytes(by_runner: Workspace) -> None:
    def draw(name: str) -> bytes:
        figure, axes = plt.subplots()
        axes.imshow(np.random.default_rng(0).random((200, 200, 3)))
        by_runner.figure(figure, name)
        return (by_runner.results / "figures" / f"{name}.png").read_bytes()

    assert draw("a") == draw("b")


def test_pictures_are_small_files_without_vectors_that_look_the_same(by_runner: Workspace) -> None:
    rows, columns = np.mgrid[0:300, 0:400] / 400
    noise = np.random.default_rng(0).normal(0, 0.03, (300, 400, 3))
    picture = np.clip(np.stack([rows, columns, rows * columns], axis=-1) + noise, 0, 1)
    figure, axes = plt.subplots(dpi=100)
    axes.imshow(picture)
    figure.savefig(by_runner.folder / "full.png", metadata={"Software": None})
    by_runner.figure(figure, "f")
    small = by_runner.results / "figures" / "f.png"
    full = by_runner.folder / "full.png"
    assert not small.with_suffix(".svg").exists()
    assert small.stat().st_size < 0.6 * full.stat().st_size
    images = [np.asarray(Image.open(p).convert("RGB"), dtype=float) for p in (small, full)]
    assert np.abs(images[0] - images[1]).mean() < 8


def test_heat_maps_keep_their_vectors(by_runner: Workspace) -> None:
    figure, axes = plt.subplots()
    axes.imshow(np.eye(20))
    by_runner.figure(figure, "f")
    assert (by_runner.results / "figures" / "f.svg").exists()


def test_variants_are_those_that_the_step_needs_and_that_succeeded(
    by_runner: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NEEDS_VARIABLE, "01_y,04_t.b,04_t.a.short,04_tt.c,04_t.failed")
    for step in ("04_t.b", "04_t.a.short", "04_tt.c", "04_t.other"):
        folder = by_runner.study.step_folder("demo", step)
        folder.mkdir(parents=True)
        (folder / STAMP).write_text("{}")
    by_runner.study.step_folder("demo", "04_t.failed").mkdir()
    assert by_runner.variants("04_t") == ("b", "a.short")
    assert by_runner.variants("05_u") == ()


def test_by_hand_variants_are_those_that_succeeded(by_hand: Workspace) -> None:
    for step in ("04_t.b", "04_t.a.seed10", "04_t.a.seed2", "04_u.c"):
        folder = by_hand.study.step_folder("demo", step)
        folder.mkdir(parents=True)
        (folder / STAMP).write_text("{}")
    by_hand.study.step_folder("demo", "04_t.begun").mkdir()
    assert by_hand.variants("04_t") == ("a.seed2", "a.seed10", "b")
