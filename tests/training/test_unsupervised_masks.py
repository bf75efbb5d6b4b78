"""Masks of unsupervised classes are never read by anything that trains (paper B, Sec. 4.1).

The same run on label files that differ in nothing but those masks ends with the same weights, bit
for bit: whether they are true, wrong or missing, and even if looking at one is an error.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.masks.rle import decode, encode
from lib.training import train as train_module
from lib.training.log import read_metrics
from lib.training.train import train
from tests.fixtures.models import tiny_config
from tests.fixtures.training import HEIGHT, WIDTH, equal, tiny_run, weights

MODELS = {
    "baseline": tiny_config("mask_rcnn"),
    "opmask": tiny_config("opmask"),
    "gt_boxes": tiny_config("mask_rcnn", mask_rois="gt_boxes"),
    "opmask_gt_boxes": tiny_config("opmask", mask_rois="gt_boxes"),
    "class_specific": tiny_config("mask_rcnn", mask_per_class=True),
    "attached": tiny_config("opmask", prior_weights="attached", prior_fusion="concat"),
}
SPLITS = {"voc": {1, 2}, "non_voc": {3, 4}}  # person and cat; cup and laptop
MASKS = ["wrong", "full", "removed"]


def change(folder: Path, *, categories: set[int], how: str) -> int:
    """Change the masks of some classes in the label file and return how many that were."""
    path = folder / "set" / "annotations.json"
    content = read_json(path)
    own = [a for a in content["annotations"] if a["category_id"] in categories]
    own = [a for a in own if a["segmentation"]]
    shift = (HEIGHT // 2, WIDTH // 2)
    for annotation in own:
        mask = decode(annotation["segmentation"], HEIGHT, WIDTH)
        annotation["segmentation"] = {
            "wrong": encode(np.roll(mask, shift, (0, 1))),
            "full": encode(np.ones_like(mask)),
            "removed": [],
        }[how]
    write_json(path, content)
    return len(own)


def trained(folder: Path, name: str, model: str, **settings: object) -> dict[str, torch.Tensor]:
    run = {"model": MODELS[model], "iterations": 3, "out": str(folder / name)}
    return weights(train(tiny_run(folder, **(run | settings))))


@pytest.mark.parametrize(
    ("model", "split"), [*((model, "voc") for model in MODELS), ("opmask", "non_voc")]
)
def test_corrupting_or_deleting_unsupervised_masks_changes_no_weight(drawn, tmp_path, model, split):
    true = trained(tmp_path, "true", model, supervised=split)
    assert any(r["loss_mask"] > 0 for r in read_metrics(tmp_path / "true" / "metrics.jsonl"))
    for how in MASKS:  # "removed" is the last: then there is nothing left to change
        assert change(tmp_path, categories={1, 2, 3, 4} - SPLITS[split], how=how) > 3
        assert equal(true, trained(tmp_path, how, model, supervised=split)), how


@pytest.mark.parametrize("model", ["baseline", "opmask"])
@pytest.mark.parametrize("how", ["wrong", "removed"])  # within its box, a true one is full already
def test_the_same_changes_to_supervised_masks_do_matter(drawn, tmp_path, model, how):
    before = trained(tmp_path, "a", model, supervised="voc")
    change(tmp_path, categories={1, 2}, how=how)
    assert not equal(before, trained(tmp_path, "b", model, supervised="voc"))


class Forbidden(dict[str, Any]):
    """Run lengths that cannot be looked at."""

    def _refuse(self, *_: object) -> Any:
        raise AssertionError("the mask of an unsupervised class was read")

    __getitem__ = __iter__ = __len__ = __contains__ = get = keys = values = items = _refuse


def forbid(monkeypatch: pytest.MonkeyPatch, labels: set[int]) -> None:
    """Make the masks of some classes unreadable in every set that training opens."""

    def opened(*arguments: Any, **options: Any) -> CocoSet:
        coco = load(*arguments, **options)
        for instance in coco.all_instances():
            if instance.label in labels and instance.has_mask:
                object.__setattr__(instance, "segmentation", Forbidden())
        return coco

    monkeypatch.setattr(train_module, "load_coco", opened)


@pytest.mark.parametrize("model", ["opmask"])
def test_masks_that_cannot_be_read_are_not_missed(drawn, tmp_path, monkeypatch, model):
    true = trained(tmp_path, "true", model, supervised="voc")
    forbid(monkeypatch, {3, 4})
    assert equal(true, trained(tmp_path, "forbidden", model, supervised="voc"))
    with pytest.raises(AssertionError, match="was read"):
        trained(tmp_path, "other", model, supervised="non_voc")


@pytest.mark.parametrize("model", ["baseline", "opmask_gt_boxes"])
def test_box_only_set_trains_and_says_that_masks_are_missing(drawn, tmp_path, capsys, model):
    change(tmp_path, categories={1, 2, 3, 4}, how="removed")
    assert not any(i.has_mask for i in load(drawn.annotations_path, None).all_instances())
    state = trained(tmp_path, "out", model)
    assert {r["loss_mask"] for r in read_metrics(tmp_path / "out" / "metrics.jsonl")} == {0.0}
    assert "WARNING: 0 of" in capsys.readouterr().out
    assert all(bool(torch.isfinite(t).all()) for t in state.values())


@pytest.mark.parametrize("model", ["baseline", "opmask_gt_boxes"])
def test_batches_without_a_mask_train_among_others(drawn, tmp_path, model):
    content = read_json(drawn.annotations_path)
    for annotation in content["annotations"]:
        if annotation["image_id"] != 1:
            annotation["segmentation"] = []
    write_json(drawn.annotations_path, content)
    state = trained(tmp_path, "out", model, batch_size=1, iterations=6)
    with_mask = [r["loss_mask"] > 0 for r in read_metrics(tmp_path / "out" / "metrics.jsonl")]
    assert sum(with_mask) == 1  # an epoch is six images
    assert all(bool(torch.isfinite(t).all()) for t in state.values())
