import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lib.files import write_text
from lib.metrics.claims import Claim, Claims, Observation
from lib.metrics.significance import holm
from lib.metrics.verdicts import (
    COLUMNS,
    VERDICTS,
    assemble,
    judged,
    read_claims_csv,
    verdict,
)
from tests.fixtures.claims import DIRECTION, VALUE, observe, write

NO_P = math.nan


@pytest.mark.parametrize(
    ("seen", "own", "expected"),
    [
        (Observation("x", 0.3), True, "reproduced"),
        (Observation("x", 0.32), True, "reproduced"),
        (Observation("x", 0.3201), True, "differs"),
        (Observation("x", 0.3, other_schedule=True), True, "measured on another schedule"),
        (Observation("x", 0.3), False, "measured on other data"),
        (Observation("x", None), True, "not run"),
    ],
)
def test_values_are_judged_on_their_own_data_and_schedule_alone(
    seen: Observation, own: bool, expected: str
) -> None:
    assert verdict(Claim(**VALUE), seen, NO_P, own_scale=own) == expected


def test_a_number_of_a_method_without_a_row_says_so() -> None:
    claim = Claim(**VALUE, implemented=False)
    for own in (True, False):
        found = verdict(claim, Observation("x", None), NO_P, own_scale=own)
        assert found == "no implementation here"


@pytest.mark.parametrize(
    ("observed", "p", "expected"),
    [
        (0.2, 0.049, "direction holds"),
        (-0.2, 0.049, "direction fails"),
        (0.2, 0.051, "undecided"),
        (0.2, NO_P, "undecided"),
        (math.nan, 0.01, "not run"),
        (None, 0.01, "not run"),
    ],
)
def test_directions_are_judged_by_p_and_sign(
    observed: float | None, p: float, expected: str
) -> None:
    seen = Observation("x", observed, 0.1, 0.3)
    assert verdict(Claim(**DIRECTION), seen, p, own_scale=False) == expected
    assert expected in VERDICTS


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.1, 0.4), "reproduced"),  # the paper's 0.3 is inside
        ((0.1, 0.28), "reproduced"),  # 0.02 away, the tolerance
        ((0.32, 0.4), "reproduced"),
        ((0.1, 0.27), "same sign, other size"),
        ((0.33, 0.4), "same sign, other size"),
        ((-0.4, -0.1), "differs"),
    ],
)
def test_on_the_papers_own_data_the_size_has_to_agree(
    interval: tuple[float, float], expected: str
) -> None:
    seen = Observation("x", sum(interval) / 2, *interval)
    assert verdict(Claim(**DIRECTION), seen, 0.01, own_scale=True) == expected
    words = Claim(**DIRECTION | {"expected": None, "tolerance": None})
    sign = "differs" if expected == "differs" else "reproduced"
    assert verdict(words, seen, 0.01, own_scale=True) == sign


def test_what_is_measured_otherwise_is_judged_by_its_sign_alone() -> None:
    other = Claim(**DIRECTION | {"quantity": "mask IoU in place of AP", "tolerance": None})
    seen = Observation("x", 0.3, 0.2, 0.4)
    assert verdict(other, seen, 0.01, own_scale=True) == "direction holds"
    shorter = Observation("x", -0.3, -0.4, -0.2, other_schedule=True)
    assert verdict(Claim(**DIRECTION), shorter, 0.01, own_scale=True) == "direction fails"


@pytest.mark.parametrize(("seeds", "judges"), [(1, False), (2, True), (None, True)])
def test_what_was_trained_once_is_not_judged(seeds: float | None, judges: bool) -> None:
    gain = Observation("x", 0.2, 0.1, 0.3, seeds)
    number = Observation("x", 0.3, seeds=seeds)
    for own in (True, False):
        found = verdict(Claim(**DIRECTION), gain, 0.01, own_scale=own)
        assert (found != "not judged: one training") == judges
    assert (verdict(Claim(**VALUE), number, NO_P, own_scale=True) == "reproduced") == judges
    assert verdict(Claim(**VALUE), number, NO_P, own_scale=False) == "measured on other data"


def _claims(*rows: dict[str, Any]) -> Claims:
    return Claims.model_validate({"scales": {"voc": ["paper"]}, "claims": list(rows)})


def test_a_papers_directions_are_corrected_together_and_its_primary_ones_are_not() -> None:
    names = ["A.first", "A.a", "A.b", "A.c", "B.a", "A.once", "A.few"]
    claims = _claims(
        VALUE, *(DIRECTION | {"id": n, "paper": n[0], "primary": n == "A.first"} for n in names)
    )
    p = dict(zip(names, (0.04, 0.01, 0.03, 0.04, 0.04, 0.001, math.nan), strict=True))
    seen = [
        Observation(name, 0.2, 0.1, 0.3, seeds=1 if name == "A.once" else 3, p=value)
        for name, value in p.items()
    ]
    frame = judged(claims, [*seen, Observation(VALUE["id"], 0.3, p=0.0)], profile="demo")
    frame = frame.set_index("id")
    family = dict(zip("abc", holm([0.01, 0.03, 0.04]), strict=True))
    assert family == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    for name, value in family.items():
        assert frame.loc[f"A.{name}", "p_corrected"] == pytest.approx(value)
    assert frame.loc[["A.first", "B.a"], "p_corrected"].tolist() == [0.04, 0.04]
    assert frame.loc[[VALUE["id"], "A.once", "A.few"], "p_corrected"].isna().all()
    verdicts = frame["verdict"].to_dict()
    assert verdicts.pop(VALUE["id"]) == "measured on other data"
    assert verdicts.pop("A.once") == "not judged: one training"
    decided = {name for name, found in verdicts.items() if found == "direction holds"}
    assert decided == {"A.first", "A.a", "B.a"}
    assert {verdicts[name] for name in set(verdicts) - decided} == {"undecided"}
    assert np.isnan(frame.loc[VALUE["id"], "p"])


def test_assemble_merges_writes_and_repeats_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path, VALUE, DIRECTION, {**VALUE, "id": "A.fig1.other", "step": "05_hybrid_results"})
    observe(
        tmp_path,
        "03_invalid_masks",
        {
            "id": DIRECTION["id"],
            "observed": 0.1,
            "ci_low": 0.05,
            "ci_high": 0.2,
            "seeds": 3,
            "p": 0.01,
            "detectable": 0.06,
        },
        {"id": VALUE["id"], "observed": 0.31, "ci_low": None, "ci_high": None},
    )
    observe(tmp_path, "lab/03_invalid_masks", {"id": "A.nothing", "observed": 1.0})
    frame = assemble("demo", root=tmp_path)
    path = tmp_path / "results" / "demo" / "claims.csv"
    first = path.read_bytes()
    assert first.decode().splitlines()[0] == ",".join(COLUMNS)
    assert frame["id"].tolist() == ["A.fig1.rate", DIRECTION["id"], "A.fig1.other"]
    assert frame["verdict"].tolist() == [
        "measured on other data", "direction holds", "not run",
    ]  # fmt: skip
    assert frame["observed"].tolist()[:2] == [0.31, 0.1]
    line = ",0.1,0.05,0.2,3,False,0.01,0.01,0.06,direction holds,"
    assert line in first.decode()  # a number of trainings is whole
    pd.testing.assert_frame_equal(read_claims_csv(path), frame, check_dtype=False)
    assemble("demo", root=tmp_path)
    assert path.read_bytes() == first


def test_the_scale_of_a_profile_decides_and_profiles_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path, VALUE)
    observe(tmp_path, "03_invalid_masks", {"id": VALUE["id"], "observed": 0.4}, profile="paper")
    verdicts = {p: assemble(p, root=tmp_path)["verdict"].item() for p in ("paper", "voc_subset")}
    assert verdicts == {"paper": "differs", "voc_subset": "not run"}


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
    row = {
        "id": "B.table2.gain", "observed": 0.2, "ci_low": 1 / 3, "ci_high": 0.5, "seeds": 5,
        "p": 0.02, "detectable": 0.1, "other_schedule": True,
    }  # fmt: skip
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


def test_a_file_without_later_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    write_text(path, "id,observed,verdict\nA.x,0.5,undecided\n")
    (row,) = read_claims_csv(path).to_dict("records")
    assert (row["observed"], row["primary"], row["quantity"]) == (0.5, False, "")
    assert math.isnan(row["p"])
