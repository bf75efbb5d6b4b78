"""The expected time of a plan, against cases by hand and bounds that hold for any schedule."""

import random

import pytest

from lib.runner.places import Room
from lib.runner.steps import Kind, Step
from lib.runner.timetable import gpu_seconds, makespan, wall_of


def _time(room: Room, *steps: tuple[str, Kind, float, tuple[str, ...]]) -> float:
    made = [Step(name, kind=kind, needs=needs) for name, kind, _, needs in steps]
    kinds = {name: kind for name, kind, *_ in steps}
    walls = {name: wall_of(kind, seconds, room) for name, kind, seconds, _ in steps}
    return makespan(made, kinds, walls, room)


TWO = (("data", "cpu", 10.0, ()), ("a", "train", 60.0, ("data",)), ("b", "train", 40.0, ("data",)))


def test_times_by_hand() -> None:
    assert _time(Room(1, 1), *TWO) == 110
    assert _time(Room(2, 2), *TWO) == 70
    # One training at a time on both GPUs, or one on each.
    assert _time(Room(1, 1, 2), *TWO) == 10 + 30 + 20
    assert _time(Room(2, 2, 1), *TWO) == 70
    # A second job does not give a second GPU, but steps of the CPU run beside a training.
    assert _time(Room(2, 1, 1), *TWO) == 110
    assert _time(Room(2, 1, 1), ("a", "train", 60.0, ()), ("c", "cpu", 50.0, ())) == 60
    # Nothing runs beside a step that measures time.
    alone = ("m", "alone", 5.0, ())
    assert _time(Room(8, 8, 1), ("a", "train", 60.0, ()), alone, ("b", "train", 60.0, ())) == 65
    # What is needed and does not run is there already.
    assert _time(Room(2, 2), *TWO[1:]) == 60
    assert _time(Room(1, 1)) == 0


def test_the_gpu_with_most_images_decides_and_none_is_without() -> None:
    def share(images: int, gpus: int) -> float:
        return wall_of("train", 1.0, Room(1, 1, gpus), images)

    assert [share(6, gpus) for gpus in (1, 2, 3, 4, 6, 8)] == [1, 1 / 2, 1 / 3, 2 / 6, 1 / 6, 1 / 6]
    assert share(16, 3) == 6 / 16
    assert wall_of("alone", 1.0, Room(1, 1, 4), 6) == wall_of("train", 1.0, Room(4, 4), 6) == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_plan_is_faster_than_its_longest_chain_or_its_share_of_the_work(seed: int) -> None:
    draw = random.Random(seed)
    kinds: dict[str, Kind] = {}
    chain: dict[str, float] = {}
    seconds, steps = {}, []
    for n in range(12):
        name = f"s{n:02}"
        needs = tuple(draw.sample(sorted(kinds), min(n, draw.randint(0, 2))))
        kinds[name] = draw.choice(("cpu", "train", "train", "alone"))
        seconds[name] = float(draw.randint(1, 50))
        steps.append(Step(name, kind=kinds[name], needs=needs))
        chain[name] = seconds[name] + max((chain[need] for need in needs), default=0.0)
    everything = sum(seconds.values())
    assert makespan(steps, kinds, seconds, Room(1, 1)) == everything
    for jobs in (2, 3, 5):
        took = makespan(steps, kinds, seconds, Room(jobs, jobs))
        assert max(*chain.values(), everything / jobs) <= took <= everything
    trained = sum(seconds[name] for name, kind in kinds.items() if kind == "train")
    measured = sum(seconds[name] for name, kind in kinds.items() if kind == "alone")
    assert makespan(steps, kinds, seconds, Room(5, 1, 1)) >= trained + measured
    assert gpu_seconds(steps, kinds, seconds) == trained + measured
