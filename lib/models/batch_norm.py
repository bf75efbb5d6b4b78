"""Batch normalisation: over the whole batch, whatever number of processes share it, and fixed."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules._functions import SyncBatchNorm
from torchvision.ops import FrozenBatchNorm2d

from lib.models.processes import processes


class FixedBatchNorm(FrozenBatchNorm2d):
    """torchvision's fixed batch norm, whose result has the type of what it normalises.

    Its own makes half precision single, and all that follows until the next convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape and type."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        bias = self.bias - self.running_mean * scale
        return x * scale.to(x.dtype)[:, None, None] + bias.to(x.dtype)[:, None, None]


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of all processes together.

    In one process it is ``nn.BatchNorm2d``. In several, on CUDA, it is the function behind
    ``nn.SyncBatchNorm``; that class does not run on the CPU, and DistributedDataParallel refuses it
    there, so it could not serve both. Processes may have different numbers of rows, or none, as
    long as one of them has any.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape; in training all processes must call this."""
        if not self.training or processes() == 1:
            return super().forward(x)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return self._on_cuda(x) if x.is_cuda else self._on_cpu(x)

    def _on_cuda(self, x: Tensor) -> Tensor:
        empty = x.numel() == 0
        y = SyncBatchNorm.apply(
            x.float() if empty else x,  # half precision would send statistics of another type
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.eps,
            self.momentum,
            dist.group.WORLD,
            processes(),
        )
        # without a row the function has no gradient for the weights, not even one of zero
        return y + 0 * (self.weight.sum() + self.bias.sum()) if empty else y

    def _on_cpu(self, x: Tensor) -> Tensor:
        """Normalise with one exchange of sums, and one of their gradients."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None
        # values near 0 have squares whose sum keeps its digits
        shifted = x - self.running_mean.clone()[:, None, None]
        sums = [shifted.sum((0, 2, 3)), shifted.square().sum((0, 2, 3))]
        size = x.new_full((1,), x.numel() // x.shape[1])
        total = SumOverProcesses.apply(torch.cat([size, *sums]).double())
        count, first, second = total.split([1, x.shape[1], x.shape[1]])
        mean = first / count
        variance = second / count - mean.square()
        with torch.no_grad():
            self.running_mean += self.momentum * mean
            unbiased = variance * count / (count - 1)
            self.running_var.lerp_(unbiased.to(x.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps).to(x.dtype)
        return (shifted - mean.to(x.dtype)[:, None, None]) * scale[:, None, None] + (
            self.bias[:, None, None]
        )


class SumOverProcesses(Function):
    """The sum of a tensor over all processes; gradients are those of all processes' losses."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return the sum, in every process."""
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the sum of the gradients that reached the sum in each process."""
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total
