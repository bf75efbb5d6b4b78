"""How much memory a method of GrabCut takes: each in a fresh process, the peak read in stages.

The peak of a process only grows, so what a stage adds to it is what the stage needed beyond all
before: first the imports and the decoded pictures, which every method needs, then the first mask of
a small drawn picture (what is loaded or set up only when called), then the masks.
"""

import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.masks.gather import ImageBoxes
from lib.masks.grabcut.exact import GrabCutSettings, one_thread
from lib.masks.grabcut.segmenter import prepare, warm_up
from lib.masks.pseudo import seed_of
from lib.paths import ROOT
from lib.workers import WorkerLostError


def peaks(
    coco_set: CocoSet,
    instances: Iterable[Instance],
    settings: Mapping[str, GrabCutSettings],
    *,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Return the peak memory of processes that make the masks of some boxes, MiB.

    Args:
        coco_set: has the images.
        instances: ordered by image.
        settings: by name; each has a process of its own, one after the other.
        seed: base seed, as in `lib.masks.pseudo.generate`.

    Returns:
        By name, what `stages` returns.

    Raises:
        WorkerLostError: if such a process ends without an answer.
    """
    work = [
        ImageBoxes(coco_set.image(image_id).absolute(), tuple((x.id, x.box) for x in group))
        for image_id, group in groupby(instances, key=lambda instance: instance.image_id)
    ]
    found = {}
    for name, own in settings.items():
        # Neither forked nor spawned: it would begin with what this one holds, or has imported.
        command, given = [sys.executable, "-m", __name__], pickle.dumps((work, own, seed))
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=False, cwd=ROOT)
        if done.returncode != 0:
            raise WorkerLostError(
                f"The process that was to show how much memory {name!r} takes ended with "
                f"{done.returncode} (below 0: killed, most often because memory ran out)."
            )
        found[name] = pickle.loads(done.stdout)
    return found


def stages(work: list[ImageBoxes], settings: GrabCutSettings, seed: int) -> dict[str, float]:
    """Make masks in this process and return what each stage added to its peak, MiB.

    Returns:
        ``imports_and_pictures`` (every one decoded once); what each stage added: ``first_mask`` (of
        a drawn picture, which loads what is loaded when it is called) and ``masks``;
        ``beyond_pictures``, the last two; and ``peak``, all of it.
    """
    with one_thread():
        for item in work:
            read_image(item.image)
        decoded = peak_mib()
        warm_up(settings)
        warm = peak_mib()
        for item in work:
            segmenter = prepare(read_image(item.image), settings)
            for annotation_id, box in item.boxes:
                segmenter.mask(box, seed=seed_of(seed, annotation_id))
    peak = peak_mib()
    return {
        "imports_and_pictures": decoded,
        "first_mask": warm - decoded,
        "masks": peak - warm,
        "beyond_pictures": peak - decoded,
        "peak": peak,
    }


def peak_mib() -> float:
    """Return the most memory that this process has held so far, MiB.

    The system's own count of resources (`resource.getrusage`) would do, were it not that on Linux
    it begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):  # not every sandbox has it
            return float(line.split()[1]) / 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(stages(*pickle.load(sys.stdin.buffer))))
