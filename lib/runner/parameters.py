"""A notebook's parameters: read from the cell tagged ``parameters``, without running it.

The cell is the schema. Each line declares a typed name with a literal default and a comment::

    grabcut_iterations: int = 5  # rounds of GrabCut per box

Types are int, float, str, bool, Literal[...], list[...], tuple[...], pydantic's PositiveInt and
unions with None. What several notebooks share is declared in a module of the same form, which the
cell begins with::

    from lib.training.notebook_parameters import *

A line of the cell replaces the module's line of that name.
"""

import ast
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, PositiveInt, TypeAdapter, ValidationError

from lib.paths import ROOT
from lib.strict_yaml import cut

TAG = "parameters"

_TYPES = {kind.__name__: kind for kind in (int, float, str, bool, list, tuple)}
_OTHERS = {"Literal": Literal, "PositiveInt": PositiveInt}

_WORDS = {"str": "text", "bool": "true/false", "NoneType": "nothing", "dict": "a mapping"}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Args:
        annotation: its type as written.
        default: its value as written.
    """

    annotation: str
    default: Any

    @cached_property
    def type(self) -> Any:
        """The type as a Python object.

        Raises:
            ValueError: if it is another than the module's text lists.
        """
        names: dict[str, Any] = {"__builtins__": {}, **_TYPES, **_OTHERS}
        try:
            return eval(self.annotation, names)
        except (NameError, TypeError, AttributeError):
            raise ValueError(
                f"the type {self.annotation!r} is not one of "
                f"{', '.join([*_TYPES, *_OTHERS])} or a union of them with None"
            ) from None

    @cached_property
    def _strict(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.type, config=ConfigDict(strict=True, allow_inf_nan=False))

    def check(self, value: Any) -> Any:
        """Return ``value`` if it is of the declared type; lists become tuples where asked for.

        Raises:
            ValueError: otherwise; the message says what is expected and what was found.
        """
        try:
            return self._strict.validate_json(json.dumps(value))  # JSON has no tuples
        except (ValidationError, TypeError):
            found = _WORDS.get(type(value).__name__, type(value).__name__)
            wanted = self.annotation.replace("PositiveInt", "int above 0")
            raise ValueError(f"expects {wanted}, not {found} {cut(repr(value))}") from None


def notebook_cells(notebook: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook file, with ``source`` as one string.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it is not a notebook.
    """
    if not notebook.exists():
        raise FileNotFoundError(
            f"The notebook notebooks/{notebook.name} does not exist, but lib/steps.py has "
            "a step that runs it."
        )
    try:
        cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"notebooks/{notebook.name} is not a Jupyter notebook.") from error
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def read_parameters(notebook: Path, *, root: Path = ROOT) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares, in order.

    Args:
        notebook: the file.
        root: the folder that holds ``lib/``.

    Raises:
        ValueError: if there is no parameters cell, or a line of it is not a typed literal.
    """
    cells = [
        cell["source"]
        for cell in notebook_cells(notebook)
        if cell["cell_type"] == "code" and TAG in cell.get("metadata", {}).get("tags", [])
    ]
    where = f"notebooks/{notebook.name}"
    if len(cells) != 1:
        raise ValueError(f"{where} has {len(cells)} cells tagged {TAG!r}; it needs exactly one.")
    try:
        return parse_cell(cells[0], root=root)
    except ValueError as error:
        raise ValueError(f"The parameters cell of {where}: {error}") from error


def parse_cell(source: str, *, root: Path = ROOT) -> dict[str, Parameter]:
    """Return the parameters declared by the text of a cell, and after them those of its modules.

    Raises:
        ValueError: naming the line that is not of the form ``name: type = literal``.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno} is not Python: {error.msg}.") from error
    shared: dict[str, Parameter] = {}
    own: dict[str, Parameter] = {}
    for statement in statements:
        try:
            match statement:
                case ast.ImportFrom(module=str(module), names=[ast.alias(name="*")]):
                    path = root.joinpath(*module.split(".")).with_suffix(".py")
                    shared |= parse_cell(path.read_text(encoding="utf-8"), root=root)
                case ast.ImportFrom() | ast.Expr(value=ast.Constant(value=str())):
                    pass  # types, or a text for people
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    written = Parameter(ast.unparse(statement.annotation), ast.literal_eval(value))
                    own[name] = replace(written, default=written.check(written.default))
                case _:
                    raise ValueError("it declares nothing")
        except (ValueError, OSError) as error:
            line = ast.unparse(statement).splitlines()[0]
            raise ValueError(
                f"line {statement.lineno} ({line!r}) is not of the form `name: type = literal`: "
                f"{str(error).rstrip('.')}."
            ) from error
    return own | shared | own
