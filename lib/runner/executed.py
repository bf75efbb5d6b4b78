"""The executed notebook as it goes to ``results/``: tidy, with its provenance, without paths."""

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib import paths
from lib.files import write_text
from lib.runner.notebook import INJECTED
from lib.runner.parameters import TAG, Parameter, notebook_cells
from lib.terms import Terms

PROVENANCE = "provenance"
"""Tag and id of the cell that says where a notebook's outputs come from."""

_ALONE = r"(?:(?<![\w/.-])|(?<=\\[nrt])|(?<=\dm)|(?<=file://))"
"""Where a path begins in a notebook file: not within another one, and also after the two characters
of a line break, after a colour and in an address."""

WIDGETS = "application/vnd.jupyter.widget-view+json"


def injected_cell(schema: Mapping[str, Parameter], values: Mapping[str, Any], terms: Terms) -> str:
    """Return the source of the cell that sets all parameters; departures from defaults are marked.

    Args:
        schema: the parameters that the notebook declares.
        values: the value of each.
        terms: what the run is.
    """
    own = f", run {terms.name}" if terms.is_own else ""
    lines = [f"# Set by run_all.py, profile {terms.profile}{own}"]
    for name, value in values.items():
        default = schema[name].default
        marked = f"  # default: {default!r}" if value != default else ""
        lines.append(f"{name} = {value!r}{marked}")
    return "\n".join(lines)


def write_executed(executed: Path, target: Path, *, root: Path, provenance: str) -> None:
    """Write the tidy form of an executed notebook.

    Removed are papermill's times and paths, widget states, which no page can show, and absolute
    paths wherever they stand.

    Args:
        executed: the notebook as papermill left it.
        target: where it goes.
        root: the study's root; paths below it become relative.
        provenance: markdown of the last cell.
    """
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    _tidy(notebook)
    block = nbformat.v4.new_markdown_cell(provenance, metadata={"tags": [PROVENANCE]})
    block.id = PROVENANCE
    notebook.cells.append(block)
    write_text(target, _without_paths(nbformat.writes(notebook), root) + "\n")


def refresh_text(source: Path, executed: Path) -> bool:
    """Bring text and comments of an executed notebook up to date; return whether they changed.

    For notebooks whose code is what it was when they were executed: outputs stay as they are.

    Args:
        source: the notebook as it is now.
        executed: its executed form in ``results/``.
    """
    before = [c for c in notebook_cells(executed) if not _added(c)]
    now = notebook_cells(source)
    if [_text(cell) for cell in now] == [cell["source"] for cell in before]:
        return False
    kinds = [[cell for cell in cells if cell["cell_type"] == "code"] for cells in (before, now)]
    if len(kinds[0]) != len(kinds[1]):
        return False
    import nbformat

    old = nbformat.read(executed, as_version=4)
    new = nbformat.read(source, as_version=4)
    _tidy(new)
    new.metadata = old.metadata
    ran = iter([cell for cell in old.cells if cell.cell_type == "code" and not _added(cell)])
    added = [cell for cell in old.cells if _added(cell)]
    cells = []
    for cell in new.cells:
        if cell.cell_type == "code":
            done = next(ran)
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        cells.append(cell)
        if TAG in cell.metadata.get("tags", []):
            cells += [c for c in added if c.cell_type == "code"]
    new.cells = cells + [cell for cell in added if cell.cell_type == "markdown"]
    write_text(executed, nbformat.writes(new) + "\n")
    return True


def _tidy(notebook: Any) -> None:
    """Remove what no reader needs from the cells and the metadata of a notebook."""
    import nbformat

    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": notebook.metadata.get("language_info", {"name": "python"}),
        }
    )
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.source = _text(cell)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGETS not in o.get("data", {})]


def _text(cell: Mapping[str, Any]) -> str:
    """Return a cell's text with its links as they have to be in ``results/``."""
    source = str(cell["source"])
    # A source lies one folder below the root, its executed form three.
    return source.replace("](../", "](../../../") if cell["cell_type"] == "markdown" else source


def _added(cell: Mapping[str, Any]) -> bool:
    """Return whether the runner added a cell."""
    return bool({INJECTED, PROVENANCE} & set(cell["metadata"].get("tags", [])))


def _without_paths(text: str, root: Path) -> str:
    """Return ``text``, a notebook file, with the folders of this machine taken out of paths.

    These are the root, data folders, the interpreter's and the home folder, each also as it is
    behind symbolic links, and the temporary files that messages name cells by.
    """
    text = re.sub(rf"{re.escape(tempfile.gettempdir())}/ipykernel_\d+/\d+\.py", "cell.py", text)
    places = [("", root, "."), *(("", folder, "data") for folder in paths.data_folders())]
    python = [(_ALONE, Path(prefix), "python") for prefix in (sys.prefix, sys.base_prefix)]
    for before, place, short in [*places, *python, (_ALONE, paths.expanded("~"), "~")]:
        # An interpreter may lie in /usr, of which only its own part is meant.
        inner = "/(?=bin/|lib/|lib64/)" if short == "python" else "/"
        for folder in {str(place), str(place.resolve())} - {"/"}:
            pattern = before + re.escape(folder)
            text = re.sub(pattern + inner, f"{short}/".removeprefix("./"), text)
            if short != "python":
                text = re.sub(rf"{pattern}(?![\w/-]|\.\w)", short, text)
    return text
