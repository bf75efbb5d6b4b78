"""Inference: COCO results of the right form, and masks in their place."""

import numpy as np
import pytest
import torch

from lib.engine.checkpoint import load_model, save_model
from lib.engine.predict import encode_masks, main, predict
from lib.engine.train import train
from lib.files import read_json
from lib.masks.rle import decode
from tests.engine.conftest import HEIGHT, WIDTH, draw_set, tiny_run
from tests.models.conftest import tiny_model


def test_results_have_the_form_of_coco_results_with_the_ids_of_the_set(drawn, tmp_path):
    model = train(tiny_run(tmp_path))
    out = tmp_path / "predictions"
    arguments = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    assert main([str(model), *arguments, "--out", str(out), "--device", "cpu"]) == 0
    detections = read_json(out / "detections_val.json")
    assert detections, "an untrained model with a threshold of 0.05 finds something"
    for row in detections:
        assert row["image_id"] in {i.id for i in drawn.images}
        assert row["category_id"] in drawn.categories.ids
        assert decode(row["segmentation"], HEIGHT, WIDTH).shape == (HEIGHT, WIDTH)
        assert min(row["bbox"][2:]) > 0
    on_boxes = read_json(out / "masks_on_boxes_val.json")
    assert [r["annotation_id"] for r in on_boxes] == [i.id for i in drawn.all_instances()]


def test_batch_size_does_not_change_predictions(drawn, tmp_path):
    trained = load_model(train(tiny_run(tmp_path)))
    one, three = (
        predict(trained, drawn, device=torch.device("cpu"), batch_size=size) for size in (1, 3)
    )
    assert [(d["image_id"], d["category_id"]) for d in one.detections] == [
        (d["image_id"], d["category_id"]) for d in three.detections
    ]
    np.testing.assert_allclose(
        [d["score"] for d in one.detections],
        [d["score"] for d in three.detections],
        atol=1e-4,
    )


def test_mask_that_fills_its_box_covers_the_box():
    (code,) = encode_masks(torch.ones(1, 28, 28), torch.tensor([[8.0, 4, 40, 30]]), 64, 80)
    wanted = np.zeros((64, 80), bool)
    wanted[4:30, 8:40] = True
    mask = decode(code, 64, 80)
    assert (mask == wanted).all()


def test_model_file_gives_back_the_same_model(drawn, tmp_path):
    model = tiny_model().eval()
    config = tiny_run(tmp_path).model
    save_model(tmp_path / "model.pt", model, config, drawn.categories, run="")
    trained = load_model(tmp_path / "model.pt")
    image = [torch.rand(3, 64, 80)]
    model.roi_heads.score_thresh = trained.model.roi_heads.score_thresh = 0.0
    for one, other in zip(model(image), trained.model(image), strict=True):
        assert all(torch.equal(one[k], other[k]) for k in one)
    assert trained.config == config


def test_set_with_other_classes_is_refused(drawn, tmp_path):
    trained = load_model(train(tiny_run(tmp_path)))
    other = draw_set(tmp_path / "other")
    fewer = type(other.categories).from_coco(other.categories.to_coco()[:3])
    object.__setattr__(other, "categories", fewer)
    with pytest.raises(ValueError, match="classes that it was trained for"):
        predict(trained, other, device=torch.device("cpu"))


def test_damaged_or_missing_model_file_is_a_sentence(tmp_path, drawn, capsys):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04 not really")
    arguments = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    for name in ("model.pt", "nowhere.pt"):
        assert main([str(tmp_path / name), *arguments, "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.count("error:") == 2
