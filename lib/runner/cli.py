"""The command line of ``run_all.py``: read it, print the plan, carry it out, report.

Exit codes: 0 if every step is up to date at the end, 1 if a step failed or a page is too large,
2 if what is asked for cannot be done (nothing has been started), 130 after Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lib.report.site import build_site
from lib.runner import provenance
from lib.runner.console import print_failures, print_list, print_plan
from lib.runner.execute import Execution, Report
from lib.runner.jobs import CHILDREN, Job, Outcome, run_job
from lib.runner.lock import only_runner
from lib.runner.machine import describe_machine
from lib.runner.plan import Planner
from lib.runner.problems import UsageError
from lib.runner.profiles import load_profile, profile_names
from lib.runner.setup import Request, Setup, prepare
from lib.runner.steps import STEPS, Step
from lib.runner.study import Study


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="run_all.py",
        description="Run the study: execute the notebooks whose inputs, code or parameters "
        "changed, then write tables, figures and pages to results/PROFILE/.",
        epilog="STEP is a step's id or a notebook's name, which stands for all its variants; "
        "several are separated by commas.",
    )
    add = made.add_argument
    add("--profile", default="demo", help="which set of parameters (default: demo)")
    add("--list", action="store_true", help="list steps and profiles, and do nothing else")
    add("--dry-run", action="store_true", help="print the plan, and do nothing else")
    add("--only", metavar="STEP", action="append", help="these steps and those they need")
    add("--from", metavar="STEP", action="append", dest="start",
        help="these steps, all that depend on them, and those they need")  # fmt: skip
    add("--force", metavar="STEP", action="append", help="run these even if up to date, afresh")
    add("--keep", metavar="STEP", action="append",
        help="accept what these made (or continue what they began) although something changed, "
        "and say so in the provenance")  # fmt: skip
    add("--set", metavar="[STEP:]NAME=VALUE", action="append", dest="assignments",
        help="one parameter, such as grabcut.iterations=3, in all steps or in one")  # fmt: skip
    add("--jobs", type=int, metavar="N",
        help="greatest number of steps at a time (default: 2 on two cores or more without a GPU, "
        "where training steps share the cores; else 1)")  # fmt: skip
    return made


def main(
    arguments: Sequence[str] | None = None,
    *,
    study: Study | None = None,
    steps: Sequence[Step] = STEPS,
    run: Callable[[Job], Outcome] = run_job,
) -> int:
    """Run the study as the command line says; return the exit code.

    Args:
        arguments: the command line; that of the process by default.
        study: the folders; the repository by default.
        steps: the steps.
        run: executes a notebook.
    """
    options = parser().parse_args(arguments)
    study = study or Study()
    request = Request(
        profile=options.profile,
        only=_split(options.only),
        start=_split(options.start),
        force=_split(options.force),
        keep=_split(options.keep),
        assignments=tuple(options.assignments or ()),
    )
    try:
        jobs = usual_jobs() if options.jobs is None else options.jobs
        if jobs < 1:
            raise UsageError([f"--jobs {jobs}: at least one step has to run at a time."])
        setup = prepare(study, steps, request)
        if options.list:
            names = profile_names(study)
            print_list(setup, steps, {n: load_profile(study, n).description for n in names})
            return 0
        if options.dry_run:
            planner = Planner(setup)
            print_plan(setup, planner.plan(), planner.expected_seconds)
            return 0
        with only_runner(study, setup.profile.name):
            return _run(setup, jobs, run)
    except UsageError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nStopped. Finished steps and checkpoints are kept: "
            "the same command continues from there.",
            file=sys.stderr,
        )
        return 130


def usual_jobs() -> int:
    """Return how many steps run at a time unless the command line says so.

    Without a GPU two: a small model gains more from a core of its own than from a second one.
    """
    machine = describe_machine()
    return 2 if machine["device"] == "CPU" and machine["cores"] > 1 else 1


def _run(setup: Setup, jobs: int, run: Callable[[Job], Outcome]) -> int:
    """Print the plan, carry it out and write the site; return the exit code."""
    planner = Planner(setup)
    print_plan(setup, planner.plan(), planner.expected_seconds)
    with ThreadPoolExecutor(jobs) as executor:
        try:
            report = Execution(planner, executor, jobs=jobs, run=run).run()
        except BaseException:
            CHILDREN.end()
            raise
    problems = _write_results(setup, report)
    if report.failures:
        print_failures(setup, report.failures, report.blocked)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    results = setup.study.results(setup.profile.name)
    print(f"\nThe study's pages: {setup.study.relative(results / 'index.html')}")
    return 1 if report.failures or problems else 0


def _write_results(setup: Setup, report: Report) -> list[str]:
    """Write claims, provenance and pages; return a sentence for each page that is too large."""
    from lib.analysis.claims import assemble, load_claims

    study, profile = setup.study, setup.profile
    provenance.write(study, profile.name, setup.steps, report.kept)
    units: dict[str, str] = {}
    if (study.params / "claims.yaml").exists():
        assemble(profile.name, root=study.root)
        units = {claim.id: claim.unit for claim in load_claims(root=study.root).claims}
    return build_site(
        study.results(profile.name),
        profile=profile.name,
        description=profile.description,
        steps=[(step.id, step.notebook) for step in setup.steps],
        sources=study.notebooks,
        units=units,
    )


def _split(values: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names in options that may be repeated and may hold several, with commas."""
    names = [name.strip() for value in values or () for name in value.split(",")]
    return tuple(name for name in names if name)
