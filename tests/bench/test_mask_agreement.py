"""Agreement of the fast method beside that of two seeds, from hand-made measurements."""

import math

import pytest

from lib.bench.mask_agreement import agreement_table, fig1_table
from lib.bench.mask_boxes import boxes_of
from tests.bench.measured import DRAWN, measured


def test_agreement_with_the_fast_method_stands_beside_that_of_two_seeds() -> None:
    table = agreement_table(boxes_of(measured()), **DRAWN)
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
    table = agreement_table(boxes_of(content), **DRAWN)
    assert set(table["measure"]) == {"valid or invalid", "mask IoU"}


def test_shares_of_fig_1_are_those_of_each_run() -> None:
    table = fig1_table(boxes_of(measured()), **DRAWN)
    found = table.set_index("formula")
    assert found["fast"].to_dict() == pytest.approx(
        {"I / N": 3 / 12, "Iₛ / I": 1, "Iₛ / S": 3 / 6, "Iₗ / L": 0}
    )
    assert found.loc["I / N", "exact"] == 0 and math.isnan(found.loc["Iₛ / I", "exact"])
    assert math.isnan(found.loc["Iₛ / I", "difference"])
    assert found.loc["Iₛ / S", "difference"] == pytest.approx(0.5)
    assert found.loc["Iₛ / S", "ci_low"] < 0.5 < found.loc["Iₛ / S", "ci_high"]
