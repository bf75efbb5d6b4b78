"""The least time that a step can take on a device: its work against what the device can do.

The roofline model (Williams, Waterman, Patterson, 2009): a step has so many floating point
operations and must move so many bytes; a device does so many of either in a second. Both speeds are
measured here, on the device at hand, as the best of a few products of large matrices, convolutions
and copies; no data sheet is consulted. What a step must move is counted from below: every
activation that is kept for the backward pass is written once and read once, and weights, gradients
and the optimiser's state pass as often as SGD with momentum needs. What is neither kept nor weight
(normalisation, the RPN's boxes, RoIAlign) comes on top in truth, so the bound is not tight.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from lib.models.config import ModelConfig
from lib.models.detector import build_backbone

REPEATS = 5
"""The best of so many is the device's speed."""

WEIGHT_PASSES = 8
"""How often the bytes of a weight that learns are moved: it is read forward and backward, its
gradient is written and read, and the optimiser reads and writes the weight and its momentum."""


class Work(NamedTuple):
    """What a step must do: floating point operations, and bytes to move."""

    flops: float
    kept_bytes: float
    weight_bytes: float

    @property
    def bytes(self) -> float:
        """All bytes to move."""
        return 2 * self.kept_bytes + self.weight_bytes


def step_work(step: Callable[[], object], model: nn.Module) -> Work:
    """Return the work of a training step, which is taken.

    Counted are convolutions and matrix products, forward and backward, by
    ``torch.utils.flop_counter``: a multiplication with an addition counts as two.

    Args:
        step: one training step, its backward pass included.
        model: whose weights it trains.
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    with (
        saved_tensors_hooks(keep, lambda tensor: tensor),
        FlopCounterMode(display=False) as counter,
    ):
        step()
    learning = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    fixed = sum(p.numel() * p.element_size() for p in model.parameters()) - learning
    return Work(
        flops=float(counter.get_total_flops()),
        kept_bytes=float(sum(kept.values())),
        weight_bytes=float(WEIGHT_PASSES * learning + fixed),
    )


def backbone_flops(config: ModelConfig, *, height: int, width: int) -> float:
    """Return the operations of a backbone's forward pass on one picture; nothing is computed."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_backbone(config)(torch.empty(1, 3, height, width))
    return float(counter.get_total_flops())


def device_speed(device: torch.device, *, size: int | None = None) -> dict[str, Any]:
    """Measure what a device can do.

    Args:
        device: the device; nothing else should run on it.
        size: side of the matrices; None: as suits the device.

    Returns:
        ``flops_per_second`` by precision (``float32``, and on CUDA ``float16`` and ``bfloat16``),
        the better of matrix product and convolution, as PyTorch is set (in single precision
        convolutions may use TF32), and ``bytes_per_second`` of a copy, read and written.
    """
    cuda = device.type == "cuda"
    side = size or (8192 if cuda else 1024)
    kinds = [torch.float32, *((torch.float16, torch.bfloat16) if cuda else ())]
    speeds = {}
    with torch.inference_mode():
        for kind in kinds:
            a = torch.randn(side, side, device=device, dtype=kind)
            product = 2 * side**3 / _best(partial(torch.matmul, a, a), device)
            channels, edge, count = (256, 200, 8) if cuda else (min(256, side), min(64, side), 1)
            x = torch.randn(count, channels, edge, edge, device=device, dtype=kind)
            w = torch.randn(channels, channels, 3, 3, device=device, dtype=kind)
            done = 2 * 9 * count * channels**2 * edge**2
            convolution = done / _best(partial(conv2d, x, w, padding=1), device)
            speeds[str(kind).removeprefix("torch.")] = max(product, convolution)
        block = torch.empty(side**2 * (16 if cuda else 256), dtype=torch.uint8, device=device)
        target = torch.empty_like(block)
        copied = 2 * block.numel() / _best(lambda: target.copy_(block), device)
    return {"flops_per_second": speeds, "bytes_per_second": copied}


def _best(call: Callable[[], object], device: torch.device) -> float:
    """Return the shortest of a few calls, in seconds, after one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
