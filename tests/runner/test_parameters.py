from pathlib import Path
from typing import Any

import pytest

from lib.runner.parameters import parse_cell
from lib.runner.profiles import flatten, parse_assignment

CELL = """
from typing import Literal

profile: str = "demo"  # name of the profile
rounds: int = 5  # rounds of GrabCut
shots: PositiveInt = 3
rate: float = 0.02
method: Literal["opmask", "mask_rcnn"] = "opmask"  # which, as in the paper
names: list[str] = []  # "# is no comment in a text"
size: tuple[int, int] = (320, 240)
limit: int | None = None  # none: all
fast: bool = False
"""


def test_cell_gives_names_types_and_defaults_in_order() -> None:
    found = parse_cell(CELL)
    assert list(found)[:4] == ["profile", "rounds", "shots", "rate"]
    assert found["rounds"].default == 5
    assert found["size"].default == (320, 240)
    assert found["limit"].annotation == "int | None"


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("rate", 1, 1.0),
        ("size", [64, 48], (64, 48)),
        ("limit", 3, 3),
        ("limit", None, None),
        ("method", "mask_rcnn", "mask_rcnn"),
    ],
)
def test_right_types_are_taken(name: str, given: Any, taken: Any) -> None:
    checked = parse_cell(CELL)[name].check(given)
    assert checked == taken
    assert type(checked) is type(taken)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("rounds", "5"),
        ("rounds", 5.0),
        ("shots", 0),
        ("rounds", True),
        ("rate", True),
        ("rate", float("nan")),
        ("fast", 1),
        ("profile", None),
        ("method", "opmsk"),
        ("names", "person"),
        ("names", [1]),
        ("size", [1, 2, 3]),
        ("limit", "all"),
    ],
)
def test_wrong_types_are_refused_with_what_is_expected(name: str, given: Any) -> None:
    parameter = parse_cell(CELL)[name]
    with pytest.raises(ValueError, match="expects") as error:
        parameter.check(given)
    assert f"expects {parameter.annotation.replace('PositiveInt', 'int above 0')}, not" in str(
        error.value
    )
    assert repr(given) in str(error.value)


@pytest.mark.parametrize(
    "line",
    [
        "rounds = 5",
        "rounds: int",
        "rounds: int = exit(3)",
        "rounds: int = 'five'",
        "rounds: set[int] = {1}",
        "import os",
        "rounds: int = = 5",
    ],
)
def test_anything_but_typed_literals_is_refused_naming_the_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"rounds|import|line"):
        parse_cell(line)


def test_a_module_declares_what_cells_share_and_a_cell_can_replace_it(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    module = tmp_path / "lib" / "shared.py"
    module.write_text(
        '"""Shared."""\n\nrounds: int = 5  # how many\nrate: float = 0.1  # how fast\n'
    )
    cell = "from lib.shared import *\n\nname: str = ''  # which\nrate: float = 0.2\n"
    found = parse_cell(cell, root=tmp_path)
    assert {name: p.default for name, p in found.items()} == {"rounds": 5, "rate": 0.2, "name": ""}
    module.write_text("rounds: int = exit(3)\n")
    with pytest.raises(ValueError, match=r"lib.shared.*line 1"):
        parse_cell(cell, root=tmp_path)
    with pytest.raises(ValueError, match=r"lib/nothing\.py"):
        parse_cell("from lib.nothing import *", root=tmp_path)


def test_nesting_and_dots_are_underscores() -> None:
    nested = {"grabcut": {"iterations": 3}, "data.train": {"images": "x"}, "show_pictures": False}
    assert flatten(nested) == {
        "grabcut_iterations": 3,
        "data_train_images": "x",
        "show_pictures": False,
    }


def test_assignment_with_and_without_a_step() -> None:
    plain = parse_assignment("grabcut.iterations=3")
    assert (plain.name, plain.value, plain.scope) == ("grabcut_iterations", 3, None)
    scoped = parse_assignment("06_train_opmask.opmask.voc:train.iterations=200")
    assert scoped.scope == "06_train_opmask.opmask.voc"
    assert (scoped.name, scoped.value) == ("train_iterations", 200)
    assert parse_assignment("data.images=C:/a=b").value == "C:/a=b"


@pytest.mark.parametrize("text", ["grabcut.iterations", "=3", "a=[1"])
def test_what_is_no_assignment_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="--set"):
        parse_assignment(text)
