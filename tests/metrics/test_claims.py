from pathlib import Path
from typing import Any

import pytest

from lib.metrics.claims import load_claims
from tests.fixtures.claims import DIRECTION, VALUE, write

PRIMARY = {
    "A.fig1.small_fail_more_often",
    "A.table2.AP_S.small_branch_above_baseline",
    "A.table2.AP_L.large_branch_above_baseline",
    "A.table2.AP_S.hybrid_above_baseline",
    "A.table2.AP_L.hybrid_above_baseline",
    *(f"B.table2.{way}.AP.opmask_above_baseline" for way in ("voc_to_nonvoc", "nonvoc_to_voc")),
    *(f"B.maskiou.{way}.opmask_above_baseline" for way in ("voc_to_nonvoc", "nonvoc_to_voc")),
}


def test_the_list_of_claims_is_valid_and_has_what_other_tools_rely_on() -> None:
    claims = {claim.id: claim for claim in load_claims().claims}
    rates = {"invalid_rate": 0.3, "small_share_of_invalid": 0.5554, "small_invalid_rate": 0.7648}
    for name, expected in {**rates, "large_invalid_rate": 0.2320}.items():
        assert claims[f"A.fig1.{name}"].expected == expected
        assert claims[f"A.fig1.{name}"].unit == "fraction"
    assert claims["B.table2.voc_to_nonvoc.R50.OPMask.AP"].expected == 31.9
    assert claims["B.fig3.baseline.p_value"].expected == 0.003
    assert claims["A.table2.AP_S.hybrid_above_baseline"].kind == "direction"
    assert all(claim.statement.endswith(".") for claim in claims.values())


def test_directions_agree_with_the_values_that_they_are_drawn_from() -> None:
    claims = {claim.id: claim.expected for claim in load_claims().claims}
    for split in ("voc_to_nonvoc", "nonvoc_to_voc"):
        for metric in ("AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L"):
            ours, baseline = (
                claims[f"B.table2.{split}.R50.{method}.{metric}"]
                for method in ("OPMask", "Our_Mask_RCNN")
            )
            drawn = claims[f"B.table2.{split}.{metric}.opmask_above_baseline"]
            assert drawn == pytest.approx((ours or 0) - (baseline or 0))
            assert drawn is not None and drawn > 0
    # What the text of paper B says of Table 2 (Sec. 4.3).
    assert claims["B.table2.nonvoc_to_voc.AP.opmask_above_baseline"] == pytest.approx(10.1)
    assert claims["B.table2.voc_to_nonvoc.AP.opmask_above_baseline"] == pytest.approx(13.0)


def test_primary_claims_are_the_few_that_were_named_before_the_run() -> None:
    claims = {claim.id: claim for claim in load_claims().claims}
    assert {name for name, claim in claims.items() if claim.primary} == PRIMARY
    others = ("DeepMask", "DeepLabBOX", "Mask_X_RCNN", "ShapeProp", "ShapeMask", "CPMask")
    for name, claim in claims.items():
        built = not any(f".{other}." in name for other in others)
        assert claim.implemented == built


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ([{**VALUE, "tolerence": 1}], "tolerence"),
        ([VALUE, dict(VALUE)], r"more than once: A\.fig1\.rate"),
        ([{**VALUE, "tolerance": None}], "needs 'expected' and 'tolerance'"),
        ([{**VALUE, "tolerance": 0.3}], "tolerance below the value itself, 0.3, found 0.3"),
        ([{**VALUE, "primary": True}], "Only a direction is 'primary'"),
        ([{**DIRECTION, "tolerance": None}], "A direction has a 'tolerance' if"),
        ([{**DIRECTION, "expected": None}], "A direction has a 'tolerance' if"),
        ([{**DIRECTION, "quantity": "another"}], "A direction has a 'tolerance' if"),
        ([{**VALUE, "paper": "B"}], "claim of paper B begins with it"),
    ],
)
def test_a_wrong_list_is_met_by_a_sentence(tmp_path: Path, claims: Any, message: str) -> None:
    write(tmp_path, *claims)
    with pytest.raises(ValueError, match=message):
        load_claims(root=tmp_path)


def test_a_missing_or_broken_list_is_met_by_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="list of the papers' claims"):
        load_claims(root=tmp_path)
