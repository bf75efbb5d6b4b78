"""One executed notebook as a page."""

import re

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lib.pages.page import to_html


def test_a_log_that_came_line_by_line_is_one_block():
    lines = [new_output("stream", name="stdout", text=f"line {i}\n") for i in range(3)]
    cell = new_code_cell("train()", outputs=lines, execution_count=1)
    notebook = nbformat.from_dict(new_notebook(cells=[cell]))
    body = to_html(notebook, {"step": "06_train", "title": "Training", "profile": "demo"})
    assert len(re.findall(r"line 0\s+line 1\s+line 2", body)) == 1
