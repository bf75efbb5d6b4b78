"""What the prior adds by size and overlap of the object, on a made set with known masks."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lib.opmask import gain_by_object as gains
from lib.opmask import mask_iou
from lib.opmask.predictions import DIFFERENCE
from tests.fixtures.opmask import SIDE, Made, one, without_masks

DRAWN = {"resamples": 30, "seed": 0}


def test_properties_are_of_the_boxes_alone(opmask_study: Made) -> None:
    val = opmask_study.val
    found = gains.properties(val)
    assert (found["side"] == SIDE).all() and len(found) == len(val.all_instances())
    for x in val.all_instances():
        near = 0.0
        for other in val.instances(x.image_id):
            if other.id != x.id:
                sides = [
                    max(0.0, min(x.box[i + 2], other.box[i + 2]) - max(x.box[i], other.box[i]))
                    for i in (0, 1)
                ]
                near = max(near, sides[0] * sides[1] / (2 * SIDE**2 - sides[0] * sides[1]))
        assert found.loc[x.id, "overlap"] == pytest.approx(near)


def test_bins_hold_about_as_many_and_equal_values_stay_together() -> None:
    values = pd.Series(np.random.default_rng(0).permutation(90) / 10.0)
    bins = gains.parted(values)
    assert bins["bin"].value_counts().tolist() == [30, 30, 30]
    assert bins.groupby("bin")[["low", "high"]].first().to_numpy().tolist() == [
        [0.0, 2.9], [3.0, 5.9], [6.0, 8.9],
    ]  # fmt: skip
    alone = pd.Series([0.0] * 5 + [0.1, 0.2, 0.3, 0.4])  # more than half have none
    assert gains.parted(alone)["bin"].tolist() == [1] * 5 + [2] + [3] * 3
    assert set(gains.parted(pd.Series([3.0] * 4))["bin"]) == {1}
    assert gains.parted(pd.Series([], dtype=float)).empty


def made_frame() -> pd.DataFrame:
    """Two seeds of both methods, and filled boxes: what the prior adds grows with the object."""
    rows = []
    for image in range(1, 9):
        for number, area in enumerate((100, 400, 900)):
            key = (3 * (image - 1) + number + 1, image, area)
            rows.append(("filled_box", np.nan, *key, 0.5))
            for seed in (0, 1):
                base = 0.4 + 0.01 * image
                rows.append(("baseline", seed, *key, base))
                rows.append(("opmask", seed, *key, base + 0.1 * number + 0.02 * seed * number))
    frame = pd.DataFrame(
        rows, columns=["method", "seed", "annotation_id", "image_id", "area", "iou"]
    )
    return frame.assign(direction="voc_to_nonvoc", classes="unsupervised", label=3, name="cup")


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    frame = made_frame()
    sizes = frame.drop_duplicates("annotation_id").set_index("annotation_id")["area"]
    known = pd.DataFrame({"side": np.sqrt(sizes), "overlap": np.where(sizes > 300, 0.0, 0.2)})
    monkeypatch.setattr(gains, "properties", lambda val: known)
    return gains.gain_table(None, frame, **DRAWN)


def test_gains_are_paired_within_bins_and_between_the_ends(table: pd.DataFrame) -> None:
    of = partial(one, table, property="side")
    for number in (1, 2, 3):
        row = of(bin=number, method=DIFFERENCE)
        assert row["ours"] == pytest.approx(100 * (number - 1) * 0.11)
        assert (row["low"], row["high"]) == (10 * number, 10 * number)
        assert (row["instances"], row["seeds"]) == (8, 2)
        assert of(bin=number, method="filled_box")["ours"] == pytest.approx(50)
        assert of(bin=number, method="baseline")["ours"] == pytest.approx(44.5)
    ends = of(bin=gains.LAST_LESS_FIRST)
    half = 100 * 0.02 * stats.t.ppf(0.975, 1)  # images are alike: two seeds are all, .20 and .24
    expected = pytest.approx([22.0, 22.0 - half, 22.0 + half])
    assert ends[["ours", "ci_low", "ci_high"]].tolist() == expected
    overlap = table[(table["property"] == "overlap") & (table["method"] == DIFFERENCE)]
    assert overlap["bin"].tolist() == [1, 2, gains.LAST_LESS_FIRST]
    assert overlap["ours"].tolist() == pytest.approx([16.5, 0.0, -16.5])


def test_the_line_and_the_lines_for_people_say_the_same(table: pd.DataFrame) -> None:
    line = gains.gain_line(table)
    assert "smallest +0.0, largest +22.0 (difference +22.0," in line
    assert "least overlapped +16.5, most overlapped +0.0 (difference −16.5," in line
    wide = gains.side_by_side(table)
    assert wide["from to"].tolist() == ["10", "20", "30", "0.00", "0.20"]
    assert wide["gain"].tolist() == pytest.approx([0, 11, 22, 16.5, 0])
    figure = gains.gain_figure(table)
    assert figure is not None and len(figure.axes) == 4


def test_models_of_the_study_are_parted_by_their_labels(opmask_seeds: Made) -> None:
    val = opmask_seeds.val
    frame = mask_iou.masks_on_boxes_frame(val, opmask_seeds.models, threshold=0.5)
    table = gains.gain_table(val, frame, **DRAWN)
    of = table[(table["direction"] == "voc_to_nonvoc") & (table["property"] == "overlap")]
    rows = of[of["method"] == DIFFERENCE]
    assert rows["ours"].tolist() == pytest.approx([100 * 5 / SIDE] * (len(rows) - 1) + [0])
    assert set(gains.COMPARED) <= set(of["method"])
    sides = table[table["property"] == "side"]
    assert gains.LAST_LESS_FIRST not in set(sides["bin"])  # all are as large
    weak = val.categories.split("non_voc")
    counts = of[of["method"] == "opmask"]["instances"]
    assert counts.sum() == sum(x.label in weak for x in val.all_instances())


def test_without_both_methods_or_masks_there_is_nothing_to_say(opmask_study: Made) -> None:
    val, models = opmask_study.val, opmask_study.models
    some = {"opmask.voc": models["opmask.voc"]}
    for of_set, of_models in ((val, some), (without_masks(val), models), (val, {})):
        frame = mask_iou.masks_on_boxes_frame(of_set, of_models, threshold=0.5)
        table = gains.gain_table(of_set, frame, **DRAWN)
        assert table.empty and gains.gain_figure(table) is None
        assert "Nothing to compare" in gains.gain_line(table) and gains.side_by_side(table).empty
