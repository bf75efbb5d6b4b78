"""Where HybridNet's detections come from: what each branch offers, and what the fusion keeps."""

import itertools
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from lib.hybridnet.fusion import FusionSettings, fuse
from lib.hybridnet.predictions import DRAWN_BY, Methods
from lib.hybridnet.small_branch import Result


def branch_table(methods: Methods, fusion: FusionSettings, *, score_from: float) -> pd.DataFrame:
    """Return where the hybrid's detections come from.

    Args:
        methods: from :func:`lib.hybridnet.predictions.methods`.
        fusion: the settings that the hybrid was fused with.
        score_from: score from which a detection counts as confident.

    Returns:
        Columns size (``small`` or ``large``, as the fusion understands it), branch, mask (drawn
        by the mask head, GrabCut or as a shape), offered (detections of that branch), kept (of
        these, in the hybrid), confident (of the kept ones).
    """
    offered = [
        {**d, "branch": branch}
        for branch in ("large", "small")
        for d in methods[f"{branch}_branch"]
    ]
    kept = methods["hybrid"]
    counts = {
        "offered": _places(offered, fusion),
        "kept": _places(kept, fusion),
        "confident": _places([d for d in kept if d["score"] >= score_from], fusion),
    }
    places = itertools.product(("small", "large"), ("large", "small"), DRAWN_BY.values())
    lines = [
        (*place, *(count[place] for count in counts.values()))
        for place in places
        if counts["offered"][place]
    ]
    return pd.DataFrame(lines, columns=["size", "branch", "mask", *counts])


def _places(detections: Sequence[Result], fusion: FusionSettings) -> Counter[tuple[str, str, str]]:
    """Count detections by size, branch and who drew the mask."""
    numbered = [{**detection, "number": n} for n, detection in enumerate(detections)]
    # Where nothing competes, the fusion keeps what is small of the small branch, and only that.
    small = {detection["number"] for detection in fuse([], numbered, fusion)}
    return Counter(
        ("small" if d["number"] in small else "large", d["branch"], DRAWN_BY[d.get("shape", "")])
        for d in numbered
    )
