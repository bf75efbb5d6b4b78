"""What is said before a run: its steps, how long they take, and what this machine lacks for them.

``--dry-run`` says it and does nothing else.
"""

import heapq
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from lib import progress
from lib.compiled import compilers
from lib.data.download.catalogue import CATALOGUE
from lib.data_needs import FETCH, Data, needed_data
from lib.parameter_names import images_of
from lib.runner.fingerprint import package_versions
from lib.runner.machine import Gpu, described, usable_cores
from lib.runner.places import LocalMachine, Place, Room, kind_of
from lib.runner.plan import Decision, Planner
from lib.runner.repetitions import together
from lib.runner.steps import Kind, Step
from lib.variant import split_seed

SHOWN_REASONS = 3


def duration(seconds: float) -> str:
    """Return a time for people, as `lib.progress` does; long ones in days."""
    days = seconds / 86400
    return f"{days:.1f} days" if days >= 2 else progress.duration(seconds)


def why(decision: Decision) -> str:
    """Return in words what is to be done with a step, and for which reasons."""
    shown = "; ".join(decision.reasons[:SHOWN_REASONS])
    if len(decision.reasons) > SHOWN_REASONS:
        shown += f"; and {len(decision.reasons) - SHOWN_REASONS} more"
    match decision.action:
        case "run":
            return f"runs: {shown}"
        case "maybe":
            before = dict.fromkeys(split_seed(name)[0] for name in decision.reasons)
            return f"runs if the output of {', '.join(before)} changes"
        case _:
            return f"kept although {shown}" if shown else "up to date"


def print_preview(
    planner: Planner, decisions: Sequence[Decision], place: Place, gpus: Sequence[Gpu]
) -> None:
    """Print a plan, the time and the room that it takes, and what is missing on this machine.

    Args:
        planner: of the checked request.
        decisions: about each selected step, in order.
        place: where steps run.
        gpus: of this machine, those to use.
    """
    setup, terms = planner.setup, planner.setup.terms
    study, cache = setup.study, setup.study.cache(setup.name)
    working = [d.step for d in decisions if d.action in ("run", "maybe")]
    there = place.room()
    lacks_gpu = not there.gpus and any(step.takes.gpu for step in working)
    room = replace(there, trainings=1, gpus=1) if lacks_gpu else there  # times are those of one
    walls = {step.id: expected_wall(planner, step, room) for step in working}
    print(f"Profile {setup.profile.name}: {setup.profile.description}")
    if terms.is_own:
        folders = f"{study.relative(cache)}/ and {study.relative(study.results(terms.name))}/"
        print(f"{terms.banner}\nIt is a run of its own, made from scratch in {folders}; those of")
        print("profiles are not touched. To be rid of it, remove both folders.")
    print()
    told = {decision.step.id: why(decision) for decision in decisions}
    _print_lines([(*line, told[line[1][0]]) for line in together(told, setup.steps)], walls)
    if not working:
        kept = any(d.action == "keep" and d.reasons for d in decisions)
        print("\nNothing to run." if kept else "\nEvery step is up to date.")
        return
    kinds = {step.id: kind_of(step, setup.parameters[step.id]) for step in working}
    up_to = "up to " if any(d.action == "maybe" for d in decisions) else ""
    total = duration(makespan(working, kinds, walls, room))
    print(f"\n{up_to}{_counted(len(working), 'step')} to run: about {total}.".capitalize())
    here = isinstance(place, LocalMachine)
    on = described(gpus) or f"{_counted(usable_cores(), 'core')}, no GPU" if here else "the cluster"
    if lacks_gpu:
        on = "one GPU, which is missing here"
    jobs, trainings = _counted(room.jobs, "step"), _counted(room.trainings, "training")
    each = f", {_counted(room.gpus, 'GPU')} for each training" if room.gpus else ""
    print(f"On {on}: {jobs} at a time, {trainings} among them{each}.")
    data = needed_data(setup.parameters[step.id] for step in working)
    for entry in data:
        if not entry.problem:
            print(f"Data: {entry.title}{f', in {entry.where}' if entry.where else ''}.")
    written = sum(step.takes.disk for step in working)
    if written:
        print(f"About {_size(written)} are written below {study.relative(cache)}/.")
    lacking = [
        *_data_problems(data),
        *setup.absent,
        *_gpu_problems(working, room, gpus, lacks_gpu),
        *([] if compilers() else ["A C compiler: install clang or gcc, or pip install ziglang."]),
        *(_memory_problems(working, room) if here else ()),
        *_disk_problems(written + sum(entry.kept for entry in data), cache),
    ]
    print("\nMissing on this machine:" if lacking else "\nNothing is missing on this machine.")
    print("".join(f"  - {text}\n" for text in lacking))


def _print_lines(
    lines: Sequence[tuple[str, Sequence[str], str]], walls: Mapping[str, float]
) -> None:
    """Print the lines of a plan: a name, the time of each of its steps if they run, and a text."""
    times = {}
    for name, ids, _ in lines:
        if ids[0] in walls:
            each = " each" if len(ids) > 1 else ""
            times[name] = duration(sum(walls[step] for step in ids) / len(ids)) + each
    wide = max((len(name) for name, *_ in lines), default=0)
    width = max(map(len, times.values()), default=0)
    for name, _, text in lines:
        time = f"{times.get(name, ''):>{width}}  " if width else ""
        print(f"  {name:<{wide}}  {time}{text}")


def expected_wall(planner: Planner, step: Step, room: Room) -> float:
    """Return the seconds that a step is expected to take, with its share of the GPUs.

    The time that is known is one on one GPU; several at best share it, with no time to exchange.
    """
    seconds = planner.expected_seconds(step)
    values = planner.setup.parameters[step.id]
    if kind_of(step, values) != "train" or not room.gpus:
        return seconds
    images = images_of(values)  # the GPU with most of them decides
    return seconds * (math.ceil(images / room.gpus) / images if images else 1 / room.gpus)


def makespan(
    steps: Sequence[Step], kinds: Mapping[str, Kind], walls: Mapping[str, float], room: Room
) -> float:
    """Return the seconds from the first step's start to the last one's end, by a run's own rules.

    Args:
        steps: those that run, in order. What they need besides is there already.
        kinds: of each, by id.
        walls: the seconds that each takes there, by id.
        room: how many fit side by side.
    """
    order = list(kinds)
    sorter = TopologicalSorter({s.id: [name for name in s.needs if name in kinds] for s in steps})
    sorter.prepare()
    now, ready = 0.0, list[str]()
    running: list[tuple[float, str]] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=order.index)
        busy = [kinds[name] for _, name in running]
        name = next((name for name in ready if room.fits(kinds[name], busy)), None)
        if name is None:
            now, ended = heapq.heappop(running)
            sorter.done(ended)
        else:
            ready.remove(name)
            heapq.heappush(running, (now + walls[name], name))
    return now


def _data_problems(data: Sequence[Data]) -> Iterator[str]:
    """Yield what is amiss with each set and file, and at the end the command that fetches them."""
    for entry in data:
        if entry.problem:
            size = f" It takes {_size(entry.kept)}" if entry.kept else ""
            if entry.fetched > entry.kept:
                size += f", and {_size(entry.fetched)} while it is fetched and unpacked"
            yield f"{entry.title}: {entry.problem}.{size}{'.' if size else ''}"
    names = {name for entry in data for name in entry.fetch}
    if names:
        yield f"To fetch: {FETCH} {' '.join(name for name in CATALOGUE if name in names)}"


def _gpu_problems(
    steps: Sequence[Step], room: Room, gpus: Sequence[Gpu], lacks_gpu: bool
) -> Iterator[str]:
    """Yield what is missing of GPUs for steps that need one."""
    if absent := [gpu.number for gpu in gpus if not gpu.uuid]:
        yield f"GPUs named by --gpus that are not here: {', '.join(absent)}."
    elif lacks_gpu:
        yield (
            "A GPU: PyTorch shows none. The times above are those of one; a "
            "CPU takes some hundred times as long. To plan for another machine name its GPUs: "
            "--gpus 0,1,2,3"
        )
    sizes = [gpu.gigabytes for gpu in gpus if gpu.uuid and gpu.gigabytes]
    most = max(steps, key=lambda step: step.takes.gpu)
    if sizes and (each := most.takes.gpu / max(1, room.gpus)) > min(sizes):
        yield (
            f"Memory of GPUs: {most.id} takes about {each:.0f} GB on each GPU, and the smallest "
            f"has {min(sizes):.0f} GB. Give each training more GPUs (fewer --jobs), or lower "
            "train.batch_size."
        )
    if most.takes.gpu and (torch := package_versions()["torch"]).endswith("+cpu"):
        yield f"PyTorch for GPUs: {torch} is for the CPU alone. See pytorch.org for another."


def _memory_problems(steps: Sequence[Step], room: Room) -> Iterator[str]:
    """Yield what is missing of main memory: for as many trainings as run side by side here."""
    # Nothing else is as large; GPUs of one training have a process each.
    largest = sorted((step.takes.memory for step in steps), reverse=True)[: room.trainings]
    needed, there = sum(largest) * max(1, room.gpus), psutil.virtual_memory().total / 1e9
    if needed > there:
        yield (
            f"Main memory: about {needed:.0f} GB for what runs side by side; there are "
            f"{there:.0f} GB. Use fewer --jobs or GPUs."
        )


def _disk_problems(needed: float, folder: Path) -> Iterator[str]:
    """Yield what is missing of room, in GB, on the disk on which a folder is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    if needed > free:
        yield f"Room on disk: {_size(needed)} for data and cache; {_size(free)} are free."


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes < 10 else f"{gigabytes:.0f} GB"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
