from pathlib import Path
from typing import Any

import pytest
import yaml

from lib.strict_yaml import cut, parse_yaml, read_yaml

BOMB = "\n".join(
    ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BOMB, 2),
        ("a: &p\n  b: *p", 2),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2),
        ("a: 1\nb: !!map [c]", 2),
        ("a: !!timestamp x", 1),
        ("a: 1\n? [b, c]\n: 3", 2),
        ("a: {true: 2}", 1),
        ("a: 1\nb: 2\na: 3", 3),
        ("a: 1\n---\nb: 2", 2),
        ("a:\n\tb: 1", 2),
    ],
)
def test_what_is_refused_is_a_short_sentence_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"^line {line}: ") as error:
        parse_yaml(text)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize("text", ["9" * 5000, "a: \x00", "[" * 2000])
def test_a_value_that_cannot_be_is_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_yaml(text)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize("text", ["2020-01-01", "=", "no", "on", "1.2.3", "010", "1:30"])
def test_what_looks_like_a_word_is_one(text: str) -> None:
    assert parse_yaml(text) == text


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, 1e-5, -1500.0, "x", "5", None, True]}, [[["ä"]]], {"b": {"c": {}}}]
)
def test_plain_values_are_what_was_written(value: Any) -> None:
    parsed = parse_yaml(yaml.safe_dump(value, allow_unicode=True))
    assert parsed == value
    assert str(parsed) == str(value)


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), (".5", 0.5), ("-1.5e3", -1500.0)])
def test_numbers_are_read_as_python_does(text: str, value: float) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize("content", ["a: 1\nb: ä".encode("latin-1"), "a: ä".encode("utf-16"), None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"^a\.yaml"):
        read_yaml(tmp_path / "a.yaml", "a.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: ä".encode("utf-8-sig"))
    assert read_yaml(path, "a.yaml") == {"a": "ä"}


def test_a_long_text_is_cut_to_one_line() -> None:
    assert cut("a\n b") == "a b"
    assert cut("x" * 10, 4) == "xxx…"
    assert cut("xxxx", 4) == "xxxx"
