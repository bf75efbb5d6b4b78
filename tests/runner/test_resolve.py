"""Which parameters name files, folders and variants, and which of these exist."""

from pathlib import Path

import pytest

from lib.runner.parameters import parse_cell
from lib.runner.resolve import missing_files, named_files, with_named_needs
from lib.runner.steps import Step
from lib.study import Study

SCHEMA = parse_cell(
    "data_train_images: str = ''\n"
    "data_check_images: Literal['none', 'header'] = 'none'\n"
    "model_weights: str = 'none'\n"
    "other_word: str = ''\n"
)


@pytest.mark.parametrize(
    ("name", "value", "is_path"),
    [
        ("data_train_images", "photos", True),
        ("data_train_images", "photos/train", True),
        ("data_train_images", "", False),
        ("data_train_images", "https://example.org/photos", False),
        ("data_check_images", "header", False),
        ("model_weights", "r50", True),
        ("model_weights", "r50.pth", True),
        ("model_weights", "imagenet", False),
        ("model_weights", "none", False),
        ("other_word", "photos", False),
        ("other_word", "boxes.json", True),
    ],
)
def test_a_path_is_looked_for_before_anything_runs_and_counts(
    tmp_path: Path, name: str, value: str, is_path: bool
) -> None:
    study, values = Study(tmp_path), {name: value}

    def missing() -> list[str]:
        return missing_files(study, [Step("01_x")], {"01_x": SCHEMA}, {"01_x": values})

    assert bool(missing()) == is_path
    if "://" not in value and value:
        (tmp_path / value).mkdir(parents=True)
        assert missing() == []
        found = {name: tmp_path / value} if is_path else {}
        assert named_files(study, SCHEMA, values) == found


def test_a_step_needs_the_one_that_it_starts_from() -> None:
    steps = [Step("06_t", name, needs=("01_x",)) for name in ("a", "detector")]
    start = {"train_init": "06_t.detector"}
    found, problems = with_named_needs(
        steps, {"06_t.a": start, "06_t.detector": {"train_init": ""}}
    )
    assert [step.needs for step in found] == [("01_x", "06_t.detector"), ("01_x",)]
    assert problems == {}


def test_a_step_needs_the_one_whose_sets_it_uses() -> None:
    steps = [Step("01_d", "other"), Step("06_t", needs=("05_y",))]
    names = {"06_t": {"train_init": "", "data_from": "01_d.other"}}
    found, problems = with_named_needs(steps, names)
    assert found[1].needs == ("05_y", "01_d.other") and problems == {}
    names = {"06_t": {"train_init": "no", "data_from": "neither"}}
    assert len(with_named_needs(steps, names)[1]["06_t"]) == 2


def test_a_start_that_is_no_other_step_is_a_sentence() -> None:
    steps = [Step("06_t", name) for name in ("a", "detector")]
    for wrong in ("06_t.detectr", "06_t.a"):
        found, problems = with_named_needs(steps, {"06_t.a": {"train_init": wrong}})
        assert list(problems) == ["06_t.a"]
        (sentence,) = problems["06_t.a"]
        assert "Did you mean '06_t.detector'?" in sentence or wrong == "06_t.a"
        assert all(step.needs == () for step in found)
