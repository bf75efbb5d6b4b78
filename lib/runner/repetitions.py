"""Steps that are repeated with other random numbers: a step of its own for each seed.

To the runner they are steps like others; names without the ending ``.seedN`` mean all of a step.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lib.runner.steps import Step
from lib.variant import split_seed, with_seed


def repetitions(step: Step, times: int) -> list[Step]:
    """Return a step for each repetition of ``step``, or itself if it cannot be repeated."""
    if not step.repeated:
        return [step]
    return [
        replace(
            step,
            variant=with_seed(step.variant, number).lstrip("."),
            parameters={**step.parameters, step.repeated: number},
        )
        for number in range(times)
    ]


def meant_by(name: str, step: Step, steps: Iterable[Step]) -> str:
    """Return the id of the step that a parameter of ``step`` means by ``name``.

    The name of a repeated step means its repetition of the same number, and where it has fewer
    they are taken in turn. Any other name means itself.
    """
    named = [other.id for other in steps if other.base == name]
    return named[(step.repetition or 0) % len(named)] if named else name


def indispensable(needs: Sequence[str], stopped: Iterable[str]) -> list[str]:
    """Return those of ``stopped`` among a step's needs that no other repetition stands in for."""
    lacking = [name for name in needs if name in set(stopped)]
    there = {split_seed(name)[0] for name in needs if name not in lacking}
    return [name for name in lacking if split_seed(name)[0] not in there]


def together(said: Mapping[str, str], steps: Iterable[Step]) -> list[tuple[str, list[str]]]:
    """Put repetitions of one step of which the same is said into one line.

    Args:
        said: a text for each step, by id.
        steps: all steps of the profile.

    Returns:
        For each line how to call its steps, such as ``06_train.opmask (5 seeds)``, and their ids.
    """
    every = Counter(step.base for step in steps)
    lines: dict[tuple[str, str], list[str]] = {}
    for name, text in said.items():
        lines.setdefault((split_seed(name)[0], text), []).append(name)
    return [(_called(base, ids, every[base]), ids) for (base, _), ids in lines.items()]


def _called(base: str, ids: Sequence[str], of: int) -> str:
    if len(ids) == 1:
        return ids[0]
    if len(ids) == of:
        return f"{base} ({of} seeds)"
    return f"{base} (seeds {', '.join(str(split_seed(name)[1]) for name in ids)})"
