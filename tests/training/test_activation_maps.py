"""Class activation maps of the same instances over a run."""

import numpy as np
import pytest
import torch

from lib.data.coco import CocoSet, load
from lib.files import read_json, write_json
from lib.training.activation_maps import (
    SHORTEST_SIDE,
    cam_history,
    sample_instances,
)
from lib.training.checkpoint import load_model
from lib.training.inputs import boxes_and_labels, picture
from lib.training.train import train
from tests.fixtures.training import tiny_run

CPU = torch.device("cpu")


def enlarge(coco: CocoSet, ids: set[int]) -> CocoSet:
    """Give some instances a box of the least side that counts, and the others a smaller one."""
    content = read_json(coco.annotations_path)
    for annotation in content["annotations"]:
        side = SHORTEST_SIDE if annotation["id"] in ids else SHORTEST_SIDE - 1
        annotation["bbox"] = [annotation["id"], 3, 30, side]
    write_json(coco.annotations_path, content)
    return load(coco.annotations_path, coco.image_root)


def test_only_large_instances_are_drawn_and_fewer_are_the_first_of_more(drawn):
    ids = {1, 4, 5, 8, 11}
    coco = enlarge(drawn, ids)
    everything = [x.id for x in sample_instances(coco, 100)]
    assert set(everything) == ids and len(everything) == len(ids)
    assert [x.id for x in sample_instances(coco, 3)] == everything[:3]


def test_set_without_a_large_instance_is_a_sentence(drawn):
    with pytest.raises(ValueError, match="0 have sides of 24 pixels or more"):
        sample_instances(enlarge(drawn, set()), 3)


def test_maps_are_the_models_own_in_the_order_of_the_iterations(drawn, tmp_path):
    coco = enlarge(drawn, {1, 2, 3, 7, 9})
    model = train(tiny_run(tmp_path, snapshots=(0, 4)))
    files = {6: model, **{n: tmp_path / "out" / f"snapshot_{n}.pt" for n in (4, 0)}}
    found = cam_history(files, coco, count=4, device=CPU)
    assert found.iteration.tolist() == [0, 4, 6]
    assert found.maps.shape == (3, 4, 7, 7) and found.maps.dtype == np.float16
    by_id = {x.id: x for x in coco.all_instances()}
    for path, maps in zip([files[0], files[4], files[6]], found.maps, strict=True):
        own = load_model(path).model
        for key, one in zip(found.annotation_id.tolist(), maps, strict=True):
            image = picture(coco.image(by_id[key].image_id))
            (wanted,) = own.cams_on_boxes([image], [boxes_and_labels([by_id[key]], CPU)])
            np.testing.assert_allclose(one, wanted[0], rtol=2e-3, atol=1e-4)
    assert not np.array_equal(found.maps[0], found.maps[2])
