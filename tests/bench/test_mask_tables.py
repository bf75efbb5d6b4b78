"""Tables of speed, agreement and limits, from hand-made measurements."""

import math
from typing import Any

import pandas as pd
import pytest

from lib.bench import mask_tables
from lib.bench.mask_boxes import boxes_of
from tests.bench.measured import DRAWN, measured


def test_the_ratio_is_of_total_seconds_so_that_large_boxes_weigh_more() -> None:
    table = mask_tables.speed_table(boxes_of(measured()), **DRAWN).set_index("size")
    assert list(table.index) == ["all", "< 32²", "64²–128²"]
    assert table["boxes"].tolist() == [12, 6, 6]
    assert table["ratio"].tolist() == pytest.approx([14 / 3, 10, 3.6])
    # Every image is like every other one: there is nothing for a resample to change.
    assert table["ci_low"].tolist() == pytest.approx(table["ratio"].tolist())


def test_the_interval_of_a_ratio_is_over_images_and_missing_on_few() -> None:
    content = measured()
    for line in content["rows"]:
        line["seconds"] *= line["image_id"] if line["run"] == "fast" else 1
    table = mask_tables.speed_table(boxes_of(content), **DRAWN).set_index("size")
    assert table.loc["all", "ci_low"] < table.loc["all", "ratio"] < table.loc["all", "ci_high"]
    few = mask_tables.speed_table(boxes_of(measured(3)), **DRAWN)
    assert few["ci_low"].isna().all() and few["ratio"].notna().all()


def test_memory_and_workers_are_read_in_differences() -> None:
    memory = mask_tables.memory_table(measured()).set_index("method")
    assert memory.loc["fast"].to_dict() == {
        "imports_and_pictures": 100, "first_mask": 10, "masks": 15, "beyond_pictures": 25,
        "peak": 125,
    }  # fmt: skip
    workers = mask_tables.workers_table(measured())
    assert workers["speedup"].tolist() == [1, 1.5]
    assert workers["efficiency"].tolist() == [1, 0.75]


def test_coco_pays_once_for_each_of_its_images_and_boxes() -> None:
    table = mask_tables.coco_table(boxes_of(measured())).set_index("method")
    # fast: 1.5 s a box, of which a quarter is the image's 0.5 s shared by two
    seconds = 860_000 * 1.25 + 118_000 * (0.5 + 0.25)
    assert table.loc["fast", "core_hours"] == pytest.approx(seconds / 3600)
    assert table.loc["fast", "hours_on_16_cores"] == pytest.approx(seconds / 3600 / 16)
    exact = 860_000 * 7 + 118_000 * 0.25
    assert table.loc["exact", "hours_on_1_core"] == pytest.approx(exact / 3600)


def test_agreement_with_the_fast_method_stands_beside_that_of_two_seeds() -> None:
    table = mask_tables.agreement_table(boxes_of(measured()), **DRAWN)
    cells = table.set_index(["measure", "size"])
    columns = ["exact", "fast", "difference"]
    whole = {name: cells.loc[(name, "all"), columns].tolist() for name in cells.index.levels[0]}
    assert whole["valid or invalid"] == pytest.approx([1, 0.75, -0.25])
    assert whole["mask IoU"] == pytest.approx([0.5, 0.75, 0.25])
    assert whole["IoU with the true mask"] == pytest.approx([0.6, 0.65, 0.05])
    small = cells.loc[("valid or invalid", "< 32²")]
    assert (small["boxes"], small["fast"]) == (6, 0.5)
    assert -1 <= small["ci_low"] < -0.5 < small["ci_high"] <= 0


def test_without_true_masks_nothing_is_said_of_them() -> None:
    content = measured()
    content["rows"] = [line | {"true_iou": None} for line in content["rows"]]
    table = mask_tables.agreement_table(boxes_of(content), **DRAWN)
    assert set(table["measure"]) == {"valid or invalid", "mask IoU"}


def test_shares_of_fig_1_are_those_of_each_run() -> None:
    found = mask_tables.fig1_table(boxes_of(measured()), **DRAWN).set_index("formula")
    assert found["fast"].to_dict() == pytest.approx(
        {"I / N": 3 / 12, "Iₛ / I": 1, "Iₛ / S": 3 / 6, "Iₗ / L": 0}
    )
    assert found.loc["I / N", "exact"] == 0 and math.isnan(found.loc["Iₛ / I", "exact"])
    assert math.isnan(found.loc["Iₛ / I", "difference"])
    assert found.loc["Iₛ / S", "difference"] == pytest.approx(0.5)
    assert found.loc["Iₛ / S", "ci_low"] < 0.5 < found.loc["Iₛ / S", "ci_high"]


def limits(content: dict[str, Any]) -> pd.DataFrame:
    return mask_tables.tables(content, **DRAWN)["limits"].set_index("what")


def test_limits_are_judged_by_what_was_found_and_by_its_interval() -> None:
    table = limits(measured())
    kept = [what for what, row in table.iterrows() if row["kept"]]
    assert kept == [
        "memory of masks, fast / exact", "memory of all beyond pictures, fast / exact",
        "mask IoU, fast − exact", "IoU with the true mask, fast − exact", "Iₗ / L, fast − exact",
    ]  # fmt: skip
    assert table.loc["mask IoU, fast − exact", "found"] == pytest.approx(25)
    assert table.loc["memory of masks, fast / exact", "found"] == pytest.approx(15 / 40)
    assert table["asked"].tolist()[1:4] == ["at most 1", "at most 1", "at least −0.5"]
    assert table.loc["I / N, fast − exact", "asked"] == "−1 to 1"
    assert table.loc["Iₗ / L, fast − exact", "beyond_chance"] is None  # no box differs
    assert table.loc["I / N, fast − exact", "beyond_chance"]


def test_a_limit_that_the_interval_crosses_is_not_decided_beyond_chance() -> None:
    content = measured()
    for line in content["rows"]:
        odd = line["image_id"] % 2
        line["seconds"] = (9.0 if odd else 3.0) if line["run"] != "fast" else 1.0
    table = limits(content)  # 6 times as fast, but 9 on some images and 3 on others
    assert table.loc["time, exact / fast", "found"] == pytest.approx(6)
    assert table.loc["time, exact / fast", "kept"]
    assert not table.loc["time, exact / fast", "beyond_chance"]


def test_a_difference_that_is_just_the_limit_keeps_to_it() -> None:
    interval = {"ci_low": math.nan, "ci_high": math.nan}
    share = {"size": "all", "measure": "mask IoU", "formula": "I / N", **interval}
    memory = pd.DataFrame({"method": ["exact", "fast"], "masks": 2.0, "beyond_pictures": 3.0})
    for exact, fast, kept in ((0.99, 0.985, True), (0.99, 0.9849, False)):
        table = mask_tables.limits_table(
            pd.DataFrame([{"size": "all", "ratio": 6.0, **interval}]),
            pd.DataFrame([{**share, "difference": fast - exact}]),
            pd.DataFrame([{**share, "difference": 2 * (fast - exact)}]),
            memory,
            pd.DataFrame({"workers": [1, 2], "speedup": [1.0, 1.9]}),
        ).set_index("what")
        assert fast - exact < -0.005  # by a rounding error or more
        assert table.loc["mask IoU, fast − exact", "kept"] == kept
        assert table.loc["I / N, fast − exact", "kept"] == kept
