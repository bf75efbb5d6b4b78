"""Runs with other parameters than their profile's: folders, names and claims of their own."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lib.runner.own_runs import LONGEST_NAME, name_problems, terms_for
from lib.study import Study
from lib.workspace import Workspace
from tests.runner.toy import Toy, first_run, write

CLAIMS = """
scales: {coco: [toy], voc: [toy]}
claims:
  - {id: A.one, step: 02_sum, paper: A, source: T, kind: direction,
     expected: 1, tolerance: 1, unit: points, scale: voc, statement: The sum is above zero.}
  - {id: A.two, step: 03_other, paper: A, source: T, kind: direction,
     expected: 1, tolerance: 1, unit: points, scale: voc, statement: The word is long.}
"""
OBSERVE = (
    "import json\nws._record(ws.folder / 'claims.json', kind='claims')\n"
    "(ws.folder / 'claims.json').write_text(json.dumps([dict(id={!r}, observed={}, "
    "ci_low=1.0, ci_high=9.0, p=0.01)]))\n"
)


@pytest.fixture(scope="module")
def after_judging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``judged``; not to be changed."""
    toy = Toy(tmp_path_factory.mktemp("judged") / "study")
    write(toy.root)
    (toy.study.params / "claims.yaml").write_text(CLAIMS)
    toy.edit("02_sum", "import json\n", OBSERVE.format("A.one", "2.0 + sum_offset"))
    toy.edit("03_other", "ws.file(", OBSERVE.format("A.two", "2.0") + "ws.file(")
    toy.edit("01_numbers", "numbers_count: int", "data_place: str = 'scenes'\nnumbers_count: int")
    first_run(toy.root)
    return toy.root


@pytest.fixture
def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str], after_judging: Path) -> Toy:
    """A finished study two of whose steps observe a claim, with a parameter that names its set."""
    shutil.copytree(after_judging, tmp_path / "study")
    return Toy(tmp_path / "study", capsys)


def claims_of(toy: Toy, run: str) -> pd.DataFrame:
    return pd.read_csv(toy.study.results(run) / "claims.csv").set_index("id")


def own_run(toy: Toy) -> str:
    (found,) = (p.parent.name for p in toy.root.glob("results/*/index.html")
                if p.parent.name != "toy")  # fmt: skip
    return found


def contents(toy: Toy, name: str) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("cache", "results")
        for path in sorted((toy.root / top / name).rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "sum.offset=4"),
        ("--set", "sum.offset=4", "--force", "02_sum", "--name", "mine"),
        ("--set", "sum.offset=4", "--dry-run"),
    ],
)
def test_a_run_with_other_parameters_leaves_the_profile_as_it_is(
    judged: Toy, arguments: tuple[str, ...]
) -> None:
    before = contents(judged, "toy")
    code, output = judged.run(*arguments)
    assert code == 0, output
    assert contents(judged, "toy") == before
    assert ("--dry-run" in arguments) == (len(list((judged.root / "results").iterdir())) == 1)


def test_what_differs_stands_in_plan_pages_and_provenance(judged: Toy) -> None:
    _, planned = judged.run("--set", "sum.offset=4", "--dry-run")
    _, output = judged.run("--set", "sum.offset=4")
    results = judged.study.results(own_run(judged))
    record = json.loads((results / "provenance.json").read_text())
    assert record["profile"] == "toy"
    assert record["differs"] == ["sum.offset = 4 (0)"]
    pages = [results / "index.html", *(results / "notebooks").glob("*.html")]
    assert len(pages) == 5
    for text in [planned, output, *(page.read_text() for page in pages)]:
        assert "sum.offset = 4 (0)" in " ".join(text.split())
    assert 'class="banner"' not in (judged.study.results("toy") / "index.html").read_text()
    assert own_run(judged) in judged.run("--list")[1]


def test_a_set_of_ones_own_is_shown_and_never_judged(judged: Toy) -> None:
    judged.run("--set", "data.place=custom")
    assert set(claims_of(judged, "toy")["verdict"]) == {"reproduced"}
    mine = claims_of(judged, own_run(judged))
    assert mine["observed"].tolist() == [2, 2]
    assert set(mine["verdict"]) == {"measured on other data"}
    front = (judged.study.results(own_run(judged)) / "index.html").read_text()
    assert "one's own" in front.replace("&#39;", "'")


def test_one_table_never_holds_claims_of_two_settings(judged: Toy) -> None:
    judged.give("numbers.count", 4)  # of 01_numbers, which 02_sum reads, and of 03_other
    _, output = judged.run("--only", "01_numbers")
    assert claims_of(judged, "toy")["observed"].isna().all()
    assert "02_sum" in output.split("pages:")[0] and "numbers.count" in output
    judged.run("--only", "03_other")
    assert claims_of(judged, "toy")["observed"].isna().tolist() == [True, False]
    judged.run()
    assert claims_of(judged, "toy")["observed"].tolist() == [2, 2]


def test_without_the_cache_records_tell_whose_claims_they_are(judged: Toy) -> None:
    for step in judged.steps:  # as in a fresh clone
        folder = judged.study.step_folder("toy", step.id)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    judged.run("--only", "03_other")
    for page in ("02_sum", "01_numbers", "04_report"):
        assert (judged.study.results("toy") / f"notebooks/{page}.html").exists()
    assert claims_of(judged, "toy")["observed"].tolist() == [2, 2]
    judged.give("numbers.count", 4)
    judged.run("--only", "03_other")
    assert claims_of(judged, "toy")["observed"].isna().tolist() == [True, False]


def test_a_name_stays_with_its_parameters(judged: Toy) -> None:
    assert judged.run("--name", "mine", "--set", "sum.offset=4")[0] == 0
    assert judged.ran("--name", "mine", "--set", "sum.offset=4") == []
    before = contents(judged, "mine")
    for other in ((), ("--set", "sum.offset=5")):
        code, output = judged.run("--name", "mine", *other)
        assert code == 2
        assert "sum.offset = 4" in output
    assert contents(judged, "mine") == before


@pytest.mark.parametrize(
    "name",
    ["TOY", "claims", "..", "", "a/b", "/tmp/x", "-x", "a b", "ä", "x" * (LONGEST_NAME + 1), "a\n"],
)
def test_an_unsafe_name_is_refused(toy: Toy, name: str) -> None:
    code, output = toy.run(f"--name={name}")
    assert code == 2, output
    assert "--name" in output
    assert not (toy.root / "results").exists() and not (toy.root / "cache").exists()


def test_a_missing_input_names_the_command_of_the_run(
    judged: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged.run("--name", "mine", "--set", "other.word='a b'", "--only", "01_numbers")
    monkeypatch.delenv("BOXES_TO_MASKS_STEP", raising=False)
    workspace = Workspace("mine", "04_report", study=judged.study)
    with pytest.raises(FileNotFoundError) as caught:
        workspace.input("03_other", "other.txt")
    command = str(caught.value).splitlines()[-1]
    assert "--profile toy" in command and "--name mine" in command
    assert "other.word=" in command and "--only 03_other" in command


def test_a_made_name_is_safe_says_what_differs_and_is_never_that_of_other_values() -> None:
    known = ["", "..", "a/b", "~", "a" * 5000, "A" * 5000, "ä", "a\n", [], ["1"], [1], 1, "1", None]
    long = "some/long*path " * 20
    known += [True, 0.5, long, long.upper(), long * 2, list(range(5000))]
    names = []
    for value in known:
        terms = terms_for("toy", base={"s": {"word_a": object}}, values={"s": {"word_a": value}})
        assert name_problems(Study(Path("/nowhere")), terms.name) == []
        names.append(terms.name.lower())
    assert len(set(names)) == len(known)
    assert all(name.startswith("toy+word.a=") for name in names)
