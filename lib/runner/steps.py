"""Steps: one execution of a notebook each, and how their names are read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from lib.runner.problems import nearest
from lib.strict_yaml import cut
from lib.variant import split_seed

EVERYTHING = "*"
"""In ``needs``: every other step of the profile."""

Kind = Literal["cpu", "train", "alone"]

Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Gigabytes:
    """Room that a step takes, in GB; 0 where nothing is stated.

    Args:
        gpu: memory of GPUs, of all that it uses together; only a step that has this needs a GPU.
        memory: main memory of each of its processes.
        disk: what it writes below ``cache/``.
    """

    gpu: Amount = 0.0
    memory: Amount = 0.0
    disk: Amount = 0.0


@dataclass(frozen=True)
class Step:
    """One execution of one notebook.

    Args:
        notebook: file name without suffix.
        variant: what tells it from other executions of the same notebook, such as ``opmask.voc``.
        needs: steps whose outputs it reads; a notebook's name stands for all its variants. Steps
            that its parameters name need not be listed.
        parameters: values that make the variant what it is; no profile can change them.
        kind: ``train`` for steps that use GPUs where there are any: never two of them on one.
            ``alone`` for steps that measure time: nothing runs beside them.
        minutes: expected time in the ``demo`` profile, shown until a real one is known; on one GPU
            where the profile is meant for GPUs.
        files: further files it depends on, relative to the repository.
        optional: those that need it do without if it fails.
        extra: only profiles that name it in ``add`` have it.
        takes: the room that the profile expects it to take.
        repeated: the parameter that counts its repetitions, of which a profile may ask for several;
            empty for a step that is executed once.
    """

    notebook: str
    variant: str = ""
    needs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = "cpu"
    minutes: float = 0.5
    files: tuple[str, ...] = ()
    optional: bool = False
    extra: bool = False
    takes: Gigabytes = field(default_factory=Gigabytes)
    repeated: str = ""

    @property
    def id(self) -> str:
        """The notebook's name, and the variant after a dot if there is one."""
        return f"{self.notebook}.{self.variant}" if self.variant else self.notebook

    @property
    def base(self) -> str:
        """The id that it shares with its other repetitions; its own if it is not one of them."""
        return split_seed(self.id)[0]

    @property
    def repetition(self) -> int | None:
        """Which repetition it is, from 0; None if it is none."""
        return split_seed(self.id)[1]


def in_scope(step: Step, scope: str) -> bool:
    """Return whether ``scope`` is the step's id or the beginning of it, up to a dot."""
    return f"{step.id}.".startswith(f"{scope}.")


def matching(name: str, steps: Iterable[Step]) -> list[str]:
    """Return the ids of the steps that ``name`` means.

    That is one step, all repetitions of one, all variants of a notebook, or those whose id begins
    with ``name`` and a dot.

    Raises:
        ValueError: if there are none; the message has the nearest right name.
    """
    steps = list(steps)
    exact = [s.id for s in steps if name in (s.id, s.base)]
    found = exact or [s.id for s in steps if in_scope(s, name)]
    if not found:
        names = {name for step in steps for name in (step.id, step.base, step.notebook)}
        raise ValueError(f"There is no step {cut(name)!r} in this profile.{nearest(name, names)}")
    return found


def with_needs_resolved(steps: Sequence[Step]) -> list[Step]:
    """Return ``steps`` with every name in ``needs`` replaced by step ids.

    Raises:
        ValueError: if a step needs one that is not among them.
    """
    resolved = []
    for step in steps:
        others = [other for other in steps if other.id != step.id]
        needs: list[str] = []
        for name in step.needs:
            try:
                needs += [s.id for s in others] if name == EVERYTHING else matching(name, others)
            except ValueError as error:
                raise ValueError(
                    f"Step {step.id!r} needs {name!r}, which this profile leaves out. "
                    f"Leave out {step.id!r} too, or neither."
                ) from error
        resolved.append(replace(step, needs=tuple(dict.fromkeys(needs))))
    return resolved


def selection(steps: Sequence[Step], *, only: Iterable[str], start: Collection[str]) -> set[str]:
    """Return the ids of the steps that are asked for, and of all that these need.

    Args:
        steps: with what they need as step ids, in order.
        only: ids of steps that are asked for.
        start: ids of steps that are asked for with all that depend on them; without any in
            ``only`` and ``start`` all are.
    """
    after = set(start)
    for step in steps:
        if after & set(step.needs):
            after.add(step.id)
    needs = {step.id: step.needs for step in steps}
    waiting = [*only, *after] or list(needs)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return found
