"""Counts over all processes that train one model together.

The batch is the whole one, of which each process has a share. So that several processes learn what
one would, a loss is divided by the samples of the whole batch and not by those of the share. In one
process nothing here communicates.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


def processes() -> int:
    """Return how many processes train together: 1 unless a process group was joined."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def whole_count(count: Tensor) -> Tensor:
    """Return the sum of a count over all processes, all of which must call this.

    Nothing waits for the result: it stays on the device.
    """
    if processes() == 1:
        return count
    total = count.clone()
    dist.all_reduce(total)
    return total


def whole_counts(counts: Sequence[int], device: torch.device) -> list[int]:
    """Return the sums of counts over all processes as numbers, to decide alike in all of them."""
    if processes() == 1:
        return list(counts)
    totals = torch.tensor(counts, device=device)
    dist.all_reduce(totals)
    return totals.tolist()


def part_of_mean(total: Tensor, count: Tensor | int) -> Tensor:
    """Return this process's part of a mean over the whole batch; 0 where nothing counts.

    DistributedDataParallel averages gradients over the processes. So the part is as many times too
    large as there are processes, and the average of all parts is the mean.

    Args:
        total: the sum over this process's share.
        count: over the whole batch, from :func:`whole_count` or :func:`whole_counts`.
    """
    counted = count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1)
    return total * processes() / counted
