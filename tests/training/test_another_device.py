"""Training and inference on a device that is not the CPU's, as far as that shows without one."""

from collections import Counter

import pytest
import torch

from lib.data.coco import CocoSet
from lib.models.detector import Detector
from lib.training.config import TrainConfig
from lib.training.dataset import loader
from lib.training.distributed import World
from lib.training.inputs import boxes_and_labels, objects, pixels
from lib.training.kept_maps import kept_maps
from lib.training.learner import Learner
from lib.training.supervision import supervision_of
from lib.training.train import prepare
from tests.fixtures.elsewhere import DEVICE, Elsewhere, elsewhere
from tests.fixtures.models import FROZEN, tiny_config
from tests.fixtures.training import tiny_run

CPU = torch.device("cpu")


def test_pretended_device_refuses_the_cpu_and_counts_what_waits():
    with elsewhere() as waits:
        x = torch.arange(4.0).to(DEVICE, non_blocking=True)
        assert isinstance(x, Elsewhere) and x.device == DEVICE and not waits
        assert (x + 1).device == torch.zeros(2, device=DEVICE).device == DEVICE
        x[x > 1] = 5.0
        assert not waits, "one value is filled in"
        with pytest.raises(RuntimeError, match="are on the CPU"):
            x + torch.ones(4)
        with pytest.raises(RuntimeError, match="are on the CPU"):
            x[torch.tensor([0, 1])]
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        assert x[x > 1].tolist() == [5.0, 5.0] and float(x.sum()) == 11
        assert sorted(x.cpu().tolist()) == [0, 1, 5, 5]
        torch.tensor([1.0], device=DEVICE)
        x.requires_grad_().square().sum().backward()
        assert x.grad is not None and x.grad.device == DEVICE
    kinds = Counter(kind for kind, _ in waits.elements())
    assert kinds == {"shape": 1, "read": 1, "copy": 3}


OURS = {
    "lib/models/sampling.py:sampled_rows": 1,  # how many RoIs are drawn
    "lib/models/losses.py:box_losses": 1,  # which of them are foreground
    "lib/training/learner.py:step": 1,  # the losses, to be told
}
"""Where a step of the study waits, whatever the size of the batch."""


def learnt(
    config: TrainConfig, coco: CocoSet, device: torch.device, waits: Counter[tuple[str, str]]
) -> tuple[dict[str, float], Detector]:
    """Learn from a batch and return the losses and the model; count what the step waits for."""
    world, supervision = World(device), supervision_of(config, coco)
    model = prepare(config, coco).to(device).train()
    maps = kept_maps(model, config.maps, gib=1)
    if maps:
        maps.fill(coco.images, model.look, mirrored=config.flip)
    learner = Learner(config, model, world)
    images, targets = next(loader(config, coco, supervision, 0, world=world, maps=maps))
    waits.clear()
    return learner.step(images, targets, 0).losses, model


def found(model: Detector, coco: CocoSet, device: torch.device) -> list[dict[str, torch.Tensor]]:
    """Detect in two pictures, and segment true boxes, as predictions do."""
    model.eval()
    records = [record for record in coco.images if objects(coco, record.id)][:2]
    images = model.seen([pixels(record).to(device, non_blocking=True) for record in records])
    given = [boxes_and_labels(objects(coco, record.id), device) for record in records]
    with torch.no_grad():
        results = [{name: x.cpu() for name, x in one.items()} for one in model(images)]
        if model.roi_heads.mask_branch is not None:
            results += [{"masks": x.cpu()} for x in model.masks_on_boxes(images, given)]
    return results


@pytest.mark.parametrize("kept", [False, True], ids=["pictures", "maps"])
@pytest.mark.parametrize("method", ["faster_rcnn", "mask_rcnn", "opmask"])
def test_each_method_learns_and_finds_the_same_on_another_device(method, kept, drawn, tmp_path):
    model = tiny_config(method, **FROZEN, score_threshold=0.0, detections_per_image=5)
    config = tiny_run(tmp_path, model=model, maps=str(tmp_path / "maps") if kept else "")
    losses, trained = learnt(config, drawn, CPU, Counter())
    wanted = found(trained, drawn, CPU)
    assert wanted and all(len(one["boxes"]) for one in wanted if "boxes" in one)
    with elsewhere() as waits:
        told, other = learnt(config, drawn, DEVICE, waits)
        asked = {where: waits[kind, where] for kind, where in waits if where.startswith("lib/")}
        waits.clear()
        results = found(other, drawn, DEVICE)
    assert told == losses
    assert asked == OURS
    for one, another in zip(results, wanted, strict=True):
        assert one.keys() == another.keys()
        assert all(torch.equal(one[name], another[name]) for name in one)
