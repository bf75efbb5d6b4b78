"""Steps that are repeated with other random numbers: their names, their needs, and what is said."""

from dataclasses import replace

import pytest

from lib.runner.repetitions import indispensable, meant_by, repetitions, together
from lib.runner.steps import Step, matching
from lib.variant import split_seed, with_seed
from tests.runner.toy import STEPS, Toy

TRAININGS = (
    Step("03_other", "start", repeated="other_repeat"),
    Step("03_other", "last", repeated="other_repeat"),
)
PROFILE = "description: a toy\nseeds: {03_other: 2, 03_other.last: 3}\n"
START, LAST = (
    tuple(f"03_other.{v}.seed{r}" for r in range(n)) for v, n in (("start", 2), ("last", 3))
)


@pytest.fixture
def repeated(toy: Toy) -> Toy:
    """The toy with two trainings, of which ``last`` starts from ``start``, and their report."""
    cell = "other_word: str = 'one'  # any word"
    more = (
        "variant: str = ''  # which\nother_repeat: int = 0  # which\ntrain_init: str = ''  # step"
    )
    toy.edit("03_other", cell, f"{cell}\n{more}")
    toy.edit("03_other", "step='03_other'", "step=f'03_other.{variant}'")
    told = "start = ws.input(train_init, 'other.txt').read_text() if train_init else other_word\n"
    toy.edit("03_other", "ws.file(", f"{told}ws.file(")
    toy.edit("03_other", "(other_word * numbers_count)", "(f'{start} {variant} {other_repeat}')")
    read = "' '.join(ws.variants('03_other'))"
    toy.edit("04_report", "ws.input('03_other', 'other.txt').read_text()", read)
    start, last = TRAININGS
    named = replace(last, parameters={"train_init": "03_other.start"})
    toy.steps = (*STEPS[:2], start, named, STEPS[3])
    toy.profile(PROFILE)
    return toy


def test_an_ending_is_read_as_it_is_written_and_nothing_else_is_one() -> None:
    for name in ("opmask.voc", "06_train_opmask.opmask.voc"):
        for number in (0, 1, 10):
            assert split_seed(with_seed(name, number)) == (name, number)
    for name in ("a.seed", "a.seed01", "a.seedx", "seed0", "a.seed0.b", "a.seed1\n"):
        assert split_seed(name) == (name, None)


def test_a_name_without_the_ending_means_all_of_a_step_and_no_other() -> None:
    steps = [r for name in ("a", "a.b") for r in repetitions(Step("06_t", name, repeated="n"), 2)]
    assert matching("06_t.a", steps) == ["06_t.a.seed0", "06_t.a.seed1"]
    assert matching("06_t.a.seed1", steps) == ["06_t.a.seed1"]
    assert len(matching("06_t", steps)) == 4
    assert [step.parameters["n"] for step in steps] == [0, 1, 0, 1]
    assert repetitions(Step("06_t", "c"), 3) == [Step("06_t", "c")]


def test_a_step_means_the_repetition_of_its_own_number_in_turn() -> None:
    start = repetitions(Step("04_t", "start", repeated="n"), 2)
    own = repetitions(Step("06_t", "a", repeated="n"), 5)
    steps = [*start, *own, Step("07_r")]
    meant = [meant_by("04_t.start", step, steps) for step in [*own, Step("07_r")]]
    assert [split_seed(name)[1] for name in meant] == [0, 1, 0, 1, 0, 0]
    assert meant_by("04_t.start.seed1", own[0], steps) == "04_t.start.seed1"
    assert meant_by("07_r", own[1], steps) == "07_r"
    assert meant_by("nothing", own[1], steps) == "nothing"


def test_a_step_that_stopped_is_dispensable_while_another_repetition_is_there() -> None:
    needs = ["a.seed0", "a.seed1", "b"]
    assert indispensable(needs, ["a.seed0"]) == []
    assert indispensable(needs, ["a.seed0", "a.seed1"]) == ["a.seed0", "a.seed1"]
    assert indispensable(needs, ["b", "c"]) == ["b"]


def test_repetitions_share_a_line_where_the_same_is_said() -> None:
    steps = [*repetitions(Step("t", "a", repeated="n"), 3), Step("r")]
    ids = [step.id for step in steps]
    assert together(dict.fromkeys(ids, "x"), steps) == [("t.a (3 seeds)", ids[:3]), ("r", ["r"])]
    mixed = dict(zip(ids, "xyxx", strict=True))
    assert [line for line, _ in together(mixed, steps)] == ["t.a (seeds 0, 2)", "t.a.seed1", "r"]


def test_every_repetition_runs_from_its_own_and_the_report_reads_all(repeated: Toy) -> None:
    code, output = repeated.run()
    assert code == 0, output
    found = [repeated.output(step, "other.txt") for step in LAST]
    assert found == [f"one start.seed{r % 2} {r % 2} last.seed{r} {r}" for r in range(3)]
    assert all(step.removeprefix("03_other.") in repeated.output("04_report", "report.txt")
               for step in (*START, *LAST))  # fmt: skip
    assert "03_other.last (3 seeds)" in output
    assert repeated.ran("--force", "03_other.last.seed2", "--only", "03_other.last") == [LAST[2]]
    repeated.profile(PROFILE.replace("last: 3", "last: 4"))  # those that are there stay
    assert repeated.ran() == ["03_other.last.seed3", "04_report"]


def test_a_failed_seed_stops_only_what_starts_from_it(repeated: Toy) -> None:
    repeated.edit("03_other", "ws.file(", "assert variant != 'start.seed1'\nws.file(")
    code, output = repeated.run()
    assert code == 1
    assert "Step 03_other.last.seed1 did not run: it needs 03_other.start.seed1." in output
    report = repeated.output("04_report", "report.txt")
    assert [r for r in range(3) if f"last.seed{r}" in report] == [0, 2]


def test_where_every_seed_fails_the_report_is_short_and_nothing_follows(repeated: Toy) -> None:
    repeated.edit("03_other", "ws.file(", "1 / 0\nws.file(")
    _, output = repeated.run()
    assert output.count("Traceback") == output.count("03_other.start (2 seeds) failed") == 1
    assert "Step 03_other.last (3 seeds) did not run: it needs 03_other.start.seed0" in output
    assert "Step 04_report did not run" in output


def test_names_with_and_without_the_ending_are_taken_everywhere(repeated: Toy) -> None:
    given = "{03_other.start: {other.word: two}, 03_other.start.seed1: {other.word: three}}"
    minutes = "{03_other: 1, 03_other.start.seed1: 9}"
    left_out = "[03_other.last.seed1]"
    repeated.profile(f"{PROFILE}leave_out: {left_out}\nminutes: {minutes}\nsteps: {given}\n")
    _, plan = repeated.run("--dry-run")
    assert "03_other.last (2 seeds)" in plan and "  5 min 00 s each" in plan  # the mean of 1 and 9
    repeated.run("--only", "03_other.start")
    words = [repeated.output(step, "other.txt").split()[0] for step in START]
    assert words == ["two", "three"]
    _, plan = repeated.run("--dry-run", "--set", "03_other.last:other.word=x")
    assert "differs from profile toy: 03_other.last:other.word = x (one)." in plan
    _, plan = repeated.run("--dry-run", "--set", "03_other.last.seed2:other.word=x")
    assert "differs from profile toy: 03_other.last.seed2:other.word = x (one)." in plan


def test_a_run_from_another_step_says_so_once(repeated: Toy) -> None:
    repeated.steps = (*repeated.steps[:3], TRAININGS[1], repeated.steps[4])
    repeated.profile(f"{PROFILE}steps: {{03_other.last: {{train.init: 03_other.start}}}}\n")
    nothing, first = '""', "03_other.start.seed1"
    for init, said in ((nothing, "''"), (first, first)):
        _, plan = repeated.run("--dry-run", "--set", f"03_other.last:train.init={init}")
        change = f"03_other.last:train.init = {said} (03_other.start)."
        assert f"differs from profile toy: {change}" in plan


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ("{03_other.lst: 2}", "Did you mean '03_other.last'?"),
        ("{03_other.last.seed0: 2}", "There is no step '03_other.last.seed0'"),
        ("{02_sum: 2}", "'02_sum' trains nothing, so it is not repeated."),
        ("{03_other: 0}", "'seeds.03_other' is wrong"),
        ("{03_other: 1.5}", "'seeds.03_other' is wrong"),
        ("{03_other: true}", "'seeds.03_other' is wrong"),
        ("{03_other: 1000000000}", "'seeds.03_other' is wrong"),
        ("3", "'seeds' is wrong"),
    ],
)
def test_a_mistake_in_seeds_is_told(repeated: Toy, seeds: str, sentence: str) -> None:
    repeated.profile(f"description: a toy\nseeds: {seeds}\n")
    code, output = repeated.run("--dry-run")
    assert code == 2
    assert sentence in output


def test_the_number_of_a_repetition_cannot_be_set(repeated: Toy) -> None:
    code, output = repeated.run("--set", "other.repeat=1", "--dry-run")
    assert code == 2
    assert "cannot be set" in output
