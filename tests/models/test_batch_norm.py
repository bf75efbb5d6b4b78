"""Batch norm over all processes is batch norm over their rows together."""

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from lib.models.batch_norm import FixedBatchNorm, SharedBatchNorm
from lib.training.distributed import World
from tests.training.several import check_together

CHANNELS = 5


def rows() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(7, CHANNELS, 3, 2, generator=generator) * 2
        + torch.arange(CHANNELS)[:, None, None]
    )


def normalised_apart(world: World, sizes: list[int]) -> None:
    plain, shared = nn.BatchNorm2d(CHANNELS).train(), SharedBatchNorm(CHANNELS).train()
    with torch.no_grad():
        for layer in (plain, shared):
            layer.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
            layer.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    begin = sum(sizes[: world.rank])
    part = slice(begin, begin + sizes[world.rank])
    for step in range(2):  # the second with averages that are not zero
        whole, own = rows() + step, (rows() + step)[part]
        whole.requires_grad_()
        own.requires_grad_()
        factors = torch.sin(torch.arange(whole.numel())).reshape(whole.shape)
        wanted, found = plain(whole), shared(own)
        torch.testing.assert_close(found, wanted[part], rtol=1e-4, atol=1e-5)
        plain.zero_grad()
        shared.zero_grad()
        (wanted * factors).sum().backward()
        (found * factors[part]).sum().backward()
        torch.testing.assert_close(own.grad, whole.grad[part], rtol=1e-4, atol=1e-5)
        for one, other in zip(shared.parameters(), plain.parameters(), strict=True):
            gradient = world.mean(one.grad) * world.size
            torch.testing.assert_close(gradient, other.grad, rtol=1e-4, atol=1e-5)
    for one, other in zip(shared.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    shared.eval()
    torch.testing.assert_close(shared(rows()), plain.eval()(rows()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sizes", [[3, 4], [7, 0]])
def test_rows_of_all_processes_are_normalised_as_those_of_one(sizes):
    check_together(normalised_apart, sizes)


def test_it_is_batch_norm_in_one_process():
    plain, shared = nn.BatchNorm2d(CHANNELS), SharedBatchNorm(CHANNELS)
    assert plain.state_dict().keys() == shared.state_dict().keys()
    assert torch.equal(plain(rows()), shared(rows()))
    assert torch.equal(plain.running_var, shared.running_var)


def test_fixed_norm_is_torchvisions_in_the_type_of_its_input():
    generator = torch.Generator().manual_seed(1)
    theirs, ours = FrozenBatchNorm2d(CHANNELS), FixedBatchNorm(CHANNELS)
    statistics = {n: torch.rand(CHANNELS, generator=generator) + 0.5 for n in theirs.state_dict()}
    for layer in (theirs, ours):
        layer.load_state_dict(statistics)
    assert torch.equal(ours(rows()), theirs(rows()))
    half = ours(rows().bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), theirs(rows()), atol=0.1, rtol=0.02)
