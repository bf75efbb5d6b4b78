"""The repository's own notebooks, steps and profiles fit together."""

import ast

import pytest

from lib.code import used_files
from lib.runner.parameters import TAG, Parameter, notebook_cells, parse_cell, read_parameters
from lib.runner.profiles import Setting, profile_names
from lib.runner.resolve import VARIANT, resolve_parameters
from lib.runner.setup import prepare
from lib.runner.steps import Step, matching, with_needs_resolved
from lib.steps import STEPS
from lib.study import Study

STUDY = Study()
NOTEBOOKS = sorted({step.notebook for step in STEPS})


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_step_has_its_notebook_and_every_parameter_a_comment(notebook: str) -> None:
    schema = read_parameters(STUDY.notebooks / f"{notebook}.ipynb")
    assert next(iter(schema)) == "profile"
    assert schema["profile"].default == "demo"
    (cell,) = (
        cell["source"]
        for cell in notebook_cells(STUDY.notebooks / f"{notebook}.ipynb")
        if TAG in cell["metadata"].get("tags", [])
    )
    for statement in ast.parse(cell).body:
        if isinstance(statement, ast.AnnAssign):
            assert "  # " in cell.splitlines()[(statement.end_lineno or 0) - 1]


def test_notebooks_agree_on_the_parameters_that_they_share() -> None:
    found: dict[str, Parameter] = {}
    for notebook in NOTEBOOKS:
        schema = read_parameters(STUDY.notebooks / f"{notebook}.ipynb")
        # What every step of a notebook fixes cannot be set, so notebooks need not agree on it.
        fixed = set.intersection(*(set(s.parameters) for s in STEPS if s.notebook == notebook))
        fixed.add(VARIANT)
        for name, parameter in schema.items():
            assert name in fixed or found.setdefault(name, parameter) == parameter, name


def test_every_notebook_has_a_step() -> None:
    assert [path.stem for path in sorted(STUDY.notebooks.glob("*.ipynb"))] == NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_notebooks_are_sources_without_outputs(notebook: str) -> None:
    for cell in notebook_cells(STUDY.notebooks / f"{notebook}.ipynb"):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_module_that_a_notebook_names_exists(notebook: str) -> None:
    cells = notebook_cells(STUDY.notebooks / f"{notebook}.ipynb")
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    used = used_files(code, STUDY.root)
    assert "lib/workspace.py" in used
    # The runner itself must not count: a change of it would run everything again.
    runner: set[str] = set()
    if notebook == "11_model_speed":  # it prices what profiles train, so it depends on how they do
        runner |= set(used_files(["import lib.bench.costs"], STUDY.root))
        runner = {name for name in runner if name.startswith("lib/runner/")}
    assert {name for name in used if name.startswith("lib/runner/")} == runner
    # An edit of the trainer must not make pages of results run again.
    trains = notebook in {step.notebook for step in STEPS if step.kind == "train"}
    assert ("lib/training/train.py" in used) == trains


@pytest.mark.parametrize("name", profile_names(STUDY))
def test_every_profile_can_be_planned_with_or_without_its_data(name: str) -> None:
    setup = prepare(STUDY, STEPS, profile=name, planned=True)
    assert setup.chosen
    assert setup.profile.description.endswith(".")


def test_needs_are_steps_and_a_notebooks_name_means_all_its_variants() -> None:
    steps = {step.id: step for step in with_needs_resolved(STEPS)}
    variants = matching("06_train_opmask", STEPS)
    assert set(variants) <= set(steps["07_opmask_results"].needs)
    assert steps["02_pseudo_masks"].needs == ("01_data",)  # not its variant 01_data.coco
    assert set(steps["99_summary"].needs) == set(steps) - {"99_summary"}
    assert {"06_train_opmask.opmask.voc", "06_train_opmask.ablation.gn"} < set(variants)


def test_each_run_of_paper_bs_ablation_changes_one_thing() -> None:
    runs = {
        step.id.rsplit(".", 1)[1]: step.parameters
        for step in STEPS
        if step.id.startswith("06_train_opmask.ablation.")
    }
    default = runs.pop("opmask") | {"model_norm": "bn"}
    assert len(runs) == 11
    for name, parameters in runs.items():
        full = {"model_norm": "bn"} | dict(parameters)
        assert sum(full[key] != value for key, value in default.items()) == 1, name


def test_what_makes_a_variant_cannot_be_set() -> None:
    steps = [Step("06_t", v) for v in ("a", "b")]
    cell = "profile: str = ''\nvariant: str = ''\nother: int = 1\n"
    schemas = {"06_t": parse_cell(cell)}
    _, (problem,) = resolve_parameters(
        steps, schemas, [Setting("variant", "c", None, "--set")], profile="demo"
    )
    assert "--only" in problem
    values, problems = resolve_parameters(steps, schemas, [], profile="demo")
    assert problems == []
    assert values["06_t.a"] == {"profile": "demo", "variant": "a", "other": 1}


def test_a_value_that_a_step_gives_must_be_declared_and_of_the_right_type() -> None:
    schemas = {"06_t": parse_cell("profile: str = ''\nmethod: Literal['x'] = 'x'")}
    steps = [
        Step("06_t", "a", parameters={"methd": "x"}),
        Step("06_t", "b", parameters={"method": "y"}),
    ]
    text = "\n".join(resolve_parameters(steps, schemas, [], profile="demo")[1])
    assert "Did you mean 'method'?" in text
    assert "expects Literal['x'], not text 'y'" in text


def test_the_beginning_of_an_id_means_all_steps_that_begin_so() -> None:
    ablation = matching("04_train_hybrid.ablation", STEPS)
    assert "04_train_hybrid.ablation.plain" in ablation
    assert "04_train_hybrid.small" not in ablation
    assert matching("04_train_hybrid.small", STEPS) == ["04_train_hybrid.small"]
    scoped = Setting("iterations", 7, "06_t.short", "demo.yaml")
    schemas = {"06_t": parse_cell("profile: str = ''\niterations: int = 9\n")}
    steps = [Step("06_t", name) for name in ("long", "short.a", "short.b", "shorter")]
    values, problems = resolve_parameters(steps, schemas, [scoped], profile="demo")
    assert problems == []
    assert [value["iterations"] for value in values.values()] == [9, 7, 7, 9]
