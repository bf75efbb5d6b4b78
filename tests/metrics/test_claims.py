import math
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from lib.files import write_json, write_text
from lib.metrics.claims import (
    COLUMNS,
    VERDICTS,
    Claim,
    Observation,
    assemble,
    load_claims,
    verdict,
)

VALUE = {
    "id": "A.fig1.rate", "paper": "A", "source": "Sec. 1", "statement": "It is 30 %.",
    "kind": "value", "expected": 0.3, "tolerance": 0.02, "unit": "fraction", "scale": "voc",
    "step": "03_invalid_masks",
}  # fmt: skip
DIRECTION = {
    **{k: v for k, v in VALUE.items() if k != "tolerance"},
    "id": "A.fig1.small_fail_more_often",
    "kind": "direction",
}


def write(root: Path, *claims: dict[str, Any], **more: Any) -> None:
    content = {"scales": {"voc": ["paper"]}, "claims": list(claims), **more}
    (root / "params").mkdir(exist_ok=True)
    (root / "params" / "claims.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def observe(root: Path, step: str, *rows: dict[str, Any], profile: str = "demo") -> None:
    folder = root / "cache" / profile / step
    write_json(folder / "claims.json", list(rows))
    write_json(folder / "stamp.json", {})


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


@pytest.mark.parametrize(
    ("observed", "own", "expected"),
    [
        (Observation("x", 0.3), True, "reproduced"),
        (Observation("x", 0.32), True, "reproduced"),
        (Observation("x", 0.3201), True, "differs"),
        (Observation("x", 0.3), False, "not run at this scale"),
        (Observation("x", None), True, "not run at this scale"),
    ],
)
def test_values_are_judged_at_their_own_scale_alone(
    observed: Observation, own: bool, expected: str
) -> None:
    assert verdict(Claim(**VALUE), observed, own_scale=own) == expected


@pytest.mark.parametrize(
    ("interval", "small", "own"),
    [
        ((0.1, 0.3), "direction holds", "reproduced"),
        ((-0.3, -0.1), "direction fails", "differs"),
        ((-0.1, 0.3), "undecided", "undecided"),
        ((0.0, 0.3), "undecided", "undecided"),
        ((None, None), "undecided", "undecided"),
        ((math.nan, math.nan), "undecided", "undecided"),
    ],
)
def test_directions_are_judged_by_their_interval(interval: Any, small: str, own: str) -> None:
    seen = Observation("x", 0.2, *interval)
    assert verdict(Claim(**DIRECTION), seen, own_scale=False) == small
    assert verdict(Claim(**DIRECTION), seen, own_scale=True) == own
    for nothing in (Observation("x", None), Observation("x", math.nan, 0.1, 0.2)):
        assert verdict(Claim(**DIRECTION), nothing, own_scale=True) == "not run at this scale"
    assert {small, own} <= set(VERDICTS)


@pytest.mark.parametrize(("seeds", "judged"), [(1, False), (2, True), (None, True)])
def test_what_was_trained_once_is_not_judged(seeds: float | None, judged: bool) -> None:
    gain = Observation("x", 0.2, 0.1, 0.3, seeds)
    number = Observation("x", 0.3, seeds=seeds)
    for own in (True, False):
        found = verdict(Claim(**DIRECTION), gain, own_scale=own)
        assert (found != "not judged: one training") == judged
    assert (verdict(Claim(**VALUE), number, own_scale=True) == "reproduced") == judged
    assert verdict(Claim(**VALUE), number, own_scale=False) == "not run at this scale"


def test_assemble_merges_writes_and_repeats_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, VALUE, DIRECTION, {**VALUE, "id": "A.fig1.other", "step": "05_hybrid_results"})
    observe(
        tmp_path,
        "03_invalid_masks",
        {"id": DIRECTION["id"], "observed": 0.1, "ci_low": 0.05, "ci_high": 0.2, "seeds": 3},
        {"id": VALUE["id"], "observed": 0.31, "ci_low": None, "ci_high": None},
    )
    observe(tmp_path, "lab/03_invalid_masks", {"id": "A.nothing", "observed": 1.0})
    frame = assemble("demo", root=tmp_path)
    path = tmp_path / "results" / "demo" / "claims.csv"
    first = path.read_bytes()
    assert first.decode().splitlines()[0] == ",".join(COLUMNS)
    assert frame["id"].tolist() == ["A.fig1.rate", DIRECTION["id"], "A.fig1.other"]
    assert frame["verdict"].tolist() == [
        "not run at this scale", "direction holds", "not run at this scale",
    ]  # fmt: skip
    assert frame["observed"].tolist()[:2] == [0.31, 0.1]
    assert ",0.1,0.05,0.2,3,direction holds," in first.decode()  # a number of trainings is whole
    pd.testing.assert_frame_equal(pd.read_csv(path), frame, check_dtype=False)
    assemble("demo", root=tmp_path)
    assert path.read_bytes() == first


def test_the_scale_of_a_profile_decides_and_profiles_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path, VALUE)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.4}, profile="paper")
    verdicts = {p: assemble(p, root=tmp_path)["verdict"].item() for p in ("paper", "voc_subset")}
    assert verdicts == {"paper": "differs", "voc_subset": "not run at this scale"}


def test_observations_that_belong_nowhere_are_errors(tmp_path: Path) -> None:
    write(tmp_path, VALUE)
    observe(tmp_path, "03_invalid_masks", {"id": "A.fig1.rates", "observed": 0.3})
    with pytest.raises(ValueError, match=r"'A\.fig1\.rates'.*for 'no step'"):
        assemble("demo", root=tmp_path)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.3})
    observe(tmp_path, "05_hybrid_results", {"id": VALUE["id"], "observed": 0.3})
    with pytest.raises(ValueError, match="for '03_invalid_masks', once"):
        assemble("demo", root=tmp_path)


def test_a_step_that_failed_has_observed_nothing(tmp_path: Path) -> None:
    write(tmp_path, VALUE)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.3})
    assert assemble("demo", root=tmp_path)["observed"].item() == 0.3
    (tmp_path / "cache" / "demo" / "03_invalid_masks" / "stamp.json").unlink()
    assert math.isnan(assemble("demo", root=tmp_path)["observed"].item())


def test_a_step_without_a_cache_keeps_its_rows_as_long_as_it_has_a_page(tmp_path: Path) -> None:
    other = {**DIRECTION, "id": "B.table2.gain", "paper": "B", "step": "07_opmask_results"}
    write(tmp_path, VALUE, other)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.3})
    row = {"id": "B.table2.gain", "observed": 0.2, "ci_low": 1 / 3, "ci_high": 0.5, "seeds": 5}
    observe(tmp_path, "07_opmask_results", row)
    page = tmp_path / "results" / "demo" / "notebooks" / "07_opmask_results.html"
    write_text(page, "<html>")
    assemble("demo", root=tmp_path)
    path = tmp_path / "results" / "demo" / "claims.csv"
    before = path.read_bytes()

    shutil.rmtree(tmp_path / "cache")  # a fresh clone, in which one step runs
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.3})
    assert assemble("demo", root=tmp_path)["verdict"].tolist()[1] == "direction holds"
    assert path.read_bytes() == before
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.4})
    assert assemble("demo", root=tmp_path)["observed"].tolist() == [0.4, 0.2]

    failed = tmp_path / "cache" / "demo" / "07_opmask_results"
    failed.mkdir()
    assert math.isnan(assemble("demo", root=tmp_path)["observed"].iloc[1])


def test_rows_of_a_step_without_a_page_go(tmp_path: Path) -> None:
    write(tmp_path, VALUE)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.3})
    assemble("demo", root=tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert math.isnan(assemble("demo", root=tmp_path)["observed"].item())


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ([{**VALUE, "tolerence": 1}], "tolerence"),
        ([VALUE, dict(VALUE)], r"more than once: A\.fig1\.rate"),
        ([{**VALUE, "tolerance": None}], "needs 'expected' and 'tolerance'"),
        ([{**DIRECTION, "tolerance": 0.1}], "A direction has no 'tolerance'"),
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
