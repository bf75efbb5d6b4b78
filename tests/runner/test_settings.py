from typing import Any

import pytest

from lib.runner.profiles import flatten, parse_assignment
from lib.strict_yaml import parse_yaml


def test_nesting_and_dots_are_underscores() -> None:
    nested = {"grabcut": {"iterations": 3}, "data.train": {"images": "x"}, "show_pictures": False}
    assert flatten(nested) == {
        "grabcut_iterations": 3,
        "data_train_images": "x",
        "show_pictures": False,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("2.5", 2.5),
        (".5", 0.5),
        ("-1.5e3", -1500.0),
        ("7", 7),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("[a, b]", ["a", "b"]),
        ("null", None),
        ("1.2.3", "1.2.3"),
        ("'5'", "5"),
    ],
)
def test_values_mean_what_they_look_like(text: str, value: Any) -> None:
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_key_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="'a' is given twice"):
        parse_yaml("a: 1\nb: 2\na: 3")


def test_assignment_with_and_without_a_step() -> None:
    plain = parse_assignment("grabcut.iterations=3")
    assert (plain.name, plain.value, plain.scope) == ("grabcut_iterations", 3, None)
    scoped = parse_assignment("06_train_opmask.opmask.voc:train.iterations=200")
    assert scoped.scope == "06_train_opmask.opmask.voc"
    assert (scoped.name, scoped.value) == ("train_iterations", 200)


def test_value_may_hold_the_signs_of_an_assignment() -> None:
    assert parse_assignment("data.images=C:/a=b").value == "C:/a=b"


@pytest.mark.parametrize("text", ["grabcut.iterations", "=3", "a=[1", "a={b: 1}"])
def test_what_is_no_assignment_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="--set"):
        parse_assignment(text)
