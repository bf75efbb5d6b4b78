"""Inference: COCO results of the right form, and masks in their place."""

import numpy as np
import pytest
import torch

from lib.files import read_json, write_json
from lib.masks.rle import decode
from lib.models.build import build_model
from lib.training import predict as predict_module
from lib.training.checkpoint import load_model, save_model
from lib.training.inputs import picture
from lib.training.predict import main, predict
from lib.training.train import train
from tests.fixtures.models import tiny_config, tiny_model
from tests.fixtures.training import HEIGHT, WIDTH, draw_set, tiny_run


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


def test_set_with_other_classes_is_refused(drawn, tmp_path):
    trained = load_model(train(tiny_run(tmp_path)))
    other = draw_set(tmp_path / "other")
    fewer = type(other.categories).from_coco(other.categories.to_coco()[:3])
    object.__setattr__(other, "categories", fewer)
    with pytest.raises(ValueError, match="classes that it was trained for"):
        predict(trained, other, device=torch.device("cpu"))


def test_maps_are_those_of_the_detections_and_of_the_true_boxes_in_order(drawn, tmp_path, capsys):
    path = train(tiny_run(tmp_path))
    capsys.readouterr()
    arguments = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    arguments += ["--out", str(tmp_path / "p"), "--device", "cpu", "--cams"]
    assert main([str(path), *arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    names = [line.split("/")[-1].split(":")[0] for line in printed if line.startswith("wrote")]
    assert [name.removeprefix("wrote ") for name in names] == [
        "detections_val.json",
        "masks_on_boxes_val.json",
        "cams_val.npz",
        "cams_on_boxes_val.npz",
    ]
    rows = read_json(tmp_path / "p" / "detections_val.json")
    model = load_model(path).model
    model.roi_heads.return_cams = True
    wanted, true_maps, ids = [], [], []
    for record in drawn.images:
        with torch.inference_mode():
            (result,) = model([picture(record)])
            labels = [drawn.categories.id_of(k) for k in result["labels"].tolist()]
            assert labels == [r["category_id"] for r in rows if r["image_id"] == record.id]
            wanted.append(result["cams"])
            for instance in drawn.instances(record.id):
                one = {
                    "boxes": torch.tensor([instance.box]),
                    "labels": torch.tensor([instance.label]),
                }
                true_maps += model.cams_on_boxes([picture(record)], [one])
                ids.append(instance.id)
    with np.load(tmp_path / "p" / "cams_val.npz") as found:
        assert found["maps"].dtype == np.float16 and len(found["maps"]) == len(rows)
        np.testing.assert_allclose(found["maps"], torch.cat(wanted), rtol=2e-3, atol=1e-4)
    with np.load(tmp_path / "p" / "cams_on_boxes_val.npz") as found:
        assert found["annotation_id"].dtype == np.int64 and found["annotation_id"].tolist() == ids
        np.testing.assert_allclose(found["maps"], torch.cat(true_maps), rtol=2e-3, atol=1e-4)


def test_refined_boxes_have_other_maps_of_the_same_detections(drawn, tmp_path):
    trained = load_model(train(tiny_run(tmp_path)))
    plain, refined, again = (
        predict(trained, drawn, device=torch.device("cpu"), cams=True, prior_from=place)
        for place in ("proposal", "refined", None)
    )
    boxes = [[(d["image_id"], d["bbox"]) for d in p.detections] for p in (plain, refined)]
    assert boxes[0] == boxes[1] and len(refined.cams) == len(boxes[1])
    assert not np.array_equal(plain.cams, refined.cams)
    assert np.array_equal(plain.cams, again.cams)  # what one call was told does not stay
    assert np.array_equal(plain.cams_on_boxes, refined.cams_on_boxes)


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({"box_head": "fc", "fc_channels": 8}, {"cams": True}, "whose box head is 'conv'"),
        ({}, {"prior_from": "refined"}, "mask_rcnn has no prior"),
    ],
)
def test_maps_that_a_model_does_not_have_are_a_sentence(drawn, tmp_path, changes, asked, said):
    config = tiny_config("mask_rcnn", **changes)
    model = build_model(config, num_classes=4)
    save_model(tmp_path / "model.pt", model, config, drawn.categories, run="")
    with pytest.raises(ValueError, match=said):
        predict(load_model(tmp_path / "model.pt"), drawn, device=torch.device("cpu"), **asked)


def test_damaged_or_missing_model_file_is_a_sentence(tmp_path, drawn, capsys):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04 not really")
    (tmp_path / "text.pt").write_text("no checkpoint")
    arguments = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    for name in ("model.pt", "text.pt", "nowhere.pt"):
        assert main([str(tmp_path / name), *arguments, "--out", str(tmp_path / "o")]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and name in said and "weights_only" not in said


def test_outputs_are_checked_before_the_work(drawn, tmp_path, capsys, monkeypatch):
    config = tiny_config("mask_rcnn")
    save_model(tmp_path / "m.pt", tiny_model("mask_rcnn"), config, drawn.categories, run="")
    places = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    theirs = tmp_path / "out" / "masks_on_boxes_val.json"
    write_json(theirs, ["kept"])
    monkeypatch.setattr(predict_module, "predict", lambda *_, **__: pytest.fail("too late"))
    for out, said in {
        tmp_path / "out": "--force",
        drawn.image_root / "below": "below the pictures",
        tmp_path / "m.pt": "nothing can be written",
    }.items():
        assert main([str(tmp_path / "m.pt"), *places, "--out", str(out)]) == 2
        assert said in capsys.readouterr().err
    assert read_json(theirs) == ["kept"]
    monkeypatch.undo()
    command = [str(tmp_path / "m.pt"), *places, "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--force"]) == 0
    assert read_json(theirs) != ["kept"]
