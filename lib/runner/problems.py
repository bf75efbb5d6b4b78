"""Mistakes of the person at the keyboard, collected and told in sentences."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What is asked for cannot be done; nothing has been started.

    Args:
        problems: one sentence or more for each mistake, all of them at once.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(self.problems))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a sentence that offers the name most like ``name``, or all of them if they are few."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    if known and len(known) <= 12:
        return f" There are: {', '.join(known)}."
    return ""
