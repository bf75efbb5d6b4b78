"""Pictures to measure speed on."""

import numpy as np

from lib.bench.drawn_pictures import OBJECTS, draw_pictures, outlines
from lib.data.coco import load
from lib.files import digest
from lib.masks.quality import mask_iou
from lib.masks.rle import decode


def test_outlines_have_the_area_of_their_mask():
    rows, columns = np.mgrid[:90, :120]
    disc = (rows - 40) ** 2 + (columns - 50) ** 2 < 30**2
    disc[20:25, 100:110] = True
    polygons = outlines(disc)
    assert len(polygons) == 2 and max(map(len, polygons)) < 100
    assert mask_iou(decode(polygons, 90, 120), disc) > 0.93
    assert outlines(np.zeros((5, 5), bool)) == []


def test_pictures_are_as_asked_and_drawn_once(tmp_path):
    size = {"width": 160, "height": 120}
    files = draw_pictures(tmp_path, count=5, seed=1, **size)
    coco = load(files.annotations, files.images)
    shapes = sorted((x.width, x.height) for x in coco.images)
    assert shapes == [(120, 160), *[(160, 120)] * 4]
    least, most = OBJECTS
    for image in coco.images:
        objects = coco.instances(image.id)
        assert least <= len(objects) <= most + 4  # companions come on top
        for thing in objects:
            assert isinstance(thing.segmentation, list)
            assert decode(thing.segmentation, image.height, image.width).any()
    before = digest(files.annotations)
    pictures = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.jpg")}
    draw_pictures(tmp_path, count=5, seed=1, **size)
    assert digest(files.annotations) == before
    assert pictures == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.jpg")}
