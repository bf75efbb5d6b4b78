"""What becomes of instances with valid and invalid pseudo-masks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.masks.rle import encode
from lib.models.rpn import IGNORED
from lib.training.dataset import TrainingSet
from lib.training.supervision import Supervision, mask_line, supervision_of
from lib.training.train import main, train
from tests.fixtures.training import HEIGHT, WIDTH, dense, equal, tiny_run, weights

EVERY_LABEL = frozenset({1, 2, 3, 4})
USES = ["learn", "box_only", "ignore", "drop"]


def mark(folder: Path, *, invalid: set[int] | None = None) -> CocoSet:
    """Give the drawn set's masks the marks of pseudo-masks; every third is invalid unless said."""
    path = folder / "set" / "annotations.json"
    content = read_json(path)
    for annotation in content["annotations"]:
        bad = annotation["id"] % 3 == 0 if invalid is None else annotation["id"] in invalid
        annotation["pseudo"] = {
            "method": "grabcut",
            "box_iou": 0.3 if bad else 0.9,
            "valid": not bad,
        }
    write_json(path, content)
    return load(path, folder / "set" / "images")


def change(folder: Path, *, mask: bool, label: bool) -> None:
    """Change the mask or the class of every invalid instance."""
    path = folder / "set" / "annotations.json"
    content = read_json(path)
    for annotation in content["annotations"]:
        if not annotation["pseudo"]["valid"]:
            if mask:
                annotation["segmentation"] = encode(np.ones((HEIGHT, WIDTH), bool))
            if label:
                annotation["category_id"] = annotation["category_id"] % 4 + 1
    write_json(path, content)


def trained(folder: Path, name: str, **settings: object) -> dict[str, torch.Tensor]:
    run = {"method": "mask_rcnn", "iterations": 2, "out": str(folder / name)}
    return weights(train(tiny_run(folder, **(run | settings))))


@pytest.mark.parametrize("valid", USES)
@pytest.mark.parametrize("invalid", USES)
def test_targets_equal_a_loop_over_instances(drawn, tmp_path, valid, invalid):
    coco = mark(tmp_path)
    samples = TrainingSet(
        coco, supervision=Supervision(EVERY_LABEL, valid, invalid), flip=False, seed=0
    )
    for index, record in enumerate(coco.images):
        _, target = samples[(index, 0)]
        row = 0
        for instance in coco.instances(record.id):
            use = valid if instance.pseudo["valid"] else invalid
            if use == "drop":
                continue
            assert target["boxes"][row].tolist() == list(instance.box)
            assert target["labels"][row] == (IGNORED if use == "ignore" else instance.label)
            assert target["has_mask"][row] == (use == "learn" and instance.has_mask)
            row += 1
        assert len(target["boxes"]) == len(target["labels"]) == len(target["mask_frames"]) == row
        assert (
            target["mask_edges"][0].unique().tolist() == torch.where(target["has_mask"])[0].tolist()
        )


def test_mask_that_is_empty_is_no_mask(drawn, tmp_path):
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    content["annotations"][0]["segmentation"] = encode(np.zeros((HEIGHT, WIDTH), bool))
    write_json(path, content)
    coco = load(path, tmp_path / "set" / "images")
    supervision = Supervision(EVERY_LABEL)
    with_mask = [a for a in content["annotations"][1:] if a["segmentation"]]
    total = len(content["annotations"])
    assert mask_line(coco, supervision).startswith(f"{len(with_mask)} of {total} ")
    first = next(i for i in coco.all_instances() if i.id == content["annotations"][0]["id"])
    assert not first.has_mask and not supervision.reads_mask(first)
    index = [r.id for r in coco.images].index(first.image_id)
    target = TrainingSet(coco, supervision=supervision, flip=False, seed=0)[(index, 0)][1]
    row = target["boxes"].tolist().index(list(first.box))
    assert not target["has_mask"][row] and target["labels"][row] == first.label


def test_class_whose_masks_may_be_used_but_are_not_there_is_named(drawn, tmp_path):
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    for annotation in content["annotations"]:
        if annotation["category_id"] in (1, 3):
            annotation["segmentation"] = []
    write_json(path, content)
    coco = load(path, tmp_path / "set" / "images")
    every = mask_line(coco, Supervision(EVERY_LABEL))
    assert "WARNING: none of these is of person, cup, whose masks" in every
    assert "WARNING" not in mask_line(coco, Supervision(frozenset({2, 4})))


def test_an_empty_pseudo_mask_can_be_learnt_as_background(drawn, tmp_path):
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    empty, given = content["annotations"][:2]
    empty |= {"segmentation": [], "pseudo": {"valid": False}}
    given |= {"segmentation": []}  # no pseudo-mask either: nobody looked for one
    write_json(path, content)
    coco = load(path, tmp_path / "set" / "images")
    instances = {i.id: i for i in coco.all_instances()}
    assert not Supervision(EVERY_LABEL).reads_mask(instances[empty["id"]])
    supervision = Supervision(EVERY_LABEL, empty="background")
    assert supervision.reads_mask(instances[empty["id"]])
    assert not supervision.reads_mask(instances[given["id"]])
    assert not replace(supervision, invalid="box_only").reads_mask(instances[empty["id"]])
    index = [r.id for r in coco.images].index(empty["image_id"])
    target = TrainingSet(coco, supervision=supervision, flip=False, seed=0)[(index, 0)][1]
    row = target["boxes"].tolist().index(list(instances[empty["id"]].box))
    assert target["has_mask"][row] and dense(target)[row].sum() == 0


@pytest.mark.parametrize("invalid", ["box_only", "ignore", "drop"])
def test_invalid_masks_that_are_not_learnt_change_no_weight(drawn, tmp_path, invalid):
    mark(tmp_path)
    before = trained(tmp_path, "a", invalid=invalid)
    change(tmp_path, mask=True, label=invalid != "box_only")
    assert equal(before, trained(tmp_path, "b", invalid=invalid))


def test_dropping_equals_a_set_without_those_labels(drawn, tmp_path):
    mark(tmp_path)
    dropped = trained(tmp_path, "a", invalid="drop")
    ignored = trained(tmp_path, "b", invalid="ignore")
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    content["annotations"] = [a for a in content["annotations"] if a["pseudo"]["valid"]]
    write_json(path, content)
    without = trained(tmp_path, "c")
    assert equal(dropped, without)
    assert not equal(ignored, without)


def test_set_with_nothing_left_is_a_sentence_before_training(drawn, tmp_path, capsys):
    mark(tmp_path)
    config = tiny_run(tmp_path, method="faster_rcnn", valid="ignore", invalid="drop")
    path = tmp_path / "config.json"
    write_json(path, config.model_dump(mode="json"))
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert "instances are ignored or dropped" in error and "'drop'" in error
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


@pytest.mark.parametrize("supervised", [[], "none", "official_40"])
def test_mask_branch_without_a_supervised_class_is_a_sentence(drawn, tmp_path, capsys, supervised):
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    for category in content["categories"]:
        category["name"] = f"thing {category['id']}"
    write_json(path, content)
    coco = load(path, tmp_path / "set" / "images")
    with pytest.raises(ValueError, match=r"none of the set's 4 classes.*Name another split"):
        supervision_of(tiny_run(tmp_path, supervised=supervised), coco)
    assert not supervision_of(
        tiny_run(tmp_path, method="faster_rcnn", supervised=supervised), coco
    ).supervised
    write_json(
        tmp_path / "c.json", tiny_run(tmp_path, supervised=supervised).model_dump(mode="json")
    )
    assert main([str(tmp_path / "c.json")]) == 2
    assert "error: train.supervised is" in capsys.readouterr().err
