"""Carry out a plan: steps in the order of their needs, side by side where they are independent."""

import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

from lib.files import explain
from lib.parameter_names import images_of
from lib.runner import provenance
from lib.runner.executed import injected_cell, refresh_text, write_executed
from lib.runner.jobs import Job, Outcome
from lib.runner.left_out import with_left_out
from lib.runner.machine import describe_machine
from lib.runner.places import Place, Room, kind_of
from lib.runner.plan import Decision, Planner
from lib.runner.preview import duration, expected_wall
from lib.runner.repetitions import indispensable
from lib.runner.stamps import begin, finish, read_stamp, remember_seconds
from lib.runner.steps import Step
from lib.terms import write_terms
from lib.workers import WorkerLostError


@dataclass
class Report:
    """How a run ended.

    Args:
        failures: how each failed step ended.
        blocked: for each step that could not run, the failed step that it needs.
        kept: for each step whose output was kept, what had changed.
    """

    failures: dict[str, Outcome] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)


class Execution:
    """One run of a set-up.

    Args:
        planner: decides about each step once those it needs are done: a step that ran but made
            the same as before does not make others run.
        place: where jobs run; it says how many fit side by side.
    """

    def __init__(self, planner: Planner, place: Place) -> None:
        self.planner, self.setup, self.place = planner, planner.setup, place
        self.report = Report()
        self._running: dict[Future[Outcome], tuple[Decision, list[str]]] = {}
        self._sources = provenance.describe_sources(self.setup.study.root)
        self._dispensable = {step.id for step in self.setup.steps if step.optional}
        self._kinds = {
            step.id: kind_of(step, self.setup.parameters[step.id]) for step in self.setup.chosen
        }

    def run(self) -> Report:
        """Run every selected step that has to; return how it ended."""
        self.place.prepare()
        steps = {step.id: step for step in self.setup.chosen}
        places = {name: place for place, name in enumerate(steps)}
        sorter = TopologicalSorter({step.id: step.needs for step in steps.values()})
        sorter.prepare()
        ready: list[Step] = []
        while sorter.is_active():
            room = self.place.room()  # workers of a cluster come and go
            while True:
                ready += [steps[name] for name in sorter.get_ready()]
                ready.sort(key=lambda step: places[step.id])
                step = next((step for step in ready if self._has_room(step, room)), None)
                if step is None:
                    break
                ready.remove(step)
                if not self._start(step, room):
                    sorter.done(step.id)
            done, _ = wait(self._running, return_when=FIRST_COMPLETED)
            sorter.done(*[self._end(future) for future in done])
        self.planner.digests.save()
        return self.report

    def _has_room(self, step: Step, room: Room) -> bool:
        running = [self._kinds[decision.step.id] for decision, _ in self._running.values()]
        return room.fits(self._kinds[step.id], running)

    def _threads(self, step: Step, room: Room) -> int:
        """Return how many threads a training may use; 0 leaves it to the libraries.

        Side by side, trainings that each take every core would get in each other's way. One that
        is alone gets no more: another number of threads rounds otherwise, so that what a training
        ends with would depend on which others had ended before.
        """
        if step.kind != "train" or not self.place.cores or "OMP_NUM_THREADS" in os.environ:
            return 0
        share = min(room.jobs, sum(other.kind == "train" for other in self.setup.chosen))
        return max(1, self.place.cores // share) if share > 1 else 0

    def _start(self, step: Step, room: Room) -> bool:
        """Start ``step`` if it has to run and can; return whether it is running."""
        stopped = self.report.failures.keys() | self.report.blocked.keys()
        cause = next(iter(indispensable(step.needs, stopped - self._dispensable)), None)
        if cause is not None:
            self.report.blocked[step.id] = self.report.blocked.get(cause, cause)
            return False
        setup = self.setup
        study, profile = setup.study, setup.name
        decision = self.planner.decide(step)
        if decision.action == "keep":
            if decision.reasons:
                self.report.kept[step.id] = list(decision.reasons)
            return False
        source = study.notebooks / f"{step.notebook}.ipynb"
        if decision.action == "skip":
            refresh_text(source, study.page(profile, step.id))
            return False
        write_terms(study, with_left_out(setup))
        continued = begin(
            study,
            profile,
            step.id,
            decision.fingerprint,
            fresh=step.id in setup.force,
            keep=step.id in setup.keep,
            digests=self.planner.digests,
        )
        notes = []
        if continued and step.id in setup.keep:
            notes.append(
                "Continues work that was begun before its inputs or code changed (--keep)."
            )
        values, kind = setup.parameters[step.id], self._kinds[step.id]
        job = Job(
            step=step.id,
            source=str(source),
            folder=str(study.step_folder(profile, step.id)),
            root=str(study.root),
            needs=step.needs,
            injected=injected_cell(setup.schemas[step.notebook], values, setup.terms),
            threads=self._threads(step, room),
            images=images_of(values),
        )
        count = min(room.gpus, job.images or room.gpus) if kind == "train" else 0
        on = f" on {count} GPU{'s' if count > 1 else ''}" if count else ""
        expected = duration(expected_wall(self.planner, step, room))
        print(f"{_clock()} {step.id} starts{on} (about {expected})", flush=True)
        self._running[self.place.start(job, kind)] = (decision, notes)
        return True

    def _end(self, future: Future[Outcome]) -> str:
        """Record how a job ended; return the id of its step."""
        decision, notes = self._running.pop(future)
        step = decision.step
        try:
            outcome = future.result()
        except Exception as error:
            name = "" if isinstance(error, WorkerLostError) else f"{type(error).__name__}: "
            outcome = Outcome(0.0, f"{name}{error}")
        if outcome.error is None:
            try:
                self._record(decision, outcome, notes)
            except OSError as error:
                outcome = replace(outcome, error=explain(error))
        word = "finished in" if outcome.error is None else "FAILED after"
        print(f"{_clock()} {step.id} {word} {duration(outcome.seconds)}", flush=True)
        if outcome.error is not None:
            self.report.failures[step.id] = outcome
        return step.id

    def _record(self, decision: Decision, outcome: Outcome, notes: list[str]) -> None:
        setup, step = self.setup, decision.step
        study, profile = setup.study, setup.name
        for name in step.needs:
            stamp = read_stamp(study, profile, name)
            if name in self.report.kept or (stamp and stamp.provenance.get("notes")):
                notes.append(f"Uses output of {name} that was kept although its inputs changed.")
        record = provenance.of_step(
            decision.fingerprint,
            setup.schemas[step.notebook],
            setup.parameters[step.id],
            seconds=outcome.seconds,
            sources=self._sources,
            machine=outcome.machine or describe_machine(),
            notes=notes,
        )
        executed = study.step_folder(profile, step.id) / "executed.ipynb"
        target = study.page(profile, step.id)
        text = provenance.as_markdown(record)
        write_executed(executed, target, root=study.root, provenance=text)
        finish(
            study,
            profile,
            step.id,
            decision.fingerprint,
            notebook=target,
            provenance=record,
            digests=self.planner.digests,
        )
        # As if on one GPU, for plans with another number of them.
        remember_seconds(study, profile, step.id, outcome.seconds * outcome.processes)
        executed.unlink()
        self.planner.digests.save()


def _clock() -> str:
    return time.strftime("%H:%M:%S")
