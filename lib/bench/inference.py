"""Time and memory of inference, models side by side: ``python -m lib.bench.inference``.

What is measured is ``model(images)`` as a user calls it: in evaluation mode, one image at a time,
from the picture in memory to boxes, classes, scores and mask probabilities within the boxes.
Pasting masks into the image and encoding them is the same for all models and left out. Each round
every model sees every image; who comes first changes with each image and each round. Timed after a
warm-up, with the device synchronised.

Memory is the most that tensors of one inference hold at once, beyond the weights (listed apart) and
the picture: what the caching allocator hands out on CUDA, and what PyTorch's profiler records of
the CPU's allocator. It is measured apart from time.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from lib.bench.program import add_out, in_turn, with_sentences, write
from lib.data.coco import CocoSet
from lib.data.label_options import add_on_bad, open_labels
from lib.data.pictures.images import ImageRecord
from lib.metrics.bootstrap import Interval, ratio_of_sums
from lib.paths import display, resolve
from lib.seeds import derive
from lib.training.checkpoint import load_model
from lib.training.device import pick_device
from lib.training.inputs import picture

PROGRAM = "lib.bench.inference"

MIB = 2**20
WARM_UP = 5
"""Images that each model sees before the clock starts."""

MEMORY_IMAGES = 5
"""Images that memory is measured on; the largest value counts."""


def draw_images(coco: CocoSet, count: int) -> list[ImageRecord]:
    """Return ``count`` images drawn by a hash of their ids, or all if there are fewer."""
    return sorted(coco.images, key=lambda x: derive(0, "benchmark", x.id))[:count]


def now(device: torch.device) -> float:
    """Return the clock in seconds, once the device has done all that it was given."""
    # torch.utils.benchmark's timer imports what looks for a CUDA compiler, and says so on a page.
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_mib(call: Callable[[], object], device: torch.device) -> float:
    """Return the most that tensors made by a call hold at once, in MiB."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler tells of each start and stop
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [e for e in events if e.get("name") == "[memory]"]
    held = np.cumsum([e["args"]["Bytes"] for e in sorted(changes, key=lambda e: e["ts"])])
    return float(held.max(initial=0)) / MIB


def weights_mib(model: nn.Module) -> float:
    """Return the size of a model's weights and buffers in MiB."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values()) / MIB


def compare(
    models: Mapping[str, nn.Module],
    images: Mapping[int, Tensor],
    *,
    rounds: int,
    device: torch.device,
) -> tuple[list[dict[str, Any]], dict[str, dict[str, float]]]:
    """Measure models on single images, side by side.

    Args:
        models: by name, in evaluation mode, on the device; each takes a list of images and returns
            a result for each, whose ``boxes`` are counted.
        images: float ``[3, H, W]`` RGB in 0..1 by image id, on the device.
        rounds: how often each model sees each image.
        device: where they are.

    Returns:
        A row per inference (``model``, ``image_id``, ``round`` and ``seconds``), and of each model
        ``parameters``, ``weights_mib``, ``peak_mib`` and ``detections`` (their mean number per
        image, which the time depends on).

    Raises:
        ValueError: if there is nothing to measure.
    """
    if not models or not images or rounds < 1:
        raise ValueError(
            f"A benchmark needs models, images and rounds; got {len(models)}, {len(images)} and "
            f"{rounds}."
        )
    rows: list[dict[str, Any]] = []
    found: dict[str, list[int]] = {name: [] for name in models}
    with torch.inference_mode():
        for image in list(images.values())[:WARM_UP]:
            for model in models.values():
                model([image])
        for turn in range(rounds):
            for place, (image_id, image) in enumerate(images.items()):
                for name in in_turn(list(models), turn + place):
                    begin = now(device)
                    (result,) = models[name]([image])
                    seconds = now(device) - begin
                    of = {"model": name, "image_id": image_id, "round": turn}
                    rows.append({**of, "seconds": seconds})
                    found[name].append(len(result["boxes"]))
        few = list(images.values())[:MEMORY_IMAGES]
        peaks = {
            name: max(peak_mib(partial(model, [image]), device) for image in few)
            for name, model in models.items()
        }
    return rows, {
        name: {
            "parameters": sum(p.numel() for p in model.parameters()),
            "weights_mib": weights_mib(model),
            "peak_mib": peaks[name],
            "detections": statistics.mean(found[name]),
        }
        for name, model in models.items()
    }


def image_seconds(rows: Sequence[Mapping[str, Any]]) -> pd.Series:
    """Return the seconds of each model (``times[name]``) on each image.

    That is the median over the rounds, which hiccups leave alone.
    """
    frame = pd.DataFrame(rows)
    return frame.groupby(["model", "image_id"], sort=False)["seconds"].median()


def time_ratio(first: pd.Series, second: pd.Series, *, resamples: int, seed: int) -> Interval:
    """Return the time that one took over that of another, paired, with its interval.

    Args:
        first: seconds of each image, or of whatever was timed.
        second: likewise, of the same ones in any order.
        resamples: of the bootstrap over them.
        seed: of the bootstrap.
    """
    paired = second.loc[first.index].tolist()
    return ratio_of_sums(first.tolist(), paired, resamples=resamples, seed=seed)


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the times depend on besides the models."""
    on_cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_cuda else "CPU",
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def named_file(text: str) -> tuple[str, Path]:
    """Return the name and the path of ``NAME=FILE``."""
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, found {text!r}")
    return name, resolve(path)


@with_sentences
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure model files on images of a set."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {PROGRAM}", description="Time inference of models side by side."
    )
    add = parser.add_argument
    add("--model", type=named_file, action="append", required=True, metavar="NAME=FILE")
    add("--annotations", required=True, help="COCO-format labels of the set")
    add("--images", required=True, help="the folder of its images")
    add("--count", type=int, default=40, help="images, drawn by a hash of their id")
    add("--rounds", type=int, default=5, help="times that each model sees each")
    add_out(parser, PROGRAM)
    add("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    coco = open_labels(options, resolve(options.annotations), resolve(options.images))
    device = pick_device(options.device)
    models = {name: load_model(path).model.to(device) for name, path in options.model}
    images = {x.id: picture(x).to(device) for x in draw_images(coco, options.count)}
    rows, facts = compare(models, images, rounds=options.rounds, device=device)
    amount = {"images": len(images), "rounds": options.rounds}
    write(options.out, PROGRAM, {"models": facts, **machine(device), **amount, "rows": rows})
    seconds = image_seconds(rows)
    for name, fact in facts.items():
        median = 1000 * seconds[name].median()
        print(f"{name}: {median:.1f} ms per image, {fact['peak_mib']:.1f} MiB beside the weights")
    reference, *others = models
    for name in others:
        pair = seconds[name], seconds[reference]
        ratio, low, high = time_ratio(*pair, resamples=300, seed=0)
        print(f"{name} takes {ratio:.3f} [{low:.3f}, {high:.3f}] times as long as {reference}")
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
