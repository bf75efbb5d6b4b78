"""Which finished steps belong to other parameters than a run's, so that their claims do not count.

One table must not hold what was observed with different settings. A step can lie there from before
its profile was edited, if only others were asked for since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lib.runner import provenance
from lib.runner.fingerprint import plain, with_effect
from lib.runner.profiles import dotted
from lib.runner.provenance import SHOWN_DIGITS, presentable
from lib.runner.resolve import PROFILE
from lib.runner.setup import Setup
from lib.runner.stamps import read_stamp
from lib.terms import Terms


@dataclass(frozen=True)
class _Made:
    """How a finished step was made.

    Args:
        parameters: the values it had.
        inputs: digests of what it read of other steps, by path, cut short.
        needs: ids of the steps that it read, if that is known.
        outputs: digests of what others read of it, by path, cut short; if they are known.
        shown: whether paths among the parameters are as they are shown to others.
    """

    parameters: dict[str, Any]
    inputs: dict[str, str]
    needs: tuple[str, ...]
    outputs: dict[str, str]
    shown: bool


def with_left_out(setup: Setup) -> Terms:
    """Return the terms of a run with the finished steps that were made otherwise, and why.

    Those are steps with other parameters, and those whose inputs are made with others or are no
    longer what they read. In a fresh clone, ``provenance.json`` says how a step was made.
    """
    made = _all_made(setup)
    needs = {step.id: step.needs for step in setup.steps}
    reasons: dict[str, str] = {}

    def reason(name: str) -> str:
        if name not in reasons:
            reasons[name] = ""
            reasons[name] = _reason(name)
        return reasons[name]

    def _reason(name: str) -> str:
        step = made[name]
        if changed := _changed(step, setup.parameters.get(name, {})):
            return f"it was made with {changed}"
        for need in step.needs or needs[name]:
            if need not in made:
                if step.needs:
                    return f"it was made from output of {need} that is gone"
                continue
            if reason(need):
                return f"it was made from output of {need}, which belongs to other parameters"
            outputs = made[need].outputs.items()
            if name not in setup.keep and any(step.inputs.get(p, d) != d for p, d in outputs):
                return f"it was made from other output of {need}"
        return ""

    left_out = {name: why for name in made if (why := reason(name))}
    return replace(setup.terms, left_out=left_out)


def _all_made(setup: Setup) -> dict[str, _Made]:
    """Return how each finished step of the profile was made, by id."""
    study, name = setup.study, setup.name
    records = provenance.records(study.results(name) / provenance.FILE)
    made = {}
    for step in setup.steps:
        stamp = read_stamp(study, name, step.id)
        if stamp is not None:
            needs = stamp.fingerprint.needs
            inputs = {path: digest for read in needs.values() for path, digest in read.items()}
            made[step.id] = _Made(
                stamp.fingerprint.parameters,
                _short(inputs),
                tuple(needs),
                _short(stamp.for_dependents),
                shown=False,
            )
        elif step.id in records and not study.step_folder(name, step.id).exists():
            record = records[step.id]
            made[step.id] = _Made(
                record.get("parameters", {}), record.get("inputs", {}), (), {}, shown=True
            )
    return made


def _changed(step: _Made, values: Mapping[str, Any]) -> str:
    """Return a parameter that had another value, with both; empty if none had.

    One that the notebook did not have then, or has no longer, is no difference.
    """
    for name, now in with_effect(values).items():
        value = plain(presentable(now)) if step.shown else now
        if name != PROFILE and step.parameters.get(name, value) != value:
            return f"{dotted(name)} = {step.parameters[name]!r}, not {value!r}"
    return ""


def _short(digests: Mapping[str, str]) -> dict[str, str]:
    return {path: digest[:SHOWN_DIGITS] for path, digest in digests.items()}
