import pytest

from lib.data.categories import Categories, Category
from lib.models.config import ModelConfig
from lib.opmask.run_card import run_card
from lib.training.config import TrainConfig

CLASSES = Categories([Category(1, "person"), Category(2, "cup"), Category(3, "cat")])


def config(method: str, supervised: str | list[str]) -> TrainConfig:
    model = ModelConfig.model_validate({"method": method})
    return TrainConfig(model=model, annotations="a", images="i", out="o", supervised=supervised)


@pytest.mark.parametrize(
    ("variant", "method", "supervised", "expected"),
    [
        ("opmask.voc", "opmask", "voc", ("opmask", "voc", ["person", "cat"])),
        ("gt_boxes.non_voc", "mask_rcnn", "non_voc", ("gt_boxes", "non_voc", ["cup"])),
        ("ablation.gt_boxes", "opmask", "non_voc", ("opmask", "non_voc", ["cup"])),
        ("ablation.baseline", "mask_rcnn", "non_voc", ("baseline", "non_voc", ["cup"])),
        ("r101.baseline.voc", "mask_rcnn", "voc", ("baseline", "voc", ["person", "cat"])),
        ("list.opmask", "opmask", ["cat", "cup"], ("opmask", "list", ["cup", "cat"])),
        ("faster_rcnn.all", "faster_rcnn", "none", ("faster_rcnn", "none", [])),
    ],
)
def test_a_card_says_method_split_and_supervised_classes(
    variant: str, method: str, supervised: str | list[str], expected: tuple[str, str, list[str]]
) -> None:
    card = run_card(variant, config(method, supervised), CLASSES)
    assert (card["method"], card["split"], card["supervised"]) == expected
    assert ModelConfig.model_validate(card["model"]).method == method
    assert card["iterations"] == 130_000
