"""One step of training: forward and backward in mixed precision, clipping, the optimiser."""

from typing import Any

import torch
from torch import Tensor

from lib.engine.config import TrainConfig
from lib.engine.schedule import build_optimizer, clip_gradients, learning_rate
from lib.models.detector import Detector
from lib.seeds import derive


def mixed_precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """Return the type of the forward pass: bfloat16 on CUDA devices that have it, else float16.

    None is single precision: on the CPU, or if the configuration says so.
    """
    if config.amp == "none" or device.type != "cuda":
        return None
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def check_losses(
    losses: dict[str, Tensor], targets: list[dict[str, Any]], iteration: int
) -> Tensor:
    """Return the sum of the losses.

    Raises:
        FloatingPointError: if it is not finite; the message names the losses and the images.
    """
    total = torch.stack(list(losses.values())).sum()
    if not bool(torch.isfinite(total)):
        values = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
        images = ", ".join(str(t["image_id"]) for t in targets)
        raise FloatingPointError(
            f"The loss is not finite at iteration {iteration + 1} ({values}; images {images}). "
            "Lower train.learning_rate or lengthen train.warmup; the last checkpoint is intact."
        )
    return total


class Learner:
    """What changes from one iteration to the next: weights, and the optimiser's state.

    Args:
        config: the run.
        model: the model, in training mode, on its device.
        device: that device.
    """

    def __init__(self, config: TrainConfig, model: Detector, device: torch.device) -> None:
        self.config = config
        self.model = model
        self.device = device
        self.precision = mixed_precision(config, device)
        self.optimizer = build_optimizer(config, model)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == torch.float16)

    def step(
        self, images: list[Tensor], targets: list[dict[str, Any]], iteration: int
    ) -> dict[str, float]:
        """Learn from one batch and return the losses, their sum ``loss`` first.

        Whatever is random derives from the run's seed and ``iteration``, counted from 0.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        torch.manual_seed(derive(self.config.seed, "iteration", iteration))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, iteration)
        mixed = self.precision is not None
        with torch.autocast(self.device.type, dtype=self.precision, enabled=mixed):
            losses = self.model(
                [image.to(self.device, non_blocking=True) for image in images],
                [_to(target, self.device) for target in targets],
            )
        total = check_losses(losses, targets, iteration)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.scaler.unscale_(self.optimizer)
        clip_gradients(self.config, self.model.parameters())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {name: float(x.detach()) for name, x in {"loss": total, **losses}.items()}

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs to continue from here."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def _to(target: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    return {
        name: value.to(device, non_blocking=True)
        for name, value in target.items()
        if isinstance(value, Tensor)
    }
