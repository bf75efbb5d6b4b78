import re

import pandas as pd
import pytest

from lib.metrics.claims import Claims, Observation
from lib.metrics.verdicts import judged
from lib.pages.claims_table import (
    claim_checks,
    claims_table,
    finding,
    number_writer,
    paragraph,
)

ROWS = [
    ("A.fig1.rate", "value", 0.5554, 0.02, "fraction", "03_invalid_masks"),
    ("A.fig1.small_fail", "direction", 0.5328, 0.02, "fraction", "03_invalid_masks"),
    ("A.table2.AP", "value", 23.73, 1.0, "points", "05_hybrid_results"),
    ("B.table2.AP", "value", 31.9, 0.3, "points", "07_opmask_results"),
    ("B.table2.gain", "direction", 13.0, 0.3, "points", "07_opmask_results"),
    ("B.table2.gain_small", "direction", None, None, "points", "07_opmask_results"),
    ("B.fig3.p_value", "value", 0.003, 0.002, "p", "08_overlap_regression"),
]
SEEN = [
    Observation("A.fig1.rate", 0.21, 0.18, 0.25),
    Observation("A.fig1.small_fail", -0.1, -0.2, -0.05, p=0.0001, detectable=0.06),
    Observation("B.table2.gain", 5.04, 2.0, 8.0, 3, p=0.012, detectable=4.0),
    Observation("B.table2.gain_small", 1.0, -2.0, 4.0, p=0.3, detectable=4.5),
]
PRIMARY = "A.fig1.small_fail"


@pytest.fixture
def claims() -> Claims:
    rows = [
        {
            "id": name, "paper": name[0], "source": "Sec. 1", "statement": f"It is <so>: {name}.",
            "kind": kind, "expected": expected, "tolerance": tolerance, "unit": unit,
            "scale": "coco", "step": step, "primary": name == PRIMARY,
            "quantity": "mask IoU in place of AP" if name.endswith("gain_small") else "",
        }
        for name, kind, expected, tolerance, unit, step in ROWS
    ]  # fmt: skip
    return Claims.model_validate({"scales": {"coco": ["paper"]}, "claims": rows})


@pytest.fixture
def frame(claims: Claims) -> pd.DataFrame:
    return judged(claims, SEEN, profile="demo")


def test_every_claim_is_there_once_in_its_paper(claims: Claims, frame: pd.DataFrame) -> None:
    for paper in "AB":
        table = claims_table(frame, claims, paper)
        names = sorted((n for n, *_ in ROWS if n[0] == paper), key=lambda n: n != PRIMARY)
        assert re.findall(r'class="id">([^<]+)<', table.html) == names
        assert [line.split()[0] for line in repr(table).splitlines()] == names
        assert "It is &lt;so&gt;" in table.html


def test_numbers_are_in_the_papers_units_and_decimals(claims: Claims, frame: pd.DataFrame) -> None:
    first, second = repr(claims_table(frame, claims, "A")), repr(claims_table(frame, claims, "B"))
    for text in ("55.54 %", "21.00 %", "18.00 to 25.00 %", "+53.28 %", "−10.00 %", "23.73"):
        assert text in first
    for text in ("31.9", "+13.0", "+5.0", "+2.0 to +8.0, p = 0.012", "−2.0 to +4.0", "0.003"):
        assert text in second


def test_seeds_are_shown_and_what_an_undecided_effect_had_to_be(
    claims: Claims, frame: pd.DataFrame
) -> None:
    first, second = (claims_table(frame, claims, paper).html for paper in "AB")
    assert '<td class="number">3</td>' in second and '<td class="number">–</td>' in first
    assert second.count("4.5 would have been seen") == 1
    assert "would have been seen" not in first
    assert second.count("corrected p = 0.024") == 1  # two are judged together
    assert "corrected" not in first and first.count(">primary<") == 1
    assert "another quantity than the paper&#x27;s: mask IoU in place of AP" in second


def test_a_steps_page_leaves_to_the_summary_what_other_steps_bear_on(claims: Claims) -> None:
    table = claim_checks(SEEN, claims, profile="demo")
    shown = dict(
        re.findall(r'class="id">([^<]+)<.*?<span class="verdict[^>]*>([^<]+)<', table.html)
    )
    assert shown == {
        "A.fig1.rate": "measured on other data",
        "A.fig1.small_fail": "direction fails",
        "B.table2.gain": "in the summary",
        "B.table2.gain_small": "undecided",
    }
    assert "in 99_summary" in table.html and "corrected p" not in table.html
    alone = claim_checks(SEEN[:2], claims, profile="demo")
    assert "99_summary" not in alone.html


def test_the_head_of_a_page_has_what_became_of_its_primary_claims(claims: Claims) -> None:
    text = finding(SEEN, claims, profile="demo")
    assert f"- **direction fails**: It is <so>: {PRIMARY}. −10.00 % (−20.00 to −5.00 %" in text
    assert "B.table2" not in text and "2 further directions" in text
    others = finding(SEEN[2:], claims, profile="demo")
    assert "- **in the summary**: It is <so>: B.table2.gain. +5.0" in others
    assert "- **undecided**: It is <so>: B.table2.gain_small." in others
    assert "further" not in others and "primary" not in others
    assert "No claim" in finding(SEEN[:1], claims, profile="demo")  # a value is no direction


def test_one_training_is_not_judged_and_the_paragraph_says_so(claims: Claims) -> None:
    frame = judged(
        claims, [Observation("B.table2.gain", 5.04, 2.0, 8.0, 1, p=0.01)], profile="demo"
    )
    assert "not judged: one training" in claims_table(frame, claims, "B").html
    assert "1 not judged, since one training decides nothing" in paragraph(frame, "demo")


def test_a_number_that_is_not_zero_does_not_look_like_it() -> None:
    write = number_writer("points", 13.0, signed=True)
    assert [write(value) for value in (-0.042, 0.0064, -1e-30)] == ["−0.04", "+0.01", "+0.0"]
    assert number_writer("fraction", 0.3, signed=False)(0.0004) == "0.04 %"


def test_unobserved_claims_are_not_run_whatever_the_scale(frame: pd.DataFrame) -> None:
    assert frame.set_index("id")["verdict"].to_dict() == {
        "A.fig1.rate": "measured on other data",
        "A.fig1.small_fail": "direction fails",
        "A.table2.AP": "not run",
        "B.table2.AP": "not run",
        "B.table2.gain": "direction holds",
        "B.table2.gain_small": "undecided",
        "B.fig3.p_value": "not run",
    }


def test_the_paragraph_says_what_the_frame_says(claims: Claims, frame: pd.DataFrame) -> None:
    text = paragraph(frame, "demo")
    assert "observed **4 of 7** claims" in text
    assert "HybridNet: of 1 primary claims, 0 come out as the paper says" in text
    assert "1 the other way round (`A.fig1.small_fail`)" in text
    together = "OPMask: of 2 directions, corrected together, 1 come out as the paper says"
    assert f"{together}, 1 cannot be told" in text
    assert "without a verdict" in text
    assert "Nothing yet from `05_hybrid_results`, `08_overlap_regression`." in text
    own = [Observation("B.table2.AP", 31.7), Observation("A.table2.AP", 30.0)]
    assert "1 of 2 are reproduced" in paragraph(judged(claims, own, profile="paper"), "paper")
    assert "observed **0 of 7**" in paragraph(judged(claims, [], profile="demo"), "demo")
