"""A set of which nobody knows the true masks: paper B's figures are empty, and no error."""

import matplotlib as mpl

from lib.metrics.claims import load_claims
from lib.opmask import ablation, per_class, table1, table2
from lib.opmask.predictions import judge
from tests.fixtures.opmask import Made, without_masks

DRAWN = {"resamples": 20, "seed": 0}


def test_a_set_without_true_masks_has_empty_figures_and_no_error(opmask_study: Made) -> None:
    mpl.use("agg")
    models, val = opmask_study.models, without_masks(opmask_study.val)
    results, claims = judge(val, models, "segm"), load_claims()
    by_split = table2.table2(results, models, claims=claims, **DRAWN)
    for drawn in (
        table2.ap_figure(by_split),
        table2.gain_figure(by_split),
        table1.ap_figure(table1.table1(val, models, claims=claims, iou_from=0.5, **DRAWN)),
        per_class.per_class_figure(per_class.per_class_table(results, models)),
        ablation.ablation_figure(ablation.ablation_table(val, models, iou_from=0.5, **DRAWN)),
    ):
        if drawn is not None:
            drawn.canvas.draw()
