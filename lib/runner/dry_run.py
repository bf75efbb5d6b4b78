"""The dry run: the whole plan with the data, devices, time and room that it needs, for people."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lib.runner import missing
from lib.runner.console import heading, why
from lib.runner.data_needs import Data, distinct, needed_data
from lib.runner.gpus import Gpu, described
from lib.runner.machine import usable_cores
from lib.runner.missing import shown
from lib.runner.places import LocalMachine, Place, Room, images_of, kind_of
from lib.runner.plan import Decision, Planner
from lib.runner.setup import Setup
from lib.runner.steps import Kind, Step
from lib.runner.timetable import gpu_seconds, makespan, wall_of

WIDTH = 100
GROUP_FROM = 3
"""From so many steps of one notebook its name is not repeated."""

_STATES = {
    "it has not run yet": "not run yet",
    "it was begun but did not finish": "unfinished",
    "it is in --force": "forced",
}
_DONE = "up to date"
_COMPARED = (1, 2, 4, 8, 16)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class _Plan:
    """All that is printed.

    Args:
        setup: the checked request.
        decisions: about each selected step, in order.
        seconds: the expected time of each on one GPU, or without any, by id.
        kinds: of each, by id.
        images: of a training's iteration, by id; 0 if not known.
        data: what each reads besides outputs of others, by id.
        room: how many steps fit side by side; in place of a GPU that is missing, one is assumed.
        there: the same as it is on this machine, or the cluster.
        gpus: of this machine, those to use.
        here: whether steps run on this machine.
    """

    setup: Setup
    decisions: list[Decision]
    seconds: dict[str, float]
    kinds: dict[str, Kind]
    images: dict[str, int]
    data: dict[str, tuple[Data, ...]]
    room: Room
    there: Room
    gpus: Sequence[Gpu]
    here: bool

    @property
    def working(self) -> list[Step]:
        """The steps that run, or may."""
        return [d.step for d in self.decisions if d.action in ("run", "maybe")]

    def wall(self, room: Room) -> float:
        """Return the seconds that the run takes with so much room."""
        walls = {step.id: self.wall_of(step, room) for step in self.working}
        return makespan(self.working, self.kinds, walls, room)

    def wall_of(self, step: Step, room: Room) -> float:
        """Return the seconds that a step takes with so much room."""
        return wall_of(self.kinds[step.id], self.seconds[step.id], room, self.images[step.id])


def print_dry_run(planner: Planner, place: Place, gpus: Sequence[Gpu]) -> None:
    """Print the plan of a run, and what is missing for it on this machine.

    Args:
        planner: of the checked request.
        place: where steps would run.
        gpus: of this machine, those to use.
    """
    setup = planner.setup
    plan = _made(planner, planner.plan(), place, gpus)
    for line in heading(setup):
        _print_wrapped(line)
    print()
    for line in _table(plan):
        print(line)
    print()
    before = ""
    for name, text in _summary(plan):
        _print_wrapped(text, first=f"{name if name != before else '':<9}", rest=" " * 9)
        before = name
    print()
    if not _print_missing(plan):
        print("Nothing is missing on this machine.")


def print_missing(
    planner: Planner, decisions: list[Decision], place: Place, gpus: Sequence[Gpu]
) -> None:
    """Print what is missing on this machine for a run that is about to begin, if anything is.

    Args:
        planner: of the checked request.
        decisions: the plan.
        place: where steps run.
        gpus: of this machine, those to use.
    """
    if _print_missing(_made(planner, decisions, place, gpus)):
        print()


def _print_missing(plan: _Plan) -> bool:
    lacking = list(_missing(plan))
    if lacking:
        print("Missing on this machine:")
    for text in lacking:
        _print_wrapped(text, first="  - ", rest="    ")
    return bool(lacking)


def _made(planner: Planner, decisions: list[Decision], place: Place, gpus: Sequence[Gpu]) -> _Plan:
    setup = planner.setup
    steps = [decision.step for decision in decisions]
    there = place.room()
    lacks_gpu = not there.gpus and any(step.takes.gpu for step in steps)
    return _Plan(
        setup=setup,
        decisions=decisions,
        seconds={step.id: planner.expected_seconds(step) for step in steps},
        kinds={step.id: kind_of(step, setup.parameters[step.id]) for step in steps},
        images={step.id: images_of(setup.parameters[step.id]) for step in steps},
        data=needed_data(setup, steps),
        room=Room(there.jobs, 1, 1) if lacks_gpu else there,
        there=there,
        gpus=gpus,
        here=isinstance(place, LocalMachine),
    )


def _table(plan: _Plan) -> Iterator[str]:
    """Yield a line for each step, and one more where its reasons need one."""
    steps = [decision.step for decision in plan.decisions]
    sizes = Counter(step.notebook for step in steps)
    grouped = {name for name, size in sizes.items() if size >= GROUP_FROM}
    rows = [("", "time", "device", "reads", "writes"), *(_row(plan, d) for d in plan.decisions)]
    names = [f"  {s.variant}" if s.notebook in grouped else s.id for s in steps]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][1:]
    width = max(map(len, names), default=0)
    notebook = before = ""
    for decision, name, row in zip([None, *plan.decisions], ["", *names], rows, strict=True):
        time, *others = row[1:]
        parts = [f"{name:<{width}}", f"{time:>{widths[0]}}"]
        parts += [f"{text:<{wide}}" for text, wide in zip(others, widths[1:], strict=True)]
        if decision is None:
            yield "  ".join(parts).rstrip()
            continue
        if decision.step.notebook in grouped and decision.step.notebook != notebook:
            yield decision.step.notebook
        notebook, reasons = decision.step.notebook, why(decision)
        state = "as above" if reasons == before else _state(decision)
        yield "  ".join([*parts, state]).rstrip()
        if not state:
            yield from textwrap.wrap(
                reasons, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8
            )
        before = reasons if not state or state == "as above" else ""


def _row(plan: _Plan, decision: Decision) -> tuple[str, str, str, str, str]:
    """Return what a step is called, takes, runs on, reads and writes."""
    step = decision.step
    reads = ", ".join(f"{d.name}{'!' if d.problem else ''}" for d in plan.data[step.id])
    if decision.action not in ("run", "maybe"):
        return step.id, "", "", reads, ""
    seconds = plan.wall_of(step, plan.room)
    writes = shown(step.takes.disk) if step.takes.disk else ""
    return step.id, _about(seconds), _device(plan, step), reads, writes


def _state(decision: Decision) -> str:
    """Return in a word or two what is to be done with a step; empty if that takes more."""
    text = why(decision)
    known = decision.action == "run" and len(decision.reasons) == 1
    return _STATES.get(decision.reasons[0], "") if known else text if text == _DONE else ""


def _device(plan: _Plan, step: Step) -> str:
    """Return what a step runs on, with the memory that it takes if that is stated."""
    kind, room = plan.kinds[step.id], plan.room
    if kind == "train" and room.gpus:
        count = min(room.gpus, plan.images[step.id] or room.gpus)
        each = f"{step.takes.gpu / count:.0f} GB" if step.takes.gpu else ""
        return f"{_counted(count, 'GPU')}{(' x ' if count > 1 else ', ') if each else ''}{each}"
    if not plan.here:
        return "a worker"
    cores = usable_cores() // (room.trainings if kind == "train" else 1)
    on = "1 GPU" if kind == "alone" and room.gpus else _counted(max(1, cores), "core")
    return f"{on}, alone" if kind == "alone" else on


def _summary(plan: _Plan) -> Iterator[tuple[str, str]]:
    """Yield what the whole run takes: pairs of a word and a text."""
    working = plan.working
    for entry in distinct(plan.data.values()):
        size = f", {shown(entry.gigabytes)}" if entry.gigabytes else ""
        where = f", in {entry.where}" if entry.where else ""
        state = f"; missing: {entry.problem}" if entry.problem else where
        yield "Data", f"{entry.name}: {entry.title}{size}{state}"
    if not working:
        yield "Time", "nothing to run"
        return
    written = sum(step.takes.disk for step in working)
    if written:
        folder = plan.setup.study.relative(plan.setup.study.cache(plan.setup.name))
        yield "Disk", f"about {shown(written)} are written below {folder}/"
    yield "Devices", _devices(plan)
    perhaps = any(decision.action == "maybe" for decision in plan.decisions)
    steps = f"{'up to ' if perhaps else ''}{_counted(len(working), 'step')} to run"
    wall = plan.wall(plan.room)
    if not plan.room.gpus:
        yield "Time", f"{steps}: about {_about(wall)}"
        return
    hours = gpu_seconds(working, plan.kinds, plan.seconds) / _HOUR
    used = f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"
    yield "Time", f"{steps}: about {used} GPU-hours, {_about(wall)} from the first to the last"
    if plan.here and wall > _DAY:
        yield from (("Time", line) for line in _comparison(plan))


def _comparison(plan: _Plan) -> Iterator[str]:
    """Yield a small table of times on other numbers of GPUs."""
    rooms = {
        "one training on each": [Room(n, n, 1) for n in _COMPARED],
        "one training on all, at best": [Room(1, 1, n) for n in _COMPARED],
    }
    yield f"{'GPUs':<28}" + "".join(f"{n:>11}" for n in _COMPARED)
    for name, those in rooms.items():
        yield f"{name:<28}" + "".join(f"{_about(plan.wall(room)):>11}" for room in those)


def _devices(plan: _Plan) -> str:
    room, jobs = plan.room, _counted(plan.room.jobs, "step")
    at_once = f"{jobs} at a time"
    if not plan.here:
        gpus = f", {_counted(room.gpus, 'GPU')} for each" if room.gpus else ""
        trainings = _counted(room.trainings, "training")
        return f"the cluster: {at_once}, {trainings} among them{gpus}"
    if not room.gpus:
        return f"{_counted(usable_cores(), 'core')}, no GPU; {at_once}"
    if not plan.there.gpus:
        return f"planned for one GPU, which is missing here; {at_once}"
    used = room.gpus * room.trainings
    idle = len(plan.gpus) - used
    rest = f"; {_counted(idle, 'GPU')} left over, which --jobs 1 would use" if idle else ""
    share = "one GPU" if room.gpus == 1 else f"{room.gpus} GPUs"
    absent = any(not gpu.uuid for gpu in plan.gpus)
    gpus = _counted(len(plan.gpus), "GPU") if absent else described(plan.gpus)
    return f"{gpus}; {at_once}, {share} for each training{rest}"


def _missing(plan: _Plan) -> Iterator[str]:
    """Yield a sentence for each thing that the run needs and this machine lacks."""
    working, setup = plan.working, plan.setup
    data = distinct(plan.data[step.id] for step in working)
    needs_gpu = any(step.takes.gpu for step in working)
    yield from missing.data_problems(data)
    yield from setup.absent
    yield from missing.gpu_problems(working, plan.there, plan.gpus, here=plan.here)
    if plan.here:
        yield from missing.memory_problems(working, plan.room)
    written = sum(step.takes.disk for step in working)
    wanted = [entry for entry in data if entry.problem]
    yield from missing.disk_problems(
        written,
        sum(entry.gigabytes for entry in wanted),
        sum(entry.room for entry in wanted),
        setup.study.cache(setup.name),
    )
    yield from missing.package_problems(gpu=needs_gpu)


def _about(seconds: float) -> str:
    """Return a time in few characters: ``45 s``, ``20 min``, ``3.5 h``, ``12 days``."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _print_wrapped(text: str, *, first: str = "", rest: str = "") -> None:
    if len(first + text) <= WIDTH:  # as it is, with its columns
        print(first + text)
        return
    for line in textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    ):
        print(line)
