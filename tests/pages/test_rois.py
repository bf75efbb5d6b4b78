"""Regions of interest as pictures: which are shown, and what is drawn in them."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from lib.data.coco import CocoSet, Instance
from lib.data.pictures.images import read_image
from lib.pages import rois
from tests.fixtures.opmask import HEIGHT, IMAGES, WIDTH, Made


@pytest.fixture
def val(opmask_study: Made) -> CocoSet:
    mpl.use("agg")
    plt.close("all")
    return opmask_study.val


def test_chosen_objects_depend_on_their_ids_alone_and_images_take_turns(val: CocoSet) -> None:
    some = list(val.all_instances())
    chosen = rois.choose(some, count=IMAGES + 3)
    assert [x.id for x in chosen] == [x.id for x in rois.choose(some[::-1], count=IMAGES + 3)]
    assert [x.id for x in rois.choose(some, count=3)] == [x.id for x in chosen[:3]]
    assert {x.image_id for x in chosen[:IMAGES]} == set(range(1, IMAGES + 1))
    assert len({x.image_id for x in chosen[IMAGES:]}) == 3  # then each a second time
    small = Instance(99, 1, 1, 1, (0.0, 0.0, 5.0, 5.0), 25.0)
    assert small not in rois.choose([*some, small], count=99)


def test_a_region_is_the_part_of_the_image_around_its_box(val: CocoSet) -> None:
    rng = np.random.default_rng(1)
    picture = read_image(val.images[0])
    for _ in range(50):
        x1, y1 = rng.uniform(0, [WIDTH - 5, HEIGHT - 5])
        x2, y2 = rng.uniform([x1 + 3, y1 + 3], [WIDTH, HEIGHT])
        part = rois.roi(val, Instance(1, 1, 1, 1, (x1, y1, x2, y2), 1.0))
        bottom, right = part.top + part.side, part.left + part.side
        assert np.array_equal(part.picture, picture[part.top : bottom, part.left : right])
        assert part.left <= x1 and part.top <= y1 and x2 <= right and y2 <= bottom
        assert part.side <= max(WIDTH, HEIGHT)
        mask = rng.random((HEIGHT, WIDTH)) > 0.5
        assert part.part(mask).shape == part.picture.shape[:2]


def test_the_prior_is_the_map_scaled_to_its_range_then_interpolated() -> None:
    maps = np.random.default_rng(2).normal(size=(3, 4, 4)).astype(np.float32)
    maps[1] = 5.0
    made = rois.prior_maps(maps, side=8)
    for one, result in zip(maps, made, strict=True):
        scaled = (one - one.min()) / max(one.max() - one.min(), 1e-9)
        for i in range(8):
            for j in range(8):  # at the centres of the cells, clamped at the border
                y, x = (min(max((k + 0.5) / 2 - 0.5, 0), 3) for k in (i, j))
                top, left = min(int(y), 2), min(int(x), 2)
                v, u = y - top, x - left
                square = scaled[top : top + 2, left : left + 2]
                expected = np.array([1 - v, v]) @ square @ np.array([1 - u, u])
                assert result[i, j] == pytest.approx(expected, abs=1e-5)
    assert (made[1] == 0).all()


def test_a_heat_map_lies_on_its_box(val: CocoSet) -> None:
    _, panels = rois.grid(["row"], 1, 4)
    instance = val.instances(1)[2]
    part = rois.roi(val, instance)
    heat = np.arange(49.0).reshape(7, 7)
    rois.draw_heat(panels[0][0], part, heat)
    picture, drawn = panels[0][0].images
    left, right, bottom, top = drawn.get_extent()
    at = np.array([left, top, right, bottom]) + 0.5 + np.tile([part.left, part.top], 2)
    assert at == pytest.approx(instance.box)
    assert np.array_equal(np.asarray(drawn.get_array()), heat)
    assert picture.get_array().shape == part.picture.shape


def test_an_outline_runs_around_the_mask(val: CocoSet) -> None:
    _, panels = rois.grid(["row"], 1, 4)
    part = rois.roi(val, val.instances(1)[0])
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[20:30, 10:20] = True
    rois.outline(panels[0][0], part, mask)
    drawn = panels[0][0].collections
    points = np.concatenate([path.vertices for lines in drawn for path in lines.get_paths()])
    places = points + np.array([part.left, part.top])  # pixels are drawn centred on whole numbers
    assert places.min(axis=0) == pytest.approx([9.5, 19.5])
    assert places.max(axis=0) == pytest.approx([19.5, 29.5])
    rois.outline(panels[0][0], part, np.zeros_like(mask))  # nothing to draw, no warning
