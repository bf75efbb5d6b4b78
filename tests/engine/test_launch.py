"""Running a module in a process of its own."""

import pytest

from lib.engine.launch import run_module


def test_lines_of_the_module_are_passed_on(capsys):
    run_module("platform")
    assert capsys.readouterr().out.strip()


def test_failure_says_what_the_module_said_and_how_to_repeat_it():
    with pytest.raises(RuntimeError, match=r"(?s)error: .*nowhere.*python -m lib.engine.train"):
        run_module("lib.engine.train", "nowhere/config.json")
