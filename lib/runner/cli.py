"""The command line of ``run_all.py``: read it, print the plan, carry it out, report.

Exit codes: 0 if every step is up to date at the end, 1 if a step failed or a page is too large,
2 if what is asked for cannot be done (nothing has been started), 130 after Ctrl-C or SIGTERM.
"""

import argparse
import functools
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from lib.files import explain
from lib.interrupts import announced
from lib.pages.site import build_site
from lib.runner import provenance
from lib.runner.execute import Execution, Report
from lib.runner.folders import only_runner
from lib.runner.jobs import Outcome, run_job
from lib.runner.left_out import with_left_out
from lib.runner.machine import Gpu, choose, usable_cores, visible_gpus
from lib.runner.own_runs import own_runs
from lib.runner.places import LocalMachine, Place, Run
from lib.runner.plan import Planner
from lib.runner.preview import duration, print_preview
from lib.runner.problems import UsageError
from lib.runner.profiles import load_profile, profile_names
from lib.runner.remote import cluster_at
from lib.runner.repetitions import together
from lib.runner.setup import Setup, prepare
from lib.runner.steps import EVERYTHING, Step
from lib.study import Study
from lib.terms import write_terms
from lib.variant import split_seed
from lib.workers import WorkerLostError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="run_all.py",
        description="Run the study: execute the notebooks whose inputs, code or parameters "
        "changed, then write tables, figures and pages to results/PROFILE/. With parameters that "
        "are not the profile's it is a run of its own, with folders of its own.",
        epilog="STEP is a step's id or a notebook's name, which stands for all its variants; "
        "without an ending .seedN it stands for all seeds; several are separated by commas.",
    )
    add = made.add_argument
    add("--profile", default="demo", help="which set of parameters (default: demo)")
    add("--list", action="store_true", help="list steps and profiles, and do nothing else")
    add("--dry-run", action="store_true",
        help="print the plan, the time that it takes and what is missing on this machine, and do "
        "nothing else")  # fmt: skip
    steps = functools.partial(add, metavar="STEP", type=_names, action="extend", default=[])
    steps("--only", help="these steps and those they need")
    steps("--from", dest="start",
        help="these steps, all that depend on them, and those they need")  # fmt: skip
    steps("--force", help="run these even if up to date, afresh")
    steps("--keep",
        help="accept what these made (or continue what they began) although something changed, "
        "and say so in the provenance")  # fmt: skip
    add("--set", metavar="[STEP:]NAME=VALUE", action="append", default=[], dest="assignments",
        help="one parameter, such as grabcut.iterations=3, in all steps or in one")  # fmt: skip
    add("--name", help="name of a run of its own, whose folders are cache/NAME and results/NAME "
        "(default: made from what --set changes; without a change, the profile's)")  # fmt: skip
    add("--jobs", type=int, metavar="N",
        help="greatest number of steps at a time (default: 2 on two cores or more without a GPU, "
        "where training steps share the cores; else 1); trainings share the GPUs, so that with as "
        "many as there are GPUs each has one, and with 1 it has all")  # fmt: skip
    add("--gpus", metavar="0,1,...",
        help="GPUs to use, by nvidia-smi's numbers, or all (default: all); in a dry run also such "
        "as another machine has")  # fmt: skip
    add("--dask", metavar="ADDRESS",
        help="run the steps on a cluster whose workers see the same folders, such as "
        "tcp://host:8786; --jobs is then how many at most, all that fit by default")  # fmt: skip
    return made


def main(
    arguments: Sequence[str] | None = None,
    *,
    steps: Sequence[Step],
    study: Study | None = None,
    run: Run = run_job,
) -> int:
    """Run the study as the command line says; return the exit code.

    Args:
        arguments: the command line; that of the process by default.
        steps: all steps of the study.
        study: the folders; the repository by default.
        run: executes a notebook.
    """
    options = parser().parse_args(arguments)
    with announced(signal.SIGTERM):  # a queue's end is like Ctrl-C
        return _carry_out(options, study or Study(), steps, run)


def _carry_out(options: argparse.Namespace, study: Study, steps: Sequence[Step], run: Run) -> int:
    try:
        if options.jobs is not None and options.jobs < 1:
            raise UsageError([f"--jobs {options.jobs}: at least one step has to run at a time."])
        setup = prepare(
            study,
            steps,
            profile=options.profile,
            only=options.only,
            start=options.start,
            force=options.force,
            keep=options.keep,
            assignments=options.assignments,
            name=options.name,
            planned=options.dry_run,
        )
        if options.list:
            _print_list(setup, steps)
            return 0
        gpus = choose(options.gpus, visible_gpus(), absent=options.dry_run)
        with _place(options, setup, gpus, run) as place:
            if options.dry_run:
                planner = Planner(setup)
                print_preview(planner, planner.plan(), place, gpus)
                return 0
            with only_runner(study, setup.name):
                return _run(setup, place, gpus)
    except UsageError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except (WorkerLostError, OSError) as error:  # such as a full disk
        print(f"error: {explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nStopped. Finished steps and checkpoints are kept: "
            "the same command continues from there.",
            file=sys.stderr,
        )
        return 130


def usual_jobs(gpus: Sequence[Gpu]) -> int:
    """Return how many steps run at a time unless the command line says so.

    Without a GPU two: a small model gains more from a core of its own than from a second one.
    """
    return 2 if not gpus and usable_cores() > 1 else 1


@contextmanager
def _place(
    options: argparse.Namespace, setup: Setup, gpus: Sequence[Gpu], run: Run
) -> Iterator[Place]:
    """Hold the place where steps run inside the block: this machine, or a cluster."""
    if options.dask is None:
        yield LocalMachine(run, jobs=options.jobs or usual_jobs(gpus), gpus=gpus)
        return
    if options.gpus is not None:
        raise UsageError(
            [
                "--gpus are those of this machine, and --dask sends steps to others. Workers of a "
                "cluster use the GPUs that they see (CUDA_VISIBLE_DEVICES)."
            ]
        )
    folder = setup.study.cache(setup.name)
    with cluster_at(options.dask, folder, run, jobs=options.jobs) as cluster:
        yield cluster


def _run(setup: Setup, place: Place, gpus: Sequence[Gpu]) -> int:
    """Print the plan, carry it out and write the site; return the exit code."""
    write_terms(setup.study, with_left_out(setup))
    planner = Planner(setup)
    print_preview(planner, planner.plan(), place, gpus)
    try:
        report = Execution(planner, place).run()
    except BaseException:
        place.stop()
        raise
    problems = _write_results(setup, report)
    if report.failures:
        _print_failures(setup, report.failures, report.blocked)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    results = setup.study.results(setup.name)
    print(f"\nThe study's pages: {setup.study.relative(results / 'index.html')}")
    return 1 if report.failures or problems else 0


def _write_results(setup: Setup, report: Report) -> list[str]:
    """Write claims, provenance and pages; return a sentence for each page that is too large."""
    from lib.metrics.claims import load_claims
    from lib.metrics.verdicts import assemble

    study, profile, terms = setup.study, setup.profile, with_left_out(setup)
    provenance.write(study, terms, setup.steps, report.kept)
    write_terms(study, terms)
    units: dict[str, str] = {}
    if (study.params / "claims.yaml").exists():
        assemble(terms.name, root=study.root)
        claims = load_claims(root=study.root).claims
        units = {claim.id: claim.unit for claim in claims}
        observing = {claim.step for claim in claims}
        for step, reason in terms.left_out.items():
            if step.split(".")[0] in observing:
                print(f"What {step} observed is left out of claims.csv: {reason}.")
    return build_site(
        study.results(terms.name),
        profile=terms.name,
        description=profile.description,
        banner=terms.banner,
        steps=[(step.id, step.notebook) for step in setup.steps],
        sources=study.notebooks,
        units=units,
    )


def _print_failures(
    setup: Setup, failures: Mapping[str, Outcome], blocked: Mapping[str, str]
) -> None:
    """Print for each failed step what failed, where to look and how to go on."""
    study, name = setup.study, setup.name
    told = {step: f"{outcome.where} {outcome.error}" for step, outcome in failures.items()}
    for called, (step, *_) in together(told, setup.steps):
        outcome = failures[step]
        print(f"\nStep {called} failed after {duration(outcome.seconds)}.")
        if outcome.where:
            print(f"  {outcome.where}")
        print(f"  {outcome.error}", *(f"    {line}" for line in outcome.tail), sep="\n")
        partial = study.step_folder(name, step) / "failed.ipynb"
        if partial.exists():
            print(f"  The notebook up to there: {study.relative(partial)}")
    waited = {step: split_seed(cause)[0] for step, cause in blocked.items()}
    for called, ids in together(waited, setup.steps):
        causes = dict.fromkeys(blocked[step] for step in ids)
        print(f"\nStep {called} did not run: it needs {', '.join(causes)}.")
    first = next(iter(failures))
    print(
        "\nTo go on: mend the cause and give the same command again; finished steps are not"
        f"\nrepeated. If the cause was not in the code, a step continues where it stopped;"
        f"\n--force {first} starts it afresh, --keep {first} continues it although the code"
        "\nchanged."
    )


def _print_list(setup: Setup, every_step: Sequence[Step]) -> None:
    """Print all steps with what they need, all profiles, and the runs that are none of these."""
    print(f"Steps of profile {setup.profile.name}:\n")
    included = {step.base: step.needs for step in setup.steps}
    seeds = Counter(step.base for step in setup.steps if step.repetition is not None)
    width = max(len(step.id) for step in every_step)
    for step in every_step:
        needs = included.get(step.id)
        text = "left out" if needs is None else "needs no other step"
        if needs and EVERYTHING in step.needs:
            text = "after every other step"
        elif needs:
            # What parameters name, the step that it starts from, stands beside what it reads.
            named = [n for n in needs if not f"{n}.".startswith(tuple(f"{g}." for g in step.needs))]
            text = "after " + ", ".join([*step.needs, *(split_seed(n)[0] for n in named)])
        if count := seeds[step.id]:
            text += f"; {count} seed{'s' if count > 1 else ''}"
        print(f"  {step.id:<{width}}  {text}")
    print("\nProfiles:\n")
    for name in profile_names(setup.study):
        print(f"  {name:<12}  {load_profile(setup.study, name).description}")
    if own := own_runs(setup.study):
        print("\nRuns of their own, in cache/ and results/:\n")
        print(*(f"  {name}: {banner}" for name, banner in own.items()), sep="\n")


def _names(text: str) -> list[str]:
    """Return the names in the value of an option, which commas separate."""
    return [name.strip() for name in text.split(",")]
