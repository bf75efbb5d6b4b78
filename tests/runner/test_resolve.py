"""Which parameters name files, folders and steps, and which of these exist."""

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
        ("data_train_images", "photos/train", True),
        ("data_train_images", "", False),
        ("data_train_images", "https://example.org/photos", False),
        ("data_check_images", "header", False),
        ("model_weights", "r50", True),
        ("model_weights", "imagenet", False),
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


def test_a_step_needs_those_that_its_parameters_name() -> None:
    steps = [Step("01_d", "other"), *(Step("06_t", v, needs=("05_y",)) for v in ("a", "detector"))]
    names = {"06_t.a": {"train_init": "06_t.detector", "data_from": "01_d.other"}}
    found, problems = with_named_needs(steps, names | {"06_t.detector": {"train_init": ""}})
    assert [s.needs for s in found] == [(), ("05_y", "06_t.detector", "01_d.other"), ("05_y",)]
    assert problems == {}
    for wrong in ("06_t.detectr", "06_t.a"):  # a step cannot start from itself
        found, problems = with_named_needs(steps, {"06_t.a": {"train_init": wrong}})
        assert list(problems) == ["06_t.a"]
        assert "Did you mean '06_t.detector'?" in problems["06_t.a"] or wrong == "06_t.a"
        assert found[1].needs == ("05_y",)
