"""How long a plan takes: its steps started by the rules of a run, with the times expected."""

import heapq
import math
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from lib.runner.places import Room
from lib.runner.steps import Kind, Step


def wall_of(kind: Kind, seconds: float, room: Room, images: int = 0) -> float:
    """Return how long a step takes there; on several GPUs at best, with no time to exchange.

    Args:
        kind: of the step.
        seconds: its time on one GPU, or without any.
        room: where it runs.
        images: per iteration of a training: the GPU with most of them decides; 0 if not known.
    """
    if kind != "train" or not room.gpus:
        return seconds
    return seconds * (math.ceil(images / room.gpus) / images if images else 1 / room.gpus)


def makespan(
    steps: Sequence[Step], kinds: Mapping[str, Kind], walls: Mapping[str, float], room: Room
) -> float:
    """Return the seconds from the first step's start to the last one's end.

    Args:
        steps: those that run, in order. What they need besides is there already.
        kinds: of each, by id.
        walls: the seconds that each takes there, by id.
        room: how many fit side by side.
    """
    places = {step.id: at for at, step in enumerate(steps)}
    sorter = TopologicalSorter(
        {step.id: [name for name in step.needs if name in places] for step in steps}
    )
    sorter.prepare()
    now, ready = 0.0, list[str]()
    running: list[tuple[float, str]] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=places.__getitem__)
        busy = [kinds[name] for _, name in running]
        name = next((name for name in ready if room.fits(kinds[name], busy)), None)
        if name is None:
            now, ended = heapq.heappop(running)
            sorter.done(ended)
        else:
            ready.remove(name)
            heapq.heappush(running, (now + walls[name], name))
    return now


def gpu_seconds(
    steps: Sequence[Step], kinds: Mapping[str, Kind], seconds: Mapping[str, float]
) -> float:
    """Return the time of all steps that use GPUs, if each had one.

    Args:
        steps: those that run.
        kinds: of each, by id.
        seconds: that each takes on one GPU, by id.
    """
    return sum(seconds[step.id] for step in steps if kinds[step.id] != "cpu")
