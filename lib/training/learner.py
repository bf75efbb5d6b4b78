"""One step of training: forward and backward in mixed precision, clipping, the optimiser."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.models.detector import Detector
from lib.models.trunk import Seen
from lib.training.config import TrainConfig
from lib.training.distributed import World
from lib.training.schedule import build_optimizer, clip_gradients, learning_rate


def mixed_precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """Return the type of the forward pass: bfloat16 on CUDA devices that have it.

    None is single precision: elsewhere, or if the configuration says so.
    """
    if config.amp == "none" or device.type != "cuda":
        return None
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else None


class Outcome(NamedTuple):
    """What a step tells.

    Attributes:
        losses: those of the whole batch by name, their sum ``loss`` first.
        stop: whether any process was asked to stop.
    """

    losses: dict[str, float]
    stop: bool


class Learner:
    """What changes from one iteration to the next: weights, and the optimiser's state.

    Args:
        config: the run.
        model: the model, in training mode, on its device; the main process's weights count.
        world: the processes.
    """

    def __init__(self, config: TrainConfig, model: Detector, world: World) -> None:
        self.config = config
        self.model = model
        self.world = world
        self.device = world.device
        self.precision = mixed_precision(config, world.device)
        self.optimizer = build_optimizer(config, model)
        self.parallel = model if world.size == 1 else _parallel(model, world)

    def step(
        self,
        images: Sequence[Tensor | Seen],
        targets: list[dict[str, Any]],
        iteration: int,
        *,
        stop: bool = False,
    ) -> Outcome:
        """Learn from one batch, of which this process has a share.

        Args:
            images: of the share, ``[3, H, W]`` each or as a frozen trunk sees them, on the device.
            targets: of the share, likewise; what is random derives from their seeds alone.
            iteration: counted from 0.
            stop: whether this process was asked to stop.

        Raises:
            FloatingPointError: if the loss is not finite; nothing is learnt from the batch then.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, iteration)
        mixed = self.precision is not None
        with torch.autocast(self.device.type, dtype=self.precision, enabled=mixed):
            losses = self.parallel(images, targets)
        total = torch.stack(list(losses.values())).sum()
        own = torch.stack([total, *losses.values()]).detach()
        told = self.world.mean(torch.cat([own, own.new_full((1,), float(stop))]))
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        *values, stops = told.tolist()
        if not all(map(math.isfinite, values)):
            here = zip(losses, own.tolist()[1:], strict=True)
            said = ", ".join(f"{name} {value:g}" for name, value in here)
            seen = ", ".join(str(target["image_id"]) for target in targets)
            raise FloatingPointError(
                f"The loss is not finite at iteration {iteration + 1}. Process {self.world.rank} "
                f"has {said}; images {seen}. Lower train.learning_rate or lengthen train.warmup."
            )
        clip_gradients(self.config, self.model.parameters())
        self.optimizer.step()
        return Outcome(dict(zip(["loss", *losses], values, strict=True)), stops > 0)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs to continue from here, on any number of devices."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, which may be of another kind of device."""
        self.model.load_state_dict(state["model"])
        groups = [
            {**saved, "fused": own["fused"]}
            for saved, own in zip(
                state["optimizer"]["param_groups"], self.optimizer.param_groups, strict=True
            )
        ]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": groups})


def _parallel(model: Detector, world: World) -> nn.Module:
    """Return the model with the main process's weights, and gradients averaged over all.

    Every weight takes part in every step, so none needs to be looked for.
    """
    return DistributedDataParallel(
        model,
        device_ids=[world.device] if world.device.type == "cuda" else None,
        gradient_as_bucket_view=True,
    )
