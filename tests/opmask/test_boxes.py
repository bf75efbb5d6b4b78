"""What paper B's models detect, and when that is enough to judge claims, on a small made set."""

import numpy as np
import pandas as pd
import pytest

from lib.opmask import boxes
from lib.opmask.predictions import METHODS, judge, main_models
from lib.pages.comparable import reaches
from tests.fixtures.opmask import Made


@pytest.fixture
def table(opmask_study: Made) -> pd.DataFrame:
    models = main_models(opmask_study.models)
    return boxes.box_table(judge(opmask_study.val, models, "bbox"), models)


def test_box_ap_ignores_masks_and_claims_need_every_compared_model(table: pd.DataFrame) -> None:
    assert table["box_AP50"].tolist() == pytest.approx([100.0] * len(table))
    assert not table["variant"].str.startswith("ablation").any()
    compared = boxes.compared(table)
    assert set(compared["method"]) == set(METHODS)
    assert reaches(compared, 0.4)
    table.loc[table["variant"] == "mask_rcnn.voc", "box_AP50"] = 10.0
    assert reaches(boxes.compared(table), 0.4)  # not one of those that claims compare
    table.loc[table["variant"] == "baseline.non_voc", "box_AP50"] = 39.9
    line = boxes.floor_line(boxes.compared(table), 0.4)
    assert "NO" in line and "39.9 (baseline, non-voc → voc)" in line
    assert not reaches(boxes.compared(table), 0.4)
    assert not reaches(compared.assign(box_AP50=np.nan), 0.4)
    assert "nothing to compare" in boxes.floor_line(compared.iloc[:0], 0.4)


def test_a_model_that_finds_too_little_is_named(table: pd.DataFrame) -> None:
    every = set(table["variant"])
    assert boxes.reaching(table, 0.4) == every
    table.loc[table["variant"] == "faster_rcnn.all", "box_AP50"] = 39.9
    table.loc[table["variant"] == "opmask.voc", "box_AP50"] = np.nan
    assert boxes.reaching(table, 0.4) == every - {"faster_rcnn.all", "opmask.voc"}
