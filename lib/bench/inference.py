"""Time and memory of inference, models side by side: ``python -m lib.bench.inference``.

What is measured is ``model(images)`` as a user calls it: in evaluation mode, one image at a time,
from the picture in memory to boxes, classes, scores and mask probabilities within the boxes.
Pasting masks into the image and encoding them is the same for all models and left out. Each round
every model sees every image; who comes first changes with each image and each round, so that a
machine that slows down slows all models. Timed after a warm-up, with the device synchronised.

Memory is the most that tensors of one inference hold at once, beyond the weights (listed apart) and
the picture: what the caching allocator hands out on CUDA, and what PyTorch's profiler records of
the CPU's allocator. It is measured apart from time.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from lib.data.coco import CocoSet
from lib.data.label_options import add_on_bad, open_labels
from lib.data.pictures.images import ImageRecord
from lib.files import explain, write_json
from lib.metrics.bootstrap import Interval, ratio_of_sums
from lib.outputs import file_ending_in, has_fields
from lib.paths import display, resolve
from lib.seeds import derive
from lib.training.checkpoint import load_model
from lib.training.device import pick_device
from lib.training.inputs import picture

MIB = 2**20
WARM_UP = 5
"""Images that each model sees before the clock starts."""

MEMORY_IMAGES = 5
"""Images that memory is measured on; the largest value counts."""


class Row(NamedTuple):
    """One inference: which model, on which image, in which round, and how long it took."""

    model: str
    image_id: int
    round: int
    seconds: float


def draw_images(coco: CocoSet, count: int) -> list[ImageRecord]:
    """Return ``count`` images drawn by a hash of their ids, or all if there are fewer."""
    return sorted(coco.images, key=lambda x: derive(0, "benchmark", x.id))[:count]


def detect(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Return what a model finds on one image: the call that is measured."""
    (found,) = model([image])
    return found


def timed(model: nn.Module, image: Tensor, device: torch.device) -> tuple[float, dict[str, Tensor]]:
    """Return how long an inference takes, with all that it leaves a CUDA device to do; and it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    result = detect(model, image)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, result


def peak_mib(call: Callable[[], object], device: torch.device) -> float:
    """Return the most that tensors made by a call hold at once, in MiB."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = [e for e in events if e.get("name") == "[memory]"]
    held = np.cumsum([e["args"]["Bytes"] for e in sorted(changes, key=lambda e: e["ts"])])
    return float(held.max(initial=0)) / MIB


def compare(
    models: Mapping[str, nn.Module],
    images: Mapping[int, Tensor],
    *,
    rounds: int,
    device: torch.device,
) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Measure models on single images, side by side.

    Args:
        models: by name, in evaluation mode, on the device; each takes a list of images and returns
            a result for each, whose ``boxes`` are counted.
        images: float ``[3, H, W]`` RGB in 0..1 by image id, on the device.
        rounds: how often each model sees each image.
        device: where they are.

    Returns:
        A row per inference, and of each model ``parameters``, ``weights_mib``, ``peak_mib`` and
        ``detections`` (their mean number per image, which the time depends on).

    Raises:
        ValueError: if there is nothing to measure.
    """
    if not models or not images or rounds < 1:
        raise ValueError(
            f"A benchmark needs models, images and rounds; got {len(models)}, {len(images)} and "
            f"{rounds}."
        )
    rows, names = list[Row](), list(models)
    found: dict[str, list[int]] = {name: [] for name in names}
    peaks: dict[str, float] = {}
    with torch.inference_mode():
        for image in list(images.values())[:WARM_UP]:
            for model in models.values():
                detect(model, image)
        for turn in range(rounds):
            for place, (image_id, image) in enumerate(images.items()):
                first = (turn + place) % len(names)
                for name in [*names[first:], *names[:first]]:
                    seconds, result = timed(models[name], image, device)
                    rows.append(Row(name, image_id, turn, seconds))
                    found[name].append(len(result["boxes"]))
        for name, model in models.items():
            few = list(images.values())[:MEMORY_IMAGES]
            peaks[name] = max(peak_mib(partial(detect, model, image), device) for image in few)
    return rows, {
        name: {
            "parameters": sum(p.numel() for p in model.parameters()),
            "weights_mib": weights_mib(model),
            "peak_mib": peaks[name],
            "detections": statistics.mean(found[name]),
        }
        for name, model in models.items()
    }


def weights_mib(model: nn.Module) -> float:
    """Return the size of a model's weights and buffers in MiB."""
    return sum(t.numel() * t.element_size() for t in model.state_dict().values()) / MIB


def image_seconds(rows: Sequence[Row], model: str) -> dict[int, float]:
    """Return a model's seconds per image: the median over the rounds, which hiccups leave alone.

    Raises:
        ValueError: if there are no rows of the model.
    """
    times: dict[int, list[float]] = {}
    for row in rows:
        if row.model == model:
            times.setdefault(row.image_id, []).append(row.seconds)
    if not times:
        names = ", ".join(sorted({row.model for row in rows}))
        raise ValueError(f"There are no times of {model!r}; the models are {names}.")
    return {image: statistics.median(values) for image, values in times.items()}


def time_ratio(
    rows: Sequence[Row], first: str, second: str, *, resamples: int = 300, seed: int = 0
) -> Interval:
    """Return the time of ``first`` over that of ``second``, on the same images.

    The ratio of the sums over the images of :func:`image_seconds`, with its interval over images.

    Raises:
        ValueError: if there are no rows of a model, or the two saw other images.
    """
    times = [image_seconds(rows, name) for name in (first, second)]
    if times[0].keys() != times[1].keys():
        raise ValueError(f"{first!r} and {second!r} were not timed on the same images.")
    above, below = ([part[image] for image in times[0]] for part in times)
    return ratio_of_sums(above, below, resamples=resamples, seed=seed)


def read_rows(content: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a benchmark's JSON file."""
    return [Row(**row) for row in content["rows"]]


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the times depend on besides the models."""
    on_cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_cuda else "CPU",
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def benchmark(
    files: Mapping[str, Path], coco: CocoSet, *, count: int, rounds: int, device: torch.device
) -> dict[str, Any]:
    """Measure model files on images of a set and return what the JSON file holds.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or unfit, or nothing is to be measured.
    """
    models = {name: load_model(path).model.to(device) for name, path in files.items()}
    images = {x.id: picture(x).to(device) for x in draw_images(coco, count)}
    rows, facts = compare(models, images, rounds=rounds, device=device)
    return {
        "models": facts,
        **machine(device),
        "images": len(images),
        "rounds": rounds,
        "rows": [row._asdict() for row in rows],
    }


def named_file(text: str) -> tuple[str, Path]:
    """Return the name and the path of ``NAME=FILE``."""
    name, found, path = text.partition("=")
    if not (name and found and path):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, found {text!r}")
    return name, resolve(path)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; problems that a user can mend are sentences and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.bench.inference", description="Time inference of models side by side."
    )
    parser.add_argument(
        "--model", type=named_file, action="append", required=True, metavar="NAME=FILE"
    )
    parser.add_argument("--annotations", required=True, help="COCO-format labels of the set")
    parser.add_argument("--images", required=True, help="the folder of its images")
    parser.add_argument("--count", type=int, default=40, help="images, drawn by a hash of their id")
    parser.add_argument("--rounds", type=int, default=5, help="times that each model sees each")
    parser.add_argument(
        "--out",
        type=file_ending_in(".json", has_fields("models", "rows", "rounds"), place=resolve),
        required=True,
        help="the JSON to write",
    )
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    add_on_bad(parser)
    options = parser.parse_args(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler tells of each start and stop
    try:
        content = benchmark(
            dict(options.model),
            open_labels(options, resolve(options.annotations), resolve(options.images)),
            count=options.count,
            rounds=options.rounds,
            device=pick_device(options.device),
        )
        write_json(options.out, content)
    except (ValueError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 2
    rows, (reference, *others) = read_rows(content), list(content["models"])
    for name, fact in content["models"].items():
        median = 1000 * statistics.median(image_seconds(rows, name).values())
        print(f"{name}: {median:.1f} ms per image, {fact['peak_mib']:.1f} MiB beside the weights")
    for name in others:
        ratio, low, high = time_ratio(rows, name, reference)
        print(f"{name} takes {ratio:.3f} [{low:.3f}, {high:.3f}] times as long as {reference}")
    print(f"wrote {display(options.out)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
