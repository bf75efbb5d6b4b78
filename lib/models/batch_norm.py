"""Batch normalisation: over the whole batch, whatever number of processes share it, and fixed."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
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

    In one process it is ``nn.BatchNorm2d``. ``nn.SyncBatchNorm`` does not run on the CPU, and
    DistributedDataParallel refuses it there. Processes may have different numbers of rows, or
    none, as long as one of them has any.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape; in training all processes must call this."""
        if not self.training or processes() == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        # values near 0 have squares whose sum keeps its digits
        shifted = x.to(self.weight.dtype) - self.running_mean.clone()[:, None, None]
        sums = [shifted.sum((0, 2, 3)), shifted.square().sum((0, 2, 3))]
        size = shifted.new_full((1,), x.numel() // x.shape[1])
        total = all_reduce(torch.cat([size, *sums]).double())
        count, first, second = total.split([1, x.shape[1], x.shape[1]])
        mean = first / count
        variance = second / count - mean.square()
        with torch.no_grad():
            self.running_mean += self.momentum * mean
            unbiased = variance * count / (count - 1)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps).to(self.weight.dtype)
        centred = shifted - mean.to(shifted.dtype)[:, None, None]
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)
