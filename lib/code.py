"""What code says apart from its comments, and which modules of ``lib`` it uses.

Two sources that differ in comments, docstrings, blank lines or line breaks alone have the same
digest. A module counts as used if it is imported anywhere, inside functions too, or if its dotted
name stands in the code as a text, as in ``[sys.executable, "-m", "lib.training.train"]``.
"""

import ast
import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = "lib"

_PARSING = threading.Lock()  # Python 3.11 cannot parse in several threads at once

_MAGIC = re.compile(r"^(\s*)([%!].*)$", re.MULTILINE)
_DATA_FILE = re.compile(r"^[\w.-]+\.(c|json|yaml|csv|txt|css|svg)$")


def parse(source: str) -> ast.Module | None:
    """Return the syntax tree of a module or notebook cell; None if it is not Python.

    Lines that start with ``%`` or ``!`` count as expressions.
    """
    for text in (source, _MAGIC.sub(lambda m: f"{m[1]}magic({m[2]!r})", source)):
        try:
            with _PARSING:
                return ast.parse(text)
        except SyntaxError:
            continue
    return None


@cache
def code_digest(source: str) -> str:
    """Return a digest of ``source`` without its comments, docstrings and layout."""
    tree = parse(source)
    text = source if tree is None else ast.dump(_without_docstrings(tree))
    return hashlib.sha256(text.encode()).hexdigest()


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Remove statements that are nothing but a text, everywhere in ``tree``."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_text(statement)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def used_files(sources: Iterable[str], root: Path) -> dict[str, str]:
    """Return the digest of every file of ``lib`` that ``sources`` use, directly or not.

    Args:
        sources: texts of code cells or modules.
        root: the folder that holds ``lib/``.

    Returns:
        Digests by path relative to ``root``, such as ``lib/masks/grabcut/fast.py``; sorted by path.
        Data files count if they lie beside a module that names them.
    """
    waiting = [path for source in sources for path in _references(source, root, "")]
    digests: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if name in digests:
            continue
        stat = path.stat()
        digests[name], further = _examine(path, root, stat.st_mtime_ns, stat.st_size)
        waiting += further
    return dict(sorted(digests.items()))


@cache
def _examine(path: Path, root: Path, changed: int, size: int) -> tuple[str, tuple[Path, ...]]:
    """Return the digest of one file and the files it uses; remembered until it changes."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest(), ()
    source = path.read_text(encoding="utf-8")
    package = ".".join(path.relative_to(root).parent.parts)
    used = list(_references(source, root, package))
    named = (name for name in _texts(source) if _DATA_FILE.match(name))
    used += [path.parent / name for name in named if (path.parent / name).is_file()]
    return code_digest(source), tuple(used)


def _references(source: str, root: Path, package: str) -> Iterator[Path]:
    """Yield the files of the modules that ``source``, a module of ``package``, names."""
    tree = parse(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(alias.name, root)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            base = resolve_name(name, package) if node.level else name
            yield from _module_files(base, root)
            for alias in node.names:
                yield from _module_files(f"{base}.{alias.name}", root)
    for text in _texts(source):
        if text.startswith(f"{PACKAGE}."):
            yield from _module_files(text, root, run=True)


def _texts(source: str) -> Iterator[str]:
    """Yield every text in the code, docstrings apart."""
    tree = parse(source)
    for node in ast.walk(_without_docstrings(tree)) if tree else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _module_files(name: str, root: Path, *, run: bool = False) -> Iterator[Path]:
    """Yield the files that importing (or running with ``-m``) the module ``name`` executes."""
    parts = name.split(".")
    if parts[0] != PACKAGE or not all(part.isidentifier() for part in parts):
        return
    module = root.joinpath(*parts)
    candidates = [root.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)]
    candidates.append(module.with_suffix(".py"))
    if run:
        candidates.append(module / "__main__.py")
    yield from (path for path in candidates if path.is_file())
