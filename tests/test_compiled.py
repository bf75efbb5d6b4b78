"""Functions in C: what they are given, when they are compiled, and what goes wrong."""

import ctypes
import importlib.util
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lib import compiled
from lib.compiled import FLOAT, INT, CFile, read, written
from lib.paths import ROOT

SOURCE = """
#include <stdint.h>
double scale(const double *x, int64_t n, double *out) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += out[i] = FACTOR * x[i];
    return total;
}
"""


def scale_of(folder: Path, factor: str = "3") -> Callable[..., float]:
    source = folder / "scale.c"
    source.write_text(SOURCE.replace("FACTOR", factor))
    return function_of(source)


def function_of(source: Path) -> Callable[..., float]:
    arguments = [read(np.float64, 1), INT, written(np.float64, 1)]
    return CFile(source).function("scale", arguments, returns=FLOAT)


def called(source: Path) -> float:
    return function_of(source)(np.ones(4), 4, np.zeros(4))


def libraries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.so"))


def test_a_function_reads_writes_and_returns(tmp_path: Path) -> None:
    x, out = np.random.default_rng(0).random(1000), np.zeros(1000)
    assert scale_of(tmp_path)(x, len(x), out) == pytest.approx(3 * x.sum())
    assert np.array_equal(out, 3 * x)


def test_a_library_is_kept_until_its_source_changes(tmp_path: Path, monkeypatch) -> None:
    x, out = np.ones(4), np.zeros(4)
    assert scale_of(tmp_path)(x, 4, out) == 12
    (kept,) = libraries(tmp_path)

    def missing(*_, **__):
        raise AssertionError("it was compiled again")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", missing)
        assert scale_of(tmp_path)(x, 4, out) == 12
    assert scale_of(tmp_path, "5")(x, 4, out) == 20
    assert kept in libraries(tmp_path)
    assert len(libraries(tmp_path)) == 2


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.ones(4, dtype=np.float32), np.zeros(4)),
        (np.ones(4), np.zeros(8)[::2]),
        (np.ones(4), np.broadcast_to(np.zeros(1), 4)),
        (np.ones((2, 2)), np.zeros(4)),
    ],
    ids=["type", "gaps", "read-only", "two-dimensional"],
)
def test_arrays_that_do_not_fit_are_refused_before_anything_is_written(tmp_path, x, out) -> None:
    before = out.copy()
    with pytest.raises(ctypes.ArgumentError):
        scale_of(tmp_path)(x, 4, out)
    assert np.array_equal(out, before)


def test_an_error_in_the_source_is_shown_with_its_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"(?s)scale\.c could not be compiled.*scale\.c:5:.*BROKEN"):
        scale_of(tmp_path, "BROKEN")(np.ones(4), 4, np.zeros(4))
    assert [path.name for path in tmp_path.rglob("*")] == ["scale.c"]


def test_a_missing_compiler_is_a_sentence_unless_a_library_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(compiled, "compilers", list)
    with pytest.raises(FileNotFoundError, match=r"needs a C compiler.*pip install ziglang"):
        scale_of(tmp_path)(np.ones(4), 4, np.zeros(4))
    monkeypatch.undo()
    scale_of(tmp_path)(np.ones(4), 4, np.zeros(4))
    monkeypatch.setattr(compiled, "compilers", list)
    assert scale_of(tmp_path)(np.ones(4), 4, np.zeros(4)) == 12


def test_the_shell_names_the_first_compiler(tmp_path: Path, monkeypatch) -> None:
    compiler = shutil.which("cc") or f"{sys.executable} -m ziglang cc"
    monkeypatch.setenv("CC", f"{compiler} -DFACTOR=7")
    assert scale_of(tmp_path, "FACTOR")(np.ones(400), 400, np.zeros(400)) == 2800
    monkeypatch.setenv("CC", "no-such-compiler")
    assert scale_of(tmp_path)(np.ones(4), 4, np.zeros(4)) == 12


def test_where_nothing_can_be_kept_it_still_works(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").write_text("in the way")
    assert scale_of(tmp_path)(np.ones(4), 4, np.zeros(4)) == 12
    assert not libraries(tmp_path)


@pytest.fixture
def others():
    """Processes that have loaded nothing, at work at the same time."""
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
        yield pool


def test_processes_that_compile_at_once_do_not_meet(tmp_path: Path, others) -> None:
    scale_of(tmp_path)
    assert list(others.map(called, [tmp_path / "scale.c"] * 3)) == [12.0] * 3
    assert len(libraries(tmp_path)) == 1
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_a_damaged_library_is_never_loaded_and_made_again(tmp_path: Path, others) -> None:
    assert scale_of(tmp_path)(np.ones(4), 4, np.zeros(4)) == 12
    (kept,) = libraries(tmp_path)
    whole = kept.read_bytes()
    kept.unlink()  # the one that is loaded keeps its contents
    kept.write_bytes(whole[:400] + bytes([whole[400] ^ 16]) + whole[401:])
    assert others.submit(called, tmp_path / "scale.c").result() == 12
    assert [path.read_bytes() for path in libraries(tmp_path)] == [whole]


NUMBERS = """
import hashlib
import numpy as np
from lib.masks.grabcut.colour_models import Colours, kmeans, learn, moments_of, relearn
from lib.masks.grabcut.fast import FastGrabCut
from lib.metrics.coco_match import verdicts

rng = np.random.default_rng(0)
points = np.floor(rng.normal(128, 40, (3, 2000)).clip(0, 255))
colours = Colours(points, moments_of(points, rng.integers(1, 9, 2000).astype(float)))
component = kmeans(colours, seed=0)
model = relearn(learn(colours, component), colours.moments)
picture = rng.integers(0, 90, (60, 80, 3)).astype(np.uint8)
picture[15:45, 20:60] += 60
grabcut = FastGrabCut(picture, iterations=4)
overlap, ignored = rng.random((30, 20)).round(1), rng.random((4, 20)) < 0.3
for value in (
    *(component, model.means, model.precisions, model.log_density(points)),
    *(grabcut.mask((12, 10, 68, 50), seed=seed) for seed in range(3)),
    verdicts(overlap, ignored, rng.random(20) < 0.2, np.linspace(0.5, 0.95, 10)),
):
    print(hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest())
"""


def test_every_compiler_gives_the_same_numbers(tmp_path: Path) -> None:
    found = compiled.compilers()
    if len(found) < 2:
        pytest.skip("there is one compiler")
    printed = []
    for place, compiler in enumerate([found[0], found[-1]]):
        kept = tmp_path / str(place)
        environment = {"CC": shlex.join(compiler), "PYTHONPYCACHEPREFIX": str(kept)}
        printed.append(
            subprocess.run(
                [sys.executable, "-c", NUMBERS],
                cwd=ROOT,
                env=os.environ | environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
        )
        used = {path.name.split(".")[0] for path in libraries(kept)}
        assert used == {path.stem for path in ROOT.glob("lib/**/*.c")}
    assert printed[0] == printed[1]
    assert len(printed[0]) == 8


@pytest.mark.parametrize("source", sorted(ROOT.glob("lib/**/*.c")), ids=lambda path: path.stem)
def test_sources_compile_without_a_warning(source: Path, tmp_path: Path) -> None:
    commands = compiled.compilers()
    if importlib.util.find_spec("ziglang"):
        zig = next(command for command in commands if "ziglang" in command)
        commands += [[*zig, "-target", target] for target in ("aarch64-linux", "x86_64-macos")]
    for command in commands:
        warnings = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
        done = subprocess.run(
            [*command, *compiled.FLAGS, *warnings, "-o", str(tmp_path / "out"), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert '#include "' not in source.read_text()  # nothing would notice a change there
