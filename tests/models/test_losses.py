"""Losses over the whole batch: torchvision's in one process, and shared rightly among several."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork

from lib.models.losses import box_losses, proposal_losses
from lib.models.mask_branch import partial_mask_loss
from lib.models.processes import whole_counts
from lib.models.rpn import IGNORED
from lib.models.sampling import sample_balanced
from lib.training.distributed import World
from tests.fixtures.models import images_and_targets, mask_fields, tiny_model
from tests.training.several import check_together


def anchors(rows: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, deltas, labels and wanted deltas, which are infinite where there is no object."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (rows,), generator=generator).float()
    wanted = torch.randn(rows, 4, generator=generator)
    wanted[labels != 1] = -torch.inf
    logits, deltas = torch.randn(rows, 5, generator=generator).split([1, 4], 1)
    return logits.flatten(), deltas, labels, wanted


def test_proposal_losses_are_torchvisions_for_the_same_anchors(monkeypatch):
    logits, deltas, labels, wanted = anchors(80)
    deltas.requires_grad_()
    rpn = tiny_model("faster_rcnn").rpn
    sampler = rpn.fg_bg_sampler
    count, fraction = sampler.batch_size_per_image, sampler.positive_fraction
    samples = [
        sample_balanced(of_image, count=count, positive_fraction=fraction, seed=seed)
        for of_image, seed in ((labels[:50], 1), (labels[50:], 2))
    ]
    chosen = [rows[drawn] for rows, drawn in samples]
    masks = [
        [
            torch.zeros(n).index_fill(0, rows[of[rows] == kind], 1)
            for rows, of, n in zip(chosen, (labels[:50], labels[50:]), (50, 30), strict=True)
        ]
        for kind in (1, 0)
    ]
    monkeypatch.setattr(rpn, "fg_bg_sampler", lambda _: masks)
    theirs = RegionProposalNetwork.compute_loss(
        rpn, logits[:, None], deltas, [labels[:50], labels[50:]], [wanted[:50], wanted[50:]]
    )
    rows = torch.cat([samples[0][0], samples[1][0] + 50])
    drawn = torch.cat([d for _, d in samples])
    assert not bool(drawn.all())
    ours = proposal_losses(logits[rows], deltas[rows], labels[rows], wanted[rows], drawn)
    torch.testing.assert_close(ours, theirs)
    sum(ours).backward()
    assert bool(torch.isfinite(deltas.grad).all())


def test_box_losses_are_torchvisions():
    generator = torch.Generator().manual_seed(0)
    labels = list(torch.randint(0, 4, (20,), generator=generator).split([12, 8]))
    wanted = list(torch.randn(20, 4, generator=generator).split([12, 8]))
    logits, deltas = torch.randn(20, 20, generator=generator).split([4, 16], 1)
    ours = box_losses(logits, deltas, labels, wanted, count=20)
    torch.testing.assert_close(ours, fastrcnn_loss(logits, deltas, labels, wanted))


def test_losses_of_nothing_are_zero_and_have_a_gradient():
    logits = torch.zeros(0, 4, requires_grad=True)
    deltas = torch.zeros(0, 16, requires_grad=True)
    none = [torch.zeros(0, dtype=torch.int64)]
    losses = box_losses(logits, deltas, none, [torch.zeros(0, 4)], count=0)
    assert [float(loss.detach()) for loss in losses] == [0, 0]
    sum(losses).backward()
    assert logits.grad is not None and deltas.grad is not None


ROIS = {"logits": (9, 4), "deltas": (9, 16), "masks": (9, 6, 6)}
SPLITS = [4, 0, 5]
"""Rows of three processes: one has none."""


def roi_inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = {name: torch.randn(shape, generator=generator) for name, shape in ROIS.items()}
    values["labels"] = torch.tensor([0, 1, 2, 0, 3, 3, 1, 0, 2])
    values["wanted"] = torch.randn(9, 4, generator=generator)
    values["boxes"] = torch.rand(9, 2, generator=generator).repeat(1, 2) * 4
    values["boxes"][:, 2:] += 5
    return values


TARGET = mask_fields(
    (torch.arange(144).reshape(1, 12, 12) % 5 < 2).repeat(9, 1, 1),
    [True, True, False, False, False, True, False, True, True],
)


def losses_of(rows: slice, values: dict[str, Tensor], count: int) -> list[Tensor]:
    of = {name: value[rows] for name, value in values.items()}
    box = box_losses(of["logits"], of["deltas"], [of["labels"]], [of["wanted"]], count=count)
    instances = torch.arange(9)[rows]
    drawn = of["labels"] != 3
    objectness, regression = of["logits"][:, 0], of["deltas"][:, :4]
    found = proposal_losses(
        objectness, regression, (of["labels"] == 2).float(), of["wanted"], drawn
    )
    masks = partial_mask_loss(of["masks"], [of["boxes"]], [instances], [TARGET], [(12, 12)])
    return [*box, *found, masks]


def losses_and_gradients(rows: slice, count: int) -> list[Tensor]:
    values = roi_inputs()
    for name in ROIS:
        values[name].requires_grad_()
    losses = torch.stack(losses_of(rows, values, count))
    losses.sum().backward()
    return [losses.detach(), *(values[name].grad for name in ROIS)]


def shared(world: World, path: Path) -> None:
    begin = sum(SPLITS[: world.rank])
    (count,) = whole_counts([SPLITS[world.rank]], world.device)
    assert count == sum(SPLITS)
    parts = losses_and_gradients(slice(begin, begin + SPLITS[world.rank]), count)
    for part, wanted in zip(parts, torch.load(path), strict=True):
        torch.testing.assert_close(world.mean(part), wanted)


def test_mean_over_processes_of_their_losses_and_gradients_is_that_of_one_process(tmp_path):
    torch.save(losses_and_gradients(slice(None), sum(SPLITS)), tmp_path / "wanted.pt")
    check_together(shared, tmp_path / "wanted.pt", processes=len(SPLITS))


class Heads(nn.Module):
    """A model's part after its proposals."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.model = tiny_model(method, norm="syncbn")

    def forward(self, images: list[Tensor], targets: list[dict], proposals: list[Tensor]) -> dict:
        features = self.model.backbone(torch.stack(images))
        return self.model.roi_heads(features, proposals, [(64, 80)] * len(images), targets)[1]


def heads_inputs() -> tuple[list[Tensor], list[dict[str, Tensor]], list[Tensor]]:
    """The first image has objects; all that the second has to propose is to be ignored."""
    images, targets = images_and_targets(2)
    for seed, target in enumerate(targets):
        target["seed"] = seed
    targets[1]["labels"] = torch.full((3,), IGNORED)
    corner = torch.rand(20, 2, generator=torch.Generator().manual_seed(1)) * 40
    return images, targets, [torch.cat([corner, corner + 15], 1), targets[1]["boxes"]]


def gradients(heads: nn.Module, *inputs: list) -> dict[str, Tensor]:
    losses = heads.train()(*inputs)
    torch.stack(list(losses.values())).sum().backward()
    return {
        name.removeprefix("module."): p.grad
        for name, p in heads.named_parameters()
        if "rpn" not in name
    }


def heads_apart(world: World, method: str, path: Path) -> None:
    heads = Heads(method)
    heads.model.rpn.requires_grad_(False)
    share = [[part[world.rank]] for part in heads_inputs()]
    if world.rank == 1:
        assert not len(heads.model.roi_heads.sample_rois(share[2], share[1]).boxes[0])
    found = gradients(DistributedDataParallel(heads), *share)
    for name, wanted in torch.load(path).items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("method", ["opmask"])
def test_process_without_any_roi_takes_part_with_a_gradient_of_zero(tmp_path, method):
    torch.save(gradients(Heads(method), *heads_inputs()), tmp_path / "gradients.pt")
    check_together(heads_apart, method, tmp_path / "gradients.pt")
