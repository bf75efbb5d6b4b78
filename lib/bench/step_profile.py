"""Where the time of a training step goes, and what makes the device wait.

A step is cut into parts by marks on one line of time, so that the parts add up to the step. Marks
come from hooks on modules that torchvision's Mask R-CNN and the study's models both have; nothing
of either is changed. On CUDA a mark is an event in the stream, and a part is as long as the device
was busy with it or idle because the next part had not been launched yet; on the CPU it is a clock.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.variable import Variable
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

PARTS = (
    "data",
    "transfer",
    "transform",
    "backbone",
    "rpn",
    "sampling",
    "box",
    "mask",
    "losses",
    "backward",
    "optimiser",
)
"""The parts of a step, in the order they run: waiting for data; sending it to the device; resizing
and normalising; ResNet and pyramid; RPN with its loss; matching and sampling of RoIs; box head with
its RoIAlign and loss; mask branch with its targets and loss; sums and checks of losses; backward;
clipping and the optimiser."""


class Trainer(Protocol):
    """What can be measured: :class:`lib.training.learner.Learner`, or the reference's."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What trains it."""
        ...

    def step(self, images: list[Tensor], targets: list[dict[str, Any]], iteration: int) -> object:
        """Learn from one batch."""
        ...


class Laps:
    """Marks on the device's line of time.

    Args:
        device: CUDA marks are events, which cost the CPU next to nothing and wait for nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.names: list[str] = []
        self._marks: list[Any] = []

    def mark(self, name: str) -> None:
        """Begin what is called ``name``; it lasts until the next mark."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())
        self.names.append(name)

    def seconds(self) -> list[tuple[str, float]]:
        """Return the name and the length of all but the last mark, which only ends."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            lengths = [
                a.elapsed_time(b) / 1000
                for a, b in zip(self._marks[:-1], self._marks[1:], strict=True)
            ]
        else:
            lengths = [b - a for a, b in zip(self._marks[:-1], self._marks[1:], strict=True)]
        return list(zip(self.names[:-1], lengths, strict=True))


@contextmanager
def marked(model: Any, laps: Laps) -> Iterator[None]:
    """Mark the parts of every training step that a detector takes within the block.

    Args:
        model: torchvision's ``GeneralizedRCNN``, or a model of the study.
        laps: where to.
    """
    heads = model.roi_heads
    mask = next(
        (m for name in ("mask_branch", "mask_roi_pool") if (m := getattr(heads, name, None))), None
    )
    begins = {
        "transform": model.transform,
        "backbone": model.backbone,
        "rpn": model.rpn,
        "sampling": heads,
        "box": heads.box_roi_pool,
        **({} if mask is None else {"mask": mask}),
    }

    def begin(name: str) -> Callable[..., None]:
        return lambda *_: laps.mark(name)

    def losses_are_there(module: nn.Module, inputs: Any, losses: dict[str, Tensor]) -> None:
        laps.mark("losses")
        open_ = [True]

        def backward_begins(gradient: Tensor) -> None:
            if open_:  # the first loss that backward reaches
                open_.clear()
                laps.mark("backward")
                ends: Any = Variable._execution_engine
                ends.queue_callback(begin("optimiser"))

        for loss in losses.values():
            if loss.requires_grad:
                loss.register_hook(backward_begins)

    handles = [m.register_forward_pre_hook(begin(name)) for name, m in begins.items()]
    handles.append(model.register_forward_hook(losses_are_there))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def part_seconds(
    trainer: Trainer,
    batches: Iterator[Any],
    *,
    steps: int,
    first: int,
    device: torch.device,
) -> dict[str, float]:
    """Return the mean seconds per step of each of :data:`PARTS`; together they are the step.

    Args:
        trainer: has been warmed up.
        batches: yields pictures and targets.
        steps: how many to measure.
        first: number of the first one's iteration.
        device: where the model is.
    """
    laps = Laps(device)
    with marked(trainer.model, laps):
        for iteration in range(first, first + steps):
            laps.mark("data")
            images, targets = next(batches)
            laps.mark("transfer")
            trainer.step(images, targets, iteration)
        laps.mark("end")
    sums = dict.fromkeys(PARTS, 0.0)
    for name, length in laps.seconds():
        sums[name] += length
    return {name: total / steps for name, total in sums.items()}


class _Waits(TorchDispatchMode):
    """Counts operations after which the CPU has to wait for a CUDA device to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func._schema.name)
        result = func(*args, **(kwargs or {}))
        if _waits(name, args) or _fetches(name, args, result):
            self.counts[name.removeprefix("aten::").removeprefix("torchvision::")] += 1
        return result


ALWAYS = frozenset(
    ("aten::nonzero", "aten::_local_scalar_dense", "aten::masked_select", "torchvision::nms")
)
"""Operations whose result has a size, or a value, that the CPU must know."""


def _waits(name: str, args: Sequence[Any]) -> bool:
    """Return whether an operation makes the CPU wait; a true index counts as its ``nonzero``."""
    if name in ALWAYS:
        return True
    if name not in ("aten::index", "aten::index_put_", "aten::_index_put_impl_"):
        return False
    by_mask = any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1])
    # one value written by a mask is a masked fill, which waits for nothing
    return by_mask and (name == "aten::index" or args[2].numel() > 1)


def _fetches(name: str, args: Sequence[Any], result: Any) -> bool:
    """Return whether an operation brings numbers from a CUDA device, as ``tolist`` does."""
    return name == "aten::_to_copy" and args[0].is_cuda and not result.is_cuda


def waits(call: Callable[[], object]) -> dict[str, int]:
    """Return how often a call makes the CPU wait for the device, by kind of operation.

    Counted on any device: operations whose result has a size or a value that the CPU must know
    (``nonzero``, ``item``, boolean indices, NMS). On CUDA the CPU then stops launching work until
    the device has caught up; there, copies from the device count as well (``tolist``). Copies of
    small tables to the device are not counted.
    """
    with _Waits() as mode:
        call()
    return dict(mode.counts)


def trace_events(call: Callable[[], object], activity: ProfilerActivity) -> list[dict[str, Any]]:
    """Return the events that PyTorch's profiler records of a call."""
    with profile(activities=[activity]) as profiler:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return events


def busy_seconds(events: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Return how long a CUDA device did anything at all, and how many kernels it ran.

    Args:
        events: from `trace_events`; what overlaps counts once.
    """
    work = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    total = until = 0.0
    for event in sorted(work, key=lambda e: e["ts"]):
        end = event["ts"] + event["dur"]
        total += max(end - max(event["ts"], until), 0.0)
        until = max(until, end)
    return total / 1e6, sum(e["cat"] == "kernel" for e in work)
