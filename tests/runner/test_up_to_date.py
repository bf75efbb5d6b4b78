"""What runs again after which change: exactly the steps that depend on it."""

import json
import shutil
from dataclasses import replace

import pytest

from lib.runner import fingerprint
from tests.runner.toy import Toy

ALL = ["01_numbers", "02_sum", "03_other", "04_report"]


def test_the_second_run_does_nothing_and_says_so(done: Toy) -> None:
    before = {p: p.stat().st_mtime_ns for p in (done.root / "results").rglob("*") if p.is_file()}
    code, output = done.run()
    assert code == 0
    assert "Every step is up to date." in output
    index = done.root / "results/toy/index.html"
    after = {p: p.stat().st_mtime_ns for p in (done.root / "results").rglob("*") if p.is_file()}
    assert {p for p in before if before[p] != after[p]} <= {index}


def test_comments_docstrings_and_markdown_run_nothing(done: Toy) -> None:
    done.edit("01_numbers", "# Title", "# Another title")
    done.edit("01_numbers", "import json\n", "import json  # for the file\n\n\n# and so on\n")
    done.edit("02_sum", "# times the sum", "# a factor")
    module = done.root / "lib/toy/count.py"
    text = module.read_text().replace('"""Count."""', '"""Count up."""').replace("# all", "# All")
    module.write_text("# A licence\n" + text)
    assert done.ran() == []


def test_text_that_changed_is_on_the_page_although_nothing_ran(done: Toy) -> None:
    page = done.root / "results/toy/notebooks/01_numbers"
    executed = page.with_suffix(".ipynb")
    content = json.loads(executed.read_text())
    content["cells"][-2]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": ["what it printed\n"]}
    ]
    executed.write_text(json.dumps(content))
    done.edit("01_numbers", "# Title", "# Better [title](../README.md)")
    done.edit("01_numbers", "import json\n", "import json  # for the file\n")
    assert done.ran() == []
    html = page.with_suffix(".html").read_text()
    assert "Better" in html
    assert 'href="../../../README.md"' in html
    assert "for the file" in html
    assert "what it printed" in html


def test_a_changed_notebook_runs_with_what_depends_on_its_output(done: Toy) -> None:
    done.edit("02_sum", "+ sum_offset", "+ 2 * sum_offset + 1")
    assert done.ran() == ["02_sum", "04_report"]


def test_a_parameter_runs_the_steps_that_have_it(done: Toy) -> None:
    done.give("sum.offset", 1)
    planned = done.planned()
    assert "runs: parameter sum.offset: 0 -> 1" in planned["02_sum"]
    assert "runs if the output of 02_sum changes" in planned["04_report"]
    assert "up to date" in planned["03_other"]
    assert done.ran() == ["02_sum", "04_report"]
    assert done.output("04_report", "report.txt") == "4.0oneoneone"


def test_a_profile_sets_parameters_and_the_command_line_wins(toy: Toy) -> None:
    toy.profile(
        "description: a toy\nsteps:\n  03_other: {numbers: {count: 1}}\n"
        "parameters:\n  numbers.count: 2\n"
    )
    toy.run()
    assert toy.output("01_numbers", "numbers.json") == "[0, 1]"
    assert toy.output("03_other", "other.txt") == "one"
    toy.run("--set", "numbers.count=4", "--name", "four")
    assert toy.output("01_numbers", "numbers.json", run="four") == "[0, 1, 2, 3]"
    assert toy.output("03_other", "other.txt", run="four") == "oneoneoneone"


def test_a_module_runs_the_steps_that_use_it_however_indirectly(done: Toy) -> None:
    (done.root / "lib/toy/begin.py").write_text("BEGIN = 1\n")
    assert "runs: lib/toy/begin.py changed" in done.planned()["01_numbers"]
    assert done.ran() == ["01_numbers", "02_sum", "04_report"]


def test_a_step_that_makes_the_same_again_runs_nothing_else(done: Toy) -> None:
    done.edit("01_numbers", "import json\n", "import json\nunused = 1\n")
    assert done.ran() == ["01_numbers"]
    assert done.ran() == []


def test_an_outside_file_counts_for_all_that_come_after(done: Toy) -> None:
    data = done.root / "boxes.json"
    data.write_text("[]")
    done.give("other.word", "boxes.json")
    assert done.ran() == ["03_other", "04_report"]
    assert done.ran() == []
    data.write_text("[1]")
    # The output of 03_other is the same: it names the file. What reads the file must run again.
    assert done.ran() == ["03_other", "04_report"]


def test_a_package_version_runs_everything(done: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "package_versions", lambda: {"numpy": "0.1"})
    assert all("-> 0.1" in text for text in done.planned().values())
    assert done.ran() == ALL


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_a_lost_or_spoilt_output_is_made_again(done: Toy, how: str) -> None:
    path = done.root / "cache/toy/02_sum/sum.json"
    path.unlink() if how == "removed" else path.write_text("7")
    assert done.ran() == ["02_sum"]
    assert path.read_text() == "3.0"


def test_force_runs_a_step_afresh(done: Toy) -> None:
    extra = done.root / "cache/toy/02_sum/checkpoint"
    extra.write_text("half")
    assert done.ran("--force", "02_sum,03_other") == ["02_sum", "03_other"]
    assert not extra.exists()


def test_keep_accepts_an_output_and_says_so(done: Toy) -> None:
    done.edit("02_sum", "+ sum_offset", "+ sum_offset + 1")
    code, output = done.run("--keep", "02_sum")
    assert code == 0
    assert "02_sum      kept although the notebook's code changed" in output
    assert done.output("02_sum", "sum.json") == "3.0"
    record = json.loads((done.root / "results/toy/provenance.json").read_text())
    assert record["steps"]["02_sum"]["kept_although"] == ["the notebook's code changed"]
    assert "Kept although" in (done.root / "results/toy/index.html").read_text()
    done.edit("04_report", "total +", "total + '!' +")
    assert done.ran("--keep", "02_sum") == ["04_report"]
    record = json.loads((done.root / "results/toy/provenance.json").read_text())
    assert "02_sum that was kept" in record["steps"]["04_report"]["notes"][0]
    assert done.ran() == ["02_sum", "04_report"]


FAIL_ONCE = (
    "\nfolder = ws.folder\nmark = folder / 'checkpoint'\nseen = mark.exists()\n"
    "mark.write_text('half')\nassert seen, 'stopped half-way'\n"
)


def test_unfinished_work_is_continued_while_nothing_changes(toy: Toy) -> None:
    toy.edit("03_other", "ws.file", FAIL_ONCE + "ws.file")
    code, output = toy.run()
    assert code == 1
    assert "stopped half-way" in output
    assert "did not finish" in toy.planned()["03_other"]
    assert toy.ran() == ["03_other", "04_report"]


@pytest.mark.parametrize("keep", [True, False])
def test_unfinished_work_on_other_inputs_is_thrown_away_unless_kept(toy: Toy, keep: bool) -> None:
    toy.edit("03_other", "ws.file", FAIL_ONCE + "ws.file")
    toy.run("--only", "03_other")
    option = ["--keep", "03_other"] if keep else []
    toy.give("other.word", "two")
    ran = toy.ran("--only", "03_other", *option)
    assert ran == (["03_other"] if keep else [])
    if keep:
        record = json.loads((toy.root / "results/toy/provenance.json").read_text())
        assert "begun before" in record["steps"]["03_other"]["notes"][0]


MODEL = """
model = ws.folder / 'model'
ws.file('found').write_text(str(model.exists()))
model.write_text('trained')
"""


@pytest.mark.parametrize(
    ("change", "is_kept", "finished"),
    [
        ("notebook", True, False),
        ("lib/metrics", True, True),
        ("lib/toy", False, True),
        ("parameter", False, True),
    ],
)
def test_models_outlive_changes_of_what_only_draws_and_judges_them(
    toy: Toy, change: str, is_kept: bool, finished: bool
) -> None:
    folder = change if change.startswith("lib/") else "lib/toy"
    module = toy.root / folder / "colours.py"
    module.parent.mkdir(exist_ok=True)
    module.write_text("COLOUR = 'red'\n")
    end = "" if finished else "assert 'tried' == 'again'\n"
    used = f"if ws is None:\n    import {folder.replace('/', '.')}.colours\n"
    toy.edit("03_other", "ws.file", f"{used}{MODEL}{end}ws.file")
    toy.run("--only", "03_other")
    assert toy.output("03_other", "found") == "False"
    cut_off = toy.root / "cache/toy/03_other/.tmp-model.pt-ab12cd34.pt"
    cut_off.touch()

    if change == "parameter":
        toy.give("other.word", "two")
    if change == "notebook":
        toy.edit("03_other", "model.write_text", "unused = 1\nmodel.write_text")
    else:
        module.write_text("COLOUR = 'blue'\n" if change != "parameter" else "COLOUR = 'red'\n")
    toy.run("--only", "03_other")
    assert toy.output("03_other", "found") == str(is_kept)
    assert not cut_off.exists()


def test_the_number_of_workers_changes_nothing_but_what_is_recorded_of_it(toy: Toy) -> None:
    declared = "other_workers: int = 1  # processes\nother_word: str"
    toy.edit("03_other", "other_word: str", declared)
    toy.edit("03_other", "ws.file", FAIL_ONCE + "ws.file")
    toy.run("--only", "03_other")
    assert toy.ran("--only", "03_other", "--set", "other.workers=2") == ["03_other"]
    assert toy.ran("--only", "03_other", "--set", "other.workers=3") == []
    record = json.loads((toy.root / "results/toy/provenance.json").read_text())["steps"]["03_other"]
    assert record["not_default"] == {"profile": "toy", "other_workers": 2}


@pytest.mark.parametrize(
    ("output", "is_read"),
    [
        ("ws.file('made').write_text('A')", True),
        ("import dataclasses as d\nws.claims([d.make_dataclass('C', ['id'])('A')])", True),
        ("ws.log('times').write_text('A')", False),
        ("import pandas as pd\nws.table(pd.DataFrame({'x': ['A']}), 't')", False),
    ],
)
def test_outputs_that_no_step_reads_run_nothing(toy: Toy, output: str, is_read: bool) -> None:
    toy.edit("03_other", "ws.file", f"{output}\nws.file")
    toy.ran()
    toy.edit("03_other", "'A'", "'B'")
    assert toy.ran() == (["03_other", "04_report"] if is_read else ["03_other"])


def test_a_file_of_a_step_counts_with_what_it_says(toy: Toy) -> None:
    numbers = toy.root / "params" / "facts.yaml"
    numbers.write_text("a: 1  # one\n")
    toy.steps = tuple(
        replace(step, files=("params/facts.yaml",)) if step.id == "03_other" else step
        for step in toy.steps
    )
    toy.ran()
    numbers.write_text("# another comment\na:   1\n")
    assert toy.ran() == []
    numbers.write_text("a: 2\n")
    assert toy.ran() == ["03_other", "04_report"]


def test_results_of_an_unfinished_run_do_not_outlive_it(toy: Toy) -> None:
    picture = toy.root / "results/toy/picture.png"
    picture.parent.mkdir(parents=True)
    draw = (
        f"if other_word == 'one':\n    open(ws.output({str(picture)!r}), 'w').close()\n    1 / 0\n"
    )
    toy.edit("03_other", "ws.file", draw + "ws.file")
    assert toy.run("--only", "03_other")[0] == 1
    assert picture.exists()
    toy.give("other.word", "two")
    assert toy.ran("--only", "03_other") == ["03_other"]
    assert not picture.exists()


def test_pages_without_a_cache_keep_their_provenance(done: Toy) -> None:
    provenance = done.root / "results/toy/provenance.json"
    before = json.loads(provenance.read_text())["steps"]
    shutil.rmtree(done.root / "cache")
    (done.root / "results/toy/notebooks/04_report.ipynb").unlink()
    assert done.ran("--only", "01_numbers") == ["01_numbers"]
    after = json.loads(provenance.read_text())["steps"]
    assert list(after) == ["01_numbers", "02_sum", "03_other"]
    assert after["02_sum"] == before["02_sum"]


def test_an_announced_output_that_is_not_written_is_a_failure(toy: Toy) -> None:
    toy.edit("03_other", "ws.file", "ws.file('forgotten.txt')\nws.file")
    code, output = toy.run()
    assert code == 1
    assert "forgotten.txt" in output
    assert "did not write it" in output


@pytest.mark.parametrize("content", ["[[1,", '{"fingerprint": 1, "outputs": []}'])
@pytest.mark.parametrize("name", ["stamp.json", "started.json", "outputs.json"])
def test_damaged_records_of_a_step_cost_at_most_its_run(done: Toy, name: str, content: str) -> None:
    (done.root / "cache/toy/02_sum" / name).write_text(content)
    assert done.ran() in ([], ["02_sum"])
    assert done.ran() == []


@pytest.mark.parametrize("content", ["", '{"02_sum": "x", "cache/toy": [1]}'])
def test_damaged_records_of_a_profile_cost_nothing(done: Toy, content: str) -> None:
    for path in (done.root / "cache/toy").glob("*.json"):
        path.write_text(content)
    assert done.ran() == []
