"""What will run and why: each step's present fingerprint against the recorded one."""

from collections.abc import Collection
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Literal

from lib.runner.fingerprint import Digests, Fingerprint, explain, fingerprint
from lib.runner.setup import Setup
from lib.runner.stamps import STARTED, missing_outputs, past_seconds, read_stamp
from lib.runner.steps import Step
from lib.variant import split_seed

Action = Literal["run", "maybe", "skip", "keep"]


@dataclass(frozen=True)
class Decision:
    """What is to be done with a step.

    Args:
        step: the step.
        action: ``maybe`` if it depends on what a step before it will make.
        reasons: why, as phrases.
        fingerprint: what the step depends on now.
    """

    step: Step
    action: Action
    reasons: tuple[str, ...]
    fingerprint: Fingerprint


class Planner:
    """Decides about the steps of a set-up.

    Args:
        setup: the checked request.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.digests = Digests(setup.study, setup.name)

    def plan(self) -> list[Decision]:
        """Return a decision for each selected step, before anything has run."""
        chosen = {step.id: step for step in self.setup.chosen}
        order = TopologicalSorter({name: step.needs for name, step in chosen.items()})
        decisions: dict[str, Decision] = {}
        for name in order.static_order():
            if name in chosen:
                pending = [n for n, d in decisions.items() if d.action in ("run", "maybe")]
                decisions[name] = self.decide(chosen[name], pending)
        return [decisions[name] for name in chosen]

    def decide(self, step: Step, pending: Collection[str] = ()) -> Decision:
        """Return what is to be done with ``step``.

        Args:
            step: the step.
            pending: ids of the steps that will or may run before it.
        """
        setup = self.setup
        study, profile = setup.study, setup.name
        stamp = read_stamp(study, profile, step.id)
        waiting_for = [name for name in step.needs if name in pending]
        needs: dict[str, dict[str, str]] = {}
        files: dict[str, str] = {}
        for name in step.needs:
            needed = read_stamp(study, profile, name)
            if name not in waiting_for and needed:
                needs[name] = needed.for_dependents
                files |= needed.fingerprint.files
        if waiting_for and stamp:
            # What will come of a step that has yet to run is taken to be what it was.
            needs |= {n: d for n, d in stamp.fingerprint.needs.items() if n in waiting_for}
            files = stamp.fingerprint.files | files
        now = fingerprint(
            study,
            step,
            setup.schemas[step.notebook],
            setup.parameters[step.id],
            needs=needs,
            files_of_needs=files,
            digests=self.digests,
        )
        begun = (study.step_folder(profile, step.id) / STARTED).exists()
        if stamp is None:
            reason = "it was begun but did not finish" if begun else "it has not run yet"
            return Decision(step, "run", (reason,), now)
        changes = [*explain(stamp.fingerprint, now), *missing_outputs(study, stamp, self.digests)]
        if step.id in setup.force:
            return Decision(step, "run", ("it is in --force",), now)
        if step.id in setup.keep:
            return Decision(step, "keep", tuple(changes), now)
        if changes:
            return Decision(step, "run", tuple(changes), now)
        if waiting_for:
            return Decision(step, "maybe", tuple(waiting_for), now)
        return Decision(step, "skip", (), now)

    def expected_seconds(self, step: Step) -> float:
        """Return how long ``step`` took last time; before that, what the profile expects.

        Both are times on one GPU where it trains on GPUs. Until a repetition has run, it is taken
        to take as long as the last of the others.
        """
        study, setup = self.setup.study, self.setup
        past = past_seconds(study, setup.profile.name) | past_seconds(study, setup.name)
        others = {split_seed(name)[0]: seconds for name, seconds in past.items()}
        return past.get(step.id, others.get(step.base, step.minutes * 60))
