"""Learning rates, optimisers and gradient clipping (paper B, Sec. 4.1)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from lib.training.config import TrainConfig

NORMS = (nn.BatchNorm2d, nn.GroupNorm)
WARMUP_START = 1e-3
DECAY = 0.1


def learning_rate(config: TrainConfig, iteration: int) -> float:
    """Return the learning rate of one iteration, counted from 0: warm-up, then steps."""
    rate = config.learning_rate * DECAY ** sum(iteration >= step for step in config.steps)
    if iteration < config.warmup:
        rate *= WARMUP_START + (1 - WARMUP_START) * iteration / config.warmup
    return rate


def build_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser over all weights of a model, on its device, that learn.

    Normalisation layers do not decay.
    """
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    }
    learning = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learning if id(p) not in norms]},
        {"params": [p for p in learning if id(p) in norms], "weight_decay": 0.0},
    ]
    rate, decay = config.learning_rate, config.weight_decay
    fused = all(p.is_cuda for p in learning)  # one kernel for all weights instead of several
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay, fused=fused)


def clip_gradients(config: TrainConfig, parameters: Iterable[nn.Parameter]) -> None:
    """Clip gradients in place, by value (element-wise, what paper B does) and then by norm."""
    with_gradient = [p for p in parameters if p.grad is not None]
    if config.clip_value is not None:
        clip_grad_value_(with_gradient, config.clip_value)
    if config.clip_norm is not None:
        clip_grad_norm_(with_gradient, config.clip_norm)
