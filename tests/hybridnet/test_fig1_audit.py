import numpy as np
import pytest

from lib.hybridnet import fig1_audit

PRINTED = {"a": 0.5554, "b": 0.7648, "c": 0.2320, "r": 0.30}


def counted(seed: int) -> dict[str, float]:
    """The four ratios of a random table of counts: consistent by construction."""
    small_invalid, small_valid, large_invalid, large_valid = (
        int(n) for n in np.random.default_rng(seed).integers(1, 1000, 4)
    )
    invalid = small_invalid + large_invalid
    return {
        "a": small_invalid / invalid,
        "b": small_invalid / (small_invalid + small_valid),
        "c": large_invalid / (large_invalid + large_valid),
        "r": invalid / (invalid + small_valid + large_valid),
    }


@pytest.mark.parametrize("seed", range(20))
def test_numbers_that_were_counted_imply_each_other(seed: int) -> None:
    ratios = counted(seed)
    table = fig1_audit.audit(**ratios)
    assert table["implied"].tolist() == pytest.approx(table["printed"].tolist())
    assert table["agrees"].all()
    assert np.ptp(table["small_share"]) == pytest.approx(0, abs=1e-9)


def test_the_papers_numbers_contradict_each_other() -> None:
    table = fig1_audit.audit(**PRINTED).set_index("quantity")
    implied = table["implied"]
    assert implied["A.fig1.invalid_rate"] == pytest.approx(0.3784, abs=5e-5)
    assert table.loc["A.fig1.invalid_rate", "small_share"] == pytest.approx(0.275, abs=5e-4)
    assert implied["A.fig1.large_invalid_rate"] == pytest.approx(0.171, abs=5e-4)
    assert table.loc["A.fig1.large_invalid_rate", "small_share"] == pytest.approx(0.218, abs=5e-4)
    assert implied["A.fig1.small_invalid_rate"] == pytest.approx(0.392, abs=5e-4)
    assert implied["A.fig1.small_share_of_invalid"] == pytest.approx(0.325, abs=5e-4)
    assert implied["S/N + L/N"] == pytest.approx(0.793, abs=5e-4)
    assert not table["agrees"].any()


def test_rounding_cannot_explain_the_contradiction() -> None:
    row = fig1_audit.audit(**PRINTED).set_index("quantity").loc["A.fig1.invalid_rate"]
    assert 0.378 < row["implied_low"] < row["implied"] < row["implied_high"] < 0.379


def test_the_range_holds_every_value_that_rounds_to_the_printed_ones() -> None:
    rng = np.random.default_rng(0)
    table = fig1_audit.audit(**PRINTED).set_index("quantity")
    for _ in range(200):
        given = {k: PRINTED[k] + rng.uniform(-1, 1) * (5e-3 if k == "r" else 5e-5) for k in PRINTED}
        for quantity, (name, formula) in fig1_audit.IMPLIED.items():
            value = formula(**{k: v for k, v in given.items() if k != name})
            row = table.loc[quantity]
            assert row["implied_low"] <= value <= row["implied_high"]
