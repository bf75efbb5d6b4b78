"""What a training page shows."""

from pathlib import Path

import pytest

from lib.data.coco import CocoSet, from_coco
from lib.models.config import ModelConfig
from lib.pages.training import cost_line, settings_table, use_table
from lib.training.config import TrainConfig

RECORDS = [
    {"iteration": 20, "lr": 0.1, "loss": 2.0, "loss_classifier": 1.5, "seconds": 0.5, "max_mib": 0},
    {
        "iteration": 40,
        "lr": 0.1,
        "loss": 1.0,
        "loss_classifier": 0.5,
        "seconds": 0.25,
        "max_mib": 0,
    },
]


def run(**changes: object) -> TrainConfig:
    model = ModelConfig(method="opmask", mask_layers=3)
    settings = {"supervised": "voc", "model": model, "annotations": "a", "images": "i", "out": "o"}
    return TrainConfig.model_validate(settings | changes)


def test_settings_that_differ_from_the_papers_are_marked_and_no_others():
    table = settings_table(run(batch_size=8)).set_index("setting")
    marked = set(table.index[table["differs"] == "≠"])
    assert marked == {"batch_size", "mask_layers", "weights", "weights_style", "amp"}
    assert table.loc["batch_size", "paper"] == "16"
    assert table.loc["learning_rate", "here"] == "0.02"


def test_switches_of_the_prior_stand_beside_the_official_code_where_there_is_a_prior():
    changed = ModelConfig(method="opmask", prior_fusion="concat", prior_gradient=False)
    table = settings_table(run(model=changed, snapshots=(0, 10))).set_index("setting")
    assert table.loc["prior_fusion", ["here", "paper", "differs"]].tolist() == [
        "concat",
        "add",
        "≠",
    ]
    assert table.loc["prior_gradient", ["here", "differs"]].tolist() == ["False", "≠"]
    assert table.loc["prior_norm", ["here", "differs"]].tolist() == ["min_max", ""]
    assert "snapshots" not in table.index
    boxes = ModelConfig(method="mask_rcnn", mask_rois="gt_boxes")
    table = settings_table(run(model=boxes)).set_index("setting")
    assert table.loc["mask_rois", ["here", "paper", "differs"]].tolist() == [
        "gt_boxes",
        "proposals",
        "≠",
    ]
    assert not [name for name in table.index if name.startswith("prior_")]


def test_cost_adds_up_the_logged_intervals():
    line = cost_line(RECORDS, batch_size=8)
    assert "40 iterations, 320 images" in line
    assert "0.2 min (21.3 images/s)" in line  # 20 * 0.5 + 20 * 0.25 = 15 s


def test_paper_as_settings_are_marked_only_where_it_names_them():
    table = settings_table(run(batch_size=6, iterations=30_000), paper="A").set_index("setting")
    assert table.loc["batch_size", "differs"] == ""
    assert table.loc["warmup", "paper"] == "not said"
    assert table.loc["warmup", "differs"] == ""
    assert table.loc["learning_rate", "differs"] == "≠"
    small = run(model=ModelConfig(method="faster_rcnn"), learning_rate=0.0075)
    assert (
        settings_table(small, paper="A").set_index("setting").loc["learning_rate", "differs"] == ""
    )


def a_set() -> CocoSet:
    """Five instances: a valid mask, an invalid one, an empty one, a box alone, a crowd."""
    square = [[0, 0, 4, 0, 4, 4, 0, 4]]
    masks = [
        {"segmentation": square, "pseudo": {"valid": True}},
        {"segmentation": square, "pseudo": {"valid": False}},
        {"segmentation": [], "pseudo": {"valid": False}},
        {"segmentation": []},
        {"segmentation": square, "iscrowd": 1},
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], **mask}
            for i, mask in enumerate(masks, start=1)
        ],
    }
    return from_coco(content, Path("a.json"), None, check_images="none")


@pytest.mark.parametrize(
    ("settings", "uses"),
    [
        ({}, ["box and mask", "box and mask", "box only", "box only"]),
        ({"invalid": "drop"}, ["box and mask", *["dropped: background"] * 2, "box only"]),
        (
            {"empty": "background"},
            ["box and mask", "box and mask", "box, and all of it background", "box only"],
        ),
        ({"valid": "ignore"}, ["ignored", "box and mask", "box only", "ignored"]),
    ],
)
def test_use_of_instances_is_told_by_what_is_known_of_their_masks(settings, uses):
    table = use_table(a_set(), run(**settings))
    assert list(table["use"]) == uses
    assert list(table["instances"]) == [1, 1, 1, 1]
    assert table["share"].sum() == pytest.approx(1)
