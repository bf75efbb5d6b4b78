"""A notebook's parameters: read from the cell tagged ``parameters``, without running it.

The cell is the schema. Each line declares a typed name with a literal default and a comment::

    grabcut_iterations: int = 5  # rounds of GrabCut per box

Types are int, float, str, bool, Literal[...], list[...], tuple[...] and unions with None.
"""

import ast
import io
import json
import tokenize
import types
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lib.strict_yaml import cut

TAG = "parameters"
_NAMES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool}
_WORDS = {"str": "text", "bool": "true/false", "NoneType": "nothing", "dict": "a mapping"}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell.

    Args:
        name: the Python name.
        annotation: its type as written.
        default: its value as written.
        comment: what it means; may be empty.
    """

    name: str
    annotation: str
    default: Any
    comment: str

    @cached_property
    def type(self) -> Any:
        """The type as a Python object."""
        return _type_of(ast.parse(self.annotation, mode="eval").body)

    def check(self, value: Any) -> Any:
        """Return ``value`` if it is of the declared type; lists become tuples where asked for.

        Raises:
            ValueError: otherwise; the message says what is expected and what was found.
        """
        strict = TypeAdapter(self.type, config=ConfigDict(strict=True, allow_inf_nan=False))
        try:
            return strict.validate_python(_tuples(value, self.type))
        except ValidationError:
            found = _WORDS.get(type(value).__name__, type(value).__name__)
            raise ValueError(f"expects {self.annotation}, not {found} {cut(repr(value))}") from None


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


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters that a notebook declares, in order.

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
        return parse_cell(cells[0])
    except ValueError as error:
        raise ValueError(f"The parameters cell of {where}: {error}") from error


def parse_cell(source: str) -> dict[str, Parameter]:
    """Return the parameters declared by the text of a cell.

    Raises:
        ValueError: naming the line that is not of the form ``name: type = literal  # comment``.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno} is not Python: {error.msg}.") from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and statement.module == "typing":
            continue
        line = ast.unparse(statement).splitlines()[0]
        problem = f"line {statement.lineno} ({line!r}) is not of the form `name: type = literal`."
        if not (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            raise ValueError(problem)
        name = statement.target.id
        if name in found:
            raise ValueError(f"{name!r} is declared twice.")
        try:
            default = ast.literal_eval(statement.value)
            parameter = Parameter(
                name=name,
                annotation=ast.unparse(statement.annotation),
                default=default,
                comment=comments.get(statement.end_lineno or 0, ""),
            )
            checked = parameter.check(default)
        except ValueError as error:
            raise ValueError(f"{problem[:-1]}: {error}.") from error
        found[name] = Parameter(name, parameter.annotation, checked, parameter.comment)
    return found


def disagreements(schemas: dict[str, dict[str, Parameter]]) -> list[str]:
    """Return a sentence for each name that two notebooks declare with another type or default.

    Args:
        schemas: the parameters of each notebook, by the notebook's name.
    """
    first: dict[str, tuple[str, Parameter]] = {}
    problems = []
    for notebook, parameters in schemas.items():
        for name, parameter in parameters.items():
            other, known = first.setdefault(name, (notebook, parameter))
            here, there = (
                f"{p.annotation} = {p.default!r} in {n}"
                for n, p in ((notebook, parameter), (other, known))
            )
            if (known.type, known.default) != (parameter.type, parameter.default):
                problems.append(f"The parameter {name!r} is {here}, but {there}. Make them equal.")
    return problems


def _type_of(node: ast.expr) -> Any:  # noqa: PLR0911 (one for each form)
    match node:
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_type_of(left), _type_of(right)]  # noqa: UP007 (built at run time)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return Literal[tuple(ast.literal_eval(value) for value in values)]
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return list[_type_of(inner)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
            inner_types = [
                ... if isinstance(p, ast.Constant) and p.value is ... else _type_of(p)
                for p in parts
            ]
            return tuple[tuple(inner_types)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=inner):
            return tuple[_type_of(inner)]  # type: ignore[misc]
    raise ValueError(
        f"the type {ast.unparse(node)!r} is not one of int, float, str, bool, Literal[...], "
        "list[...], tuple[...] or a union of them with None"
    )


def _tuples(value: Any, kind: Any) -> Any:
    """Return ``value`` with lists turned into tuples where ``kind`` asks for tuples."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        for option in inner:
            value = _tuples(value, option)
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    return value


def _comments(source: str) -> dict[int, str]:
    """Return the comment at the end of each line, by line number from 1."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }
