import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from lib.code import code_digest, used_files
from lib.paths import ROOT
from lib.runner.fingerprint import PACKAGES

SOURCE = '''
"""What it is."""
import math

def area(radius):
    """The area of a circle."""
    # Archimedes
    return math.pi * radius**2  # in square pixels
'''

SAME = '''
"""Other words."""

import math


def area(
    radius,
):

    return math.pi * radius ** 2
'''


def test_comments_docstrings_and_layout_do_not_count() -> None:
    assert code_digest(SOURCE) == code_digest(SAME)


def test_code_and_values_count() -> None:
    assert code_digest(SOURCE) != code_digest(SOURCE.replace("radius**2", "radius**3"))
    assert code_digest("x = 'a'") != code_digest("x = 'b'")


def test_magics_are_code_without_comments() -> None:
    assert code_digest("%matplotlib inline\nx = 1  # one") == code_digest("%matplotlib inline\nx=1")
    assert code_digest("%matplotlib inline") != code_digest("%matplotlib widget")


FILES = {
    "lib/__init__.py": "",
    "lib/a/__init__.py": "",
    "lib/a/one.py": "def f():\n    from lib.b import two\n    return two.g()",
    "lib/b/__init__.py": "from .inner import X",
    "lib/b/two.py": "def g():\n    return open('table.json')",
    "lib/b/table.json": "[1]",
    "lib/b/inner.py": "X = 1",
    "lib/b/far.py": "",
    "lib/c/__init__.py": "",
    "lib/c/__main__.py": "from lib.b.far import Y",
    "lib/c/train.py": "import lib.b.inner",
    "lib/unused.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy", []),
        (
            "from lib.a.one import f",
            ["__init__", "a/__init__", "a/one", "b/__init__", "b/inner", "b/two"],
        ),
        ("import lib.b.inner as i", ["__init__", "b/__init__", "b/inner"]),
        (
            "run([python, '-m', 'lib.c.train'])",
            ["__init__", "b/__init__", "b/inner", "c/__init__", "c/train"],
        ),
        (
            "run([python, '-m', 'lib.c'])",
            ["__init__", "b/__init__", "b/far", "b/inner", "c/__init__", "c/__main__"],
        ),
        ("import lib.c", ["__init__", "c/__init__"]),
        ("'lib.c.train'", []),
        ("x = 'lib/c/train.py and lib.nothing'", []),
    ],
)
def test_used_modules_are_those_that_python_would_load(
    root: Path, source: str, expected: list[str]
) -> None:
    modules = [name for name in used_files([source], root) if name.endswith(".py")]
    assert modules == [f"lib/{name}.py" for name in expected]


def test_data_files_beside_a_module_count_with_their_content(root: Path) -> None:
    before = used_files(["import lib.b.two"], root)
    (root / "lib/b/table.json").write_text("[1, 2]")
    after = used_files(["import lib.b.two"], root)
    assert [name for name in before if before[name] != after[name]] == ["lib/b/table.json"]


def test_sources_in_c_count_as_code_of_their_modules() -> None:
    used = used_files(["import lib.masks.grabcut.segmenter, lib.metrics.coco_ap"], ROOT)
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("lib/**/*.c")}
    assert sources and sources <= {*used}


WITHOUT_EFFECT = {
    # how work is shared, described, checked and shown, not what comes of it
    "distributed", "filelock", "ipython", "ipywidgets", "jinja2", "joblib", "latex2mathml",
    "nbconvert", "nbformat", "packaging", "papermill", "psutil", "pydantic", "pygments", "pyyaml",
    "requests", "tqdm", "traitlets", "defusedxml",
}  # fmt: skip


def test_every_package_that_lib_imports_counts_or_is_known_to_change_no_result() -> None:
    imported = set()
    for path in (ROOT / "lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"lib"}
    providers = packages_distributions()
    for name in sorted(foreign & providers.keys()):
        found = {re.sub(r"[-_.]+", "-", provider).lower() for provider in providers[name]}
        counted = {package.replace("_", "-") for package in PACKAGES}
        assert found & (counted | WITHOUT_EFFECT), f"{name} decides results unnoticed"
