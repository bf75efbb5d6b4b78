"""What the runner says in the terminal of steps, failures and profiles."""

from collections.abc import Mapping, Sequence

from lib.runner.jobs import Outcome
from lib.runner.plan import Decision
from lib.runner.setup import Setup
from lib.runner.steps import EVERYTHING, Step

SHOWN_REASONS = 3


def duration(seconds: float) -> str:
    """Return a time for people: ``8 s``, ``2 min 30 s``, ``1 h 5 min``, ``12.5 days``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole / 86400:.1f} days"


def heading(setup: Setup) -> list[str]:
    """Return what a plan begins with: the profile, and of a run of its own what and where it is."""
    lines = [f"Profile {setup.profile.name}: {setup.profile.description}"]
    study, terms = setup.study, setup.terms
    if terms.is_own:
        cache, results = (study.relative(f(terms.name)) for f in (study.cache, study.results))
        lines += [
            terms.banner,
            f"It is a run of its own, made from scratch in {cache}/ and {results}/; those of "
            "profiles are not touched. To be rid of it, remove both folders.",
        ]
    return lines


def why(decision: Decision) -> str:
    """Return in words what is to be done with a step, and for which reasons."""
    shown = list(decision.reasons[:SHOWN_REASONS])
    if len(decision.reasons) > SHOWN_REASONS:
        shown.append(f"and {len(decision.reasons) - SHOWN_REASONS} more")
    reasons = "; ".join(shown)
    match decision.action:
        case "run":
            return f"runs: {reasons}"
        case "maybe":
            return f"runs if the output of {', '.join(shown)} changes"
        case "keep":
            return f"kept although {reasons}" if reasons else "up to date"
        case _:
            return "up to date"


def print_failures(
    setup: Setup, failures: Mapping[str, Outcome], blocked: Mapping[str, str]
) -> None:
    """Print for each failed step what failed, where to look and how to go on."""
    study, name = setup.study, setup.name
    for step, outcome in failures.items():
        print(f"\nStep {step} failed after {duration(outcome.seconds)}.")
        if outcome.cell is not None:
            print(f"  Cell In [{outcome.cell}], which begins: {outcome.first_line}")
        print(f"  {outcome.error}")
        for line in outcome.tail:
            print(f"    {line}")
        partial = study.step_folder(name, step) / "failed.ipynb"
        if partial.exists():
            print(f"  The notebook up to there: {study.relative(partial)}")
    for step, cause in blocked.items():
        print(f"\nStep {step} did not run: it needs {cause}.")
    first = next(iter(failures), "STEP")
    print(
        "\nTo go on: mend the cause and give the same command again; finished steps are not"
        f"\nrepeated. If the cause was not in the code, a step continues where it stopped;"
        f"\n--force {first} starts it afresh, --keep {first} continues it although the code"
        "\nchanged."
    )


def print_list(
    setup: Setup, every_step: Sequence[Step], profiles: Mapping[str, str], own: Mapping[str, str]
) -> None:
    """Print all steps with what they need, all profiles, and the runs that are none of these."""
    print(f"Steps of profile {setup.profile.name}:\n")
    included = {step.id for step in setup.steps}
    width = max(len(step.id) for step in every_step)
    for step in every_step:
        text = "needs no other step"
        if step.id not in included:
            text = "left out"
        elif step.needs:
            text = "after " + ", ".join(step.needs).replace(EVERYTHING, "every other step")
        print(f"  {step.id:<{width}}  {text}")
    print("\nProfiles:\n")
    for name, description in profiles.items():
        print(f"  {name:<12}  {description}")
    if own:
        print("\nRuns of their own, in cache/ and results/:\n")
    for name, banner in own.items():
        print(f"  {name}: {banner}")
