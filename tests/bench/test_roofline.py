"""The work of a step, and what a device can do."""

import pytest
import torch
from torch import nn

from lib.bench.roofline import WEIGHT_PASSES, Work, backbone_flops, device_speed, step_work
from lib.models.config import ModelConfig


def test_work_of_two_layers_is_counted_by_hand():
    first, second = nn.Linear(8, 4, bias=False), nn.Linear(4, 2, bias=False)
    first.weight.requires_grad_(False)
    model, x = nn.Sequential(first, second), torch.randn(16, 8)
    work = step_work(lambda: model(x).sum().backward(), model)
    forward = 2 * 16 * 8 * 4 + 2 * 16 * 4 * 2
    gradient = 2 * 16 * 4 * 2  # of the second weight alone: nothing before it learns
    assert work.flops == forward + gradient
    assert work.kept_bytes == 4 * 16 * 4  # the input of the layer that learns
    assert work.weight_bytes == 4 * (WEIGHT_PASSES * 8 + 32)
    assert Work(0, 10, 5).bytes == 25


def test_an_activation_that_two_layers_keep_counts_once():
    model, x = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 4)]), torch.randn(16, 8)
    work = step_work(lambda: (model[0](x) + model[1](x)).sum().backward(), model)
    assert work.kept_bytes == 4 * 16 * 8


def test_a_deeper_backbone_has_more_to_do_by_its_third_stage():
    flops = {
        name: backbone_flops(
            ModelConfig(method="faster_rcnn", backbone=name, weights="imagenet"),
            height=64,
            width=96,
        )
        for name in ("resnet50", "resnet101")
    }
    # 17 more blocks of 1x1, 3x3 and 1x1 at stride 16: 4 x 6 pixels
    block = 2 * 4 * 6 * (1024 * 256 + 9 * 256 * 256 + 256 * 1024)
    assert flops["resnet101"] - flops["resnet50"] == pytest.approx(17 * block)


def test_a_device_has_speeds():
    speed = device_speed(torch.device("cpu"), size=64)
    assert list(speed["flops_per_second"]) == ["float32"]
    assert speed["flops_per_second"]["float32"] > 1e6 and speed["bytes_per_second"] > 1e6
