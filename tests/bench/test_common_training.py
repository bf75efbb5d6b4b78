"""The study's Mask R-CNN and torchvision's, trained and judged alike."""

import pytest
import torch

from lib.bench import common_training
from lib.bench.common_training import judged, main, reference_detections
from lib.bench.torchvision_reference import build_reference
from lib.data.coco import CocoSet
from lib.files import read_json
from lib.masks.rle import decode
from lib.models.build import build_model
from lib.training.config import TrainConfig
from tests.bench.test_torchvision_reference import tiny_reference
from tests.fixtures.training import tiny_run

CPU = torch.device("cpu")


class Knowing:
    """A model that finds every object as it is, and a class that the set does not have."""

    def __init__(self, coco: CocoSet) -> None:
        self.coco, self.images = coco, iter(coco.images)

    def __call__(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        record = next(self.images)
        known = [i for i in self.coco.instances(record.id) if not i.iscrowd]
        masks = [
            torch.from_numpy(decode(i.segmentation or [], record.height, record.width)).float()
            for i in known
        ]
        count = len(known) + 1
        return [
            {
                "boxes": torch.tensor([*(i.box for i in known), (0.0, 0.0, 9.0, 9.0)]),
                "labels": torch.tensor([*(i.label for i in known), 90]),
                "scores": torch.linspace(0.9, 0.5, count),
                "masks": torch.stack([*masks, torch.ones_like(masks[0])])[:, None],
            }
        ]


def masked(coco: CocoSet) -> CocoSet:
    """Return the images in which every object has a mask."""
    whole = [x.id for x in coco.images if all(i.has_mask for i in coco.instances(x.id))]
    return coco.subset([i for i in whole if list(coco.instances(i))])


def test_what_the_reference_finds_is_judged_by_its_boxes_masks_and_classes(drawn):
    coco = masked(drawn)
    rows = reference_detections(Knowing(coco), coco, CPU)
    assert len(rows) == sum(not i.iscrowd for i in coco.all_instances())
    found = judged(coco, {"ours": [], "torchvision": rows}, seed=3)
    assert [(r["kind"], r["metric"]) for r in found] == [
        ("bbox", "AP"), ("bbox", "AP50"), ("segm", "AP"), ("segm", "AP50")
    ]  # fmt: skip
    assert all(r["torchvision"] == pytest.approx(1) and r["ours"] == 0 for r in found)
    assert all(r["difference"] == pytest.approx(-1) and r["seed"] == 3 for r in found)


def test_both_are_trained_and_compared_once_for_each_seed(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(common_training, "build_reference", lambda **sizes: tiny_reference())
    tiny = tiny_run(tmp_path, method="mask_rcnn", supervised="all", iterations=2)
    monkeypatch.setattr(common_training, "configured", lambda options: tiny)
    out = tmp_path / "found.json"
    sets = ["--annotations", tiny.annotations, "--images", tiny.images]
    sets += ["--val", tiny.annotations, "--val-images", tiny.images, "--out", str(out)]
    assert main([*sets, "--seeds", "0", "5"]) == 0
    assert [row["seed"] for row in read_json(out)["rows"]] == [0] * 4 + [5] * 4


def test_the_study_trains_the_network_that_torchvision_has(monkeypatch, tmp_path):
    seen: list[TrainConfig] = []
    monkeypatch.setattr(common_training, "compare", lambda config, *_: seen.append(config) or [])
    monkeypatch.setattr(common_training, "load_coco", lambda *_, **__: None)
    places = ["--annotations", "a", "--images", "b", "--val", "c", "--val-images", "d"]
    assert main([*places, "--out", str(tmp_path / "x.json"), "--device", "cpu"]) == 0
    with torch.device("meta"):
        ours = build_model(seen[0].model, num_classes=90)
        theirs = build_reference(min_size=800, max_size=1333)
    shapes = [sorted(tuple(p.shape) for p in m.parameters()) for m in (ours, theirs)]
    mask_of_background = [tuple(p.shape) for p in theirs.roi_heads.mask_predictor.parameters()]
    assert len(shapes[0]) == len(shapes[1]) and mask_of_background[-1] == (91,)
    same = set(shapes[0]) ^ set(shapes[1])
    assert same == {(90, 256, 1, 1), (91, 256, 1, 1), (90,)}, same
