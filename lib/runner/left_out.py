"""Which finished steps belong to other parameters than a run's, so that their claims do not count.

One table must not hold what was observed with different settings. A step can lie there from before
its profile was edited, if only others were asked for since.
"""

from collections.abc import Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from lib.runner import provenance
from lib.runner.fingerprint import with_effect
from lib.runner.profiles import dotted
from lib.runner.provenance import presentable
from lib.runner.resolve import PROFILE
from lib.runner.setup import Setup
from lib.runner.stamps import read_stamp
from lib.terms import Terms


def with_left_out(setup: Setup) -> Terms:
    """Return the terms of a run with the finished steps that were made otherwise, and why.

    Those are steps with other parameters, and those that read output of such a step, or other
    output than is there now. In a fresh clone, ``provenance.json`` says how a step was made.
    """
    study, name = setup.study, setup.name
    records = provenance.records(study.results(name) / provenance.FILE)
    needs = {step.id: step.needs for step in setup.steps}
    reasons: dict[str, str] = {}
    for step in TopologicalSorter(needs).static_order():
        stamp = read_stamp(study, name, step)
        read: Mapping[str, Mapping[str, str]] = {}
        if stamp:
            made, read = stamp.fingerprint.parameters, stamp.fingerprint.needs
        elif step in records and not study.step_folder(name, step).exists():
            made = records[step].get("parameters", {})
        else:
            continue
        now = with_effect(setup.parameters.get(step, {}))
        if not stamp:
            now = {key: presentable(value) for key, value in now.items()}
        if changed := _changed(made, now):
            reasons[step] = f"it was made with {changed}"
        for need in read or needs[step]:
            there = read_stamp(study, name, need)
            if need in reasons:
                reasons.setdefault(step, f"it was made from {need}, which is of other parameters")
            elif need not in read or step in setup.keep:
                continue
            elif there is None or there.for_dependents != read[need]:
                reasons.setdefault(step, f"it was made from other output of {need}")
    return replace(setup.terms, left_out=reasons)


def _changed(made: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a parameter that had another value, with both; empty if none had.

    One that the notebook did not have then, or has no longer, is no difference.
    """
    for name, value in values.items():
        if name != PROFILE and made.get(name, value) != value:
            return f"{dotted(name)} = {made[name]!r}, not {value!r}"
    return ""
