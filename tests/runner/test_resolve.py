"""Which parameters name files, folders and variants, and which of these exist."""

from pathlib import Path

import pytest

from lib.runner.parameters import parse_cell
from lib.runner.resolve import misnamed_variant, missing_files, named_files
from lib.runner.steps import Step
from lib.runner.study import Study

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
    assert bool(missing_files(study, "01_x", SCHEMA, values)) == is_path
    if "://" not in value and value:
        (tmp_path / value).mkdir(parents=True)
        assert missing_files(study, "01_x", SCHEMA, values) == []
        found = {name: tmp_path / value} if is_path else {}
        assert named_files(study, SCHEMA, values) == found


def test_a_variant_to_start_from_is_one_that_the_step_needs() -> None:
    step = Step("06_t", "a", needs=("01_x", "06_t.detector"))
    for right in ("", "detector"):
        assert misnamed_variant(step, {"train_init": right}) == []
    (problem,) = misnamed_variant(step, {"train_init": "detectr"})
    assert "Did you mean 'detector'?" in problem
    assert misnamed_variant(step, {"train_init": "a"})
    assert misnamed_variant(step, {}) == []
