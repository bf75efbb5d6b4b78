"""Rows of COCO files from what a model found: in order, whoever makes them."""

import threading
import time

import numpy as np
import pytest
import torch

from lib.masks.paste import paste
from lib.masks.rle import decode, encode
from lib.training.checkpoint import load_model
from lib.training.predict import predict
from lib.training.predictions import WAITING, encode_masks, in_order, merge
from lib.training.train import train
from tests.fixtures.training import draw_set, tiny_run

CPU = torch.device("cpu")


def same(one, other) -> None:
    assert (one.detections, one.masks_on_boxes) == (other.detections, other.masks_on_boxes)
    for name in ("cams", "cams_on_boxes", "annotation_ids"):
        ours, theirs = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_mask_that_fills_its_box_covers_the_box():
    (code,) = encode_masks(torch.ones(1, 28, 28), torch.tensor([[8.0, 4, 40, 30]]), 64, 80)
    wanted = np.zeros((64, 80), bool)
    wanted[4:30, 8:40] = True
    mask = decode(code, 64, 80)
    assert (mask == wanted).all()


def test_codes_are_those_of_masks_drawn_in_the_whole_image():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * 90 - 10
    boxes = torch.cat([corners, corners + 40 * torch.rand(40, 2, generator=generator)], 1)
    masks = torch.rand(40, 28, 28, generator=generator)
    wanted = [encode(paste(mask, box, 64, 80)) for mask, box in zip(masks, boxes, strict=True)]
    assert encode_masks(masks, boxes, 64, 80) == wanted
    assert encode_masks(masks[:0], boxes[:0], 64, 80) == []


def test_results_do_not_depend_on_threads_or_on_how_images_are_shared(tmp_path):
    coco = draw_set(tmp_path / "set", count=7)
    trained = load_model(train(tiny_run(tmp_path)))

    def predictions(part, **changes):
        return predict(trained, part, device=CPU, batch_size=2, cams=True, **changes)

    whole = predictions(coco, encoders=0)
    assert len(whole.detections) > 20 and len(whole.masks_on_boxes) == len(whole.cams_on_boxes)
    same(predictions(coco, encoders=3), whole)
    parts = [
        coco.subset([image.id for image in some]) for some in (coco.images[:4], coco.images[4:])
    ]
    same(merge([predictions(part) for part in parts]), whole)


def test_nothing_merged_is_nothing():
    nothing = merge([])
    assert not nothing.detections and nothing.cams.shape == nothing.cams_on_boxes.shape == (0, 7, 7)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_values_come_in_the_order_of_the_items_and_few_wait(threads):
    fetched, workers = [], set()

    def items():
        for k in range(100):
            fetched.append(k)
            yield k

    def slow(k):
        workers.add(threading.get_ident())
        time.sleep(0.001 * (k % 3))
        return k * k

    for count, value in enumerate(in_order(slow, items(), threads=threads), start=1):
        assert value == (count - 1) ** 2
        assert len(fetched) <= count + WAITING * threads
    assert count == len(fetched) == 100
    assert (threading.get_ident() in workers) == (threads == 0)


@pytest.mark.parametrize("threads", [0, 2])
def test_what_goes_wrong_beside_or_before_is_raised_here(threads):
    def items(fail):
        yield from range(5)
        if fail:
            raise OSError("no picture")

    def function(k):
        if k == 3:
            raise ValueError("no mask")
        return k

    with pytest.raises(ValueError, match="no mask"):
        list(in_order(function, items(False), threads=threads))
    with pytest.raises(OSError, match="no picture"):
        list(in_order(str, items(True), threads=threads))
