"""Mistakes on the command line and in profiles: sentences and exit code 2, before any kernel."""

from dataclasses import replace

import pytest

from lib.runner.steps import Step
from tests.runner.toy import STEPS, Toy


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "numbers.cuont=4"], "Did you mean 'numbers.count'?"),
        (["--set", "numbers.count=four"], "numbers.count (--set) expects int, not text 'four'."),
        (["--set", "numbers.count"], "not of the form NAME=VALUE"),
        (["--set", "02_sum:numbers.count=4"], "is not a parameter of step '02_sum'"),
        (["--set", "02_smu:sum.offset=4"], "There is no step '02_smu' in this profile. Did you"),
        (["--set", "profile=demo"], "use --profile"),
        (["--only", "04_reprot"], "--only: There is no step '04_reprot'"),
        (["--only", ""], "--only: There is no step ''"),
        (["--force", "02_sum", "--keep", "02_sum"], "02_sum: both in --force and in --keep"),
        (["--profile", "tov"], "There is no profile 'tov'. Did you mean 'toy'?"),
        (["--jobs", "0"], "at least one step"),
        (["--set", "other.word=data/no.json"], "'data/no.json', which other.word of step 03_other"),
        (["--set", f"other.word={'x' * 5000}.json"], "does not exist"),
        (["--set", "other.word=~nobody_here/x.json"], "does not exist"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(toy: Toy, arguments: list[str], sentence: str) -> None:
    code, output = toy.run(*arguments)
    assert code == 2
    assert sentence in output
    assert "Traceback" not in output
    assert not (toy.root / "results").exists()


def test_all_mistakes_are_told_at_once(toy: Toy) -> None:
    toy.profile("description: a toy\nparameters:\n  sum: {ofset: 1, scale: many}\n")
    code, output = toy.run(
        "--set", "numbers.count=x", "--only", "nothing", "--set", "other.word=a/b.json"
    )
    assert code == 2
    assert output.count("error: ") == 5
    assert "a/b.json" in output
    assert "sum.ofset (params/toy.yaml)" in output
    assert "sum.scale (params/toy.yaml) expects float" in output


@pytest.mark.parametrize("given", ["train_init", "data_from"])
def test_steps_that_would_wait_for_each_other_are_named(toy: Toy, given: str) -> None:
    cell = "sum_offset: int = 0  # added to the sum"
    toy.edit("02_sum", cell, f"{cell}\n{given}: str = ''  # a step")
    code, output = toy.run("--set", f"{given}=04_report")
    assert code == 2
    assert "Traceback" not in output
    named = [name for name in ("01_numbers", "02_sum", "04_report") if name in output]
    assert named == ["02_sum", "04_report"]


def test_a_list_of_claims_that_is_none_is_told_before_any_work(toy: Toy) -> None:
    (toy.study.params / "claims.yaml").write_text("scales: {}\nclaims: &a [*a]\n")
    toy.steps = (replace(STEPS[0], files=("params/claims.yaml",)),)
    code, output = toy.run()
    assert code == 2
    assert "claims.yaml" in output
    assert "line 2" in output
    assert not (toy.root / "cache").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("description: a\nparameter: {}\n", "Did you mean 'parameters'?"),
        ("parameters: {}\n", "'description' is wrong"),
        ("- a\n", "must be a mapping"),
        ("a: [\n", "not valid YAML"),
        ("description: a\nleave_out: [05_none]\n", "There is no step '05_none'"),
        ("description: a\nleave_out: [02_sum]\n", "Leave out '04_report' too"),
        ("description: a\nsteps: {02_smu: {}}\n", "Did you mean '02_sum'?"),
        ("description: a\nminutes: {02_sum: .nan}\n", "'minutes.02_sum' is wrong"),
        ("description: a\nminutes: {02_sum: -1}\n", "'minutes.02_sum' is wrong"),
        ("description: a\ngigabytes: {02_sum: {dsk: 1}}\n", "'gigabytes.02_sum.dsk' is not a part"),
        ("description: a\ngigabytes: {02_sum: {disk: .inf}}\n", "'gigabytes.02_sum.disk' is wrong"),
        ("description: a\nparameters: {numbers: {cuont: 1}}\n", "Did you mean 'numbers.count'?"),
        ("description: a\nparameters: {numbers: {count: 1}, numbers.count: 2}\n", "given twice"),
        ("description: a\nsteps: {02_sum: {sum.offset: 1, sum_offset: 2}}\n", "given twice"),
    ],
)
def test_a_mistake_in_a_profile_is_told(toy: Toy, text: str, sentence: str) -> None:
    toy.profile(text)
    code, output = toy.run()
    assert code == 2
    assert sentence in output
    assert "params/toy.yaml" in output or "leave_out: [02_sum]" in text
    assert "Traceback" not in output


def test_extra_steps_run_only_where_a_profile_adds_them(toy: Toy) -> None:
    toy.steps = (*STEPS, Step("03_other", "more", extra=True))
    assert "03_other.more" not in toy.run("--dry-run")[1]
    assert "There is no step '03_other.more'" in toy.run("--only", "03_other.more")[1]
    toy.profile("description: a toy\nadd: [03_other.more]\n")
    assert "03_other.more" in toy.run("--dry-run")[1]


def test_a_missing_notebook_is_told(toy: Toy) -> None:
    (toy.study.notebooks / "04_report.ipynb").unlink()
    code, output = toy.run()
    assert code == 2
    assert "notebooks/04_report.ipynb does not exist" in output


def test_list_and_dry_run_do_nothing(toy: Toy) -> None:
    code, output = toy.run("--list")
    assert code == 0
    assert "02_sum      after 01_numbers" in output
    assert "toy           a toy" in output
    code, output = toy.run("--dry-run")
    assert code == 0
    assert output.count("has not run yet") == len(STEPS)
    assert not (toy.root / "results").exists()
