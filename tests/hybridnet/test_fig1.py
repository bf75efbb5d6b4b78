import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lib.data.coco import CocoSet, from_coco
from lib.hybridnet import fig1
from lib.masks import rle
from lib.metrics.claims import load_claims
from lib.metrics.verdicts import judged


def frame(rows: list[tuple[int, float, float, bool]]) -> pd.DataFrame:
    """Rows of (image, width, height, valid)."""
    table = pd.DataFrame(rows, columns=["image_id", "width", "height", "valid"])
    return table.assign(
        box_area=table["width"] * table["height"],
        longer_side=table[["width", "height"]].max(axis=1),
        true_area=np.nan,
        difficult=False,
    )


HAND = frame(
    [
        (1, 10, 10, False),
        (1, 100, 100, True),
        (2, 63, 65, False),
        (2, 64, 64, False),
        (3, 32, 127, True),
        (3, 90, 90, True),
        (4, 200, 200, True),
        (4, 80, 80, True),
    ]
)


def random_frame(count: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(5, 200, (count, 2))
    valid = rng.random(count) < sizes.prod(axis=1) / 20000
    images = rng.integers(0, 60, count)
    return frame([(int(i), *s, bool(v)) for i, s, v in zip(images, sizes, valid, strict=True)])


def by_quantity(table: pd.DataFrame) -> dict[str, float]:
    return dict(zip(table["quantity"], table["estimate"], strict=True))


def test_shares_of_a_case_counted_by_hand() -> None:
    found = by_quantity(fig1.shares(HAND, resamples=10))
    assert found["A.fig1.invalid_rate"] == 3 / 8
    assert found["small_share"] == 3 / 8  # 64 x 64 is not below 64 x 64
    assert found["A.fig1.small_share_of_invalid"] == 2 / 3
    assert found["A.fig1.small_invalid_rate"] == 2 / 3
    assert found["A.fig1.large_invalid_rate"] == 1 / 5
    assert found["A.fig1.small_fail_more_often"] == pytest.approx(2 / 3 - 1 / 5)
    assert found["A.fig1.small_majority_of_invalid"] == pytest.approx(2 / 3 - 1 / 2)


def test_images_are_drawn_whole() -> None:
    alike = pd.concat([HAND.assign(image_id=number) for number in range(5)])
    table = fig1.shares(alike, resamples=50)
    assert (table["ci_low"] == table["ci_high"]).all()


@pytest.mark.parametrize("small", [1, 3, 4])
def test_a_few_small_boxes_among_many_images_decide_nothing(small: int) -> None:
    rows = [(i, 100, 100, True) for i in range(50)] + [(i, 10, 10, False) for i in range(small)]
    table = fig1.shares(frame(rows), resamples=200)
    limits = table.set_index("quantity")["ci_low"]
    of_small = [name for name in fig1.QUANTITIES if "small_" in name and "A." in name]
    assert (limits[of_small].notna() == (small == 4)).all()
    assert limits[["small_share", "A.fig1.invalid_rate", "A.fig1.large_invalid_rate"]].notna().all()
    claims = load_claims()
    seen = fig1.observations(table, side=64, valid_from=0.5)
    verdicts = judged(claims, seen, profile="demo").set_index("id")["verdict"]
    expected = "direction holds" if small == 4 else "undecided"
    assert verdicts["A.fig1.small_fail_more_often"] == expected


def test_nothing_invalid_or_nothing_small_is_unknown_and_no_error() -> None:
    table = fig1.shares(HAND[HAND["valid"] & (HAND["box_area"] > 5000)], resamples=20)
    found = by_quantity(table)
    assert found["A.fig1.invalid_rate"] == 0
    assert math.isnan(found["A.fig1.small_share_of_invalid"])
    assert math.isnan(found["A.fig1.small_invalid_rate"])
    assert math.isnan(table.set_index("quantity").loc["A.fig1.small_fail_more_often", "ci_low"])


def test_the_histogram_loses_no_box() -> None:
    some = random_frame()
    bins = fig1.histogram(some)
    assert bins["boxes"].sum() == len(some)
    assert bins["invalid"].sum() == (~some["valid"]).sum()
    assert bins["share_of_invalid"].sum() == pytest.approx(1)
    small = bins[bins["size_to"] <= 64]
    assert small["boxes"].sum() == fig1.is_small(some, "box_area").sum()
    assert fig1.histogram(HAND)["invalid"].tolist() == [1, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    for side in (10, 50, 64, 1000):  # the limit of small is always between two bins
        below = fig1.histogram(some, side=side).query("size_to <= @side")
        assert below["boxes"].sum() == fig1.is_small(some, "box_area", side).sum()


def test_every_claim_about_fig_1_is_observed() -> None:
    shares = fig1.shares(HAND, resamples=5)
    seen = {o.id for o in fig1.observations(shares, side=64, valid_from=0.5)}
    claims = load_claims().claims
    assert seen == {claim.id for claim in claims if claim.id.startswith("A.fig1.")}
    stated = {claim.id: claim.expected for claim in claims}
    table = fig1.beside_paper(fig1.shares(HAND, resamples=5), stated)
    paper = dict(zip(table["quantity"], table["paper"], strict=True))
    assert paper["A.fig1.small_invalid_rate"] == 0.7648
    assert math.isnan(paper["small_share"])


def test_claims_are_observed_by_the_papers_own_definitions_alone() -> None:
    shares = fig1.shares(HAND, side=50, resamples=5)
    assert fig1.observations(shares, side=50, valid_from=0.5) == []
    assert fig1.observations(shares, side=64, valid_from=0.6) == []


def pseudo_set(**changes: object) -> CocoSet:
    mask = np.zeros((100, 100), bool)
    mask[10:20, 10:20] = True
    annotation = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 10], "iscrowd": 0}
    first = {
        **annotation,
        "id": 1,
        "segmentation": rle.encode(mask),
        "pseudo": {"method": "grabcut", "seed": 0, "box_iou": 0.5, "valid": True},
    } | changes
    empty = {"method": "grabcut", "seed": 0, "box_iou": 0.0, "valid": False}
    second = {**annotation, "id": 2, "segmentation": [], "pseudo": empty, "difficult": 1}
    crowd = {**annotation, "id": 3, "segmentation": [], "iscrowd": 1}
    content = {
        "images": [{"id": 1, "file_name": "1.png", "width": 100, "height": 100}],
        "annotations": [first, second, crowd],
        "categories": [{"id": 1, "name": "cat"}],
    }
    return from_coco(content, Path("made.json"), None)


def test_a_file_becomes_a_row_per_box_without_crowd_regions() -> None:
    table = fig1.frame_of(pseudo_set(), pseudo_set())
    assert list(table["annotation_id"]) == [1, 2]
    first, second = table.to_dict("records")
    assert (first["box_area"], first["longer_side"], first["mask_area"]) == (200, 20, 100)
    assert (first["true_area"], first["valid"], first["category"]) == (100, True, "cat")
    assert (second["mask_area"], second["valid"], second["difficult"]) == (0, False, True)
    assert math.isnan(second["true_area"])


def test_variants_say_only_what_the_set_knows() -> None:
    def names(table: pd.DataFrame) -> list[str]:
        found = fig1.variants(table, side=64, resamples=5, seed=0)
        return list(found["variant"].unique())

    plain = names(HAND)
    assert plain == ["box area < 64 x 64", "both sides < 64"]
    everything = HAND.assign(true_area=50.0, difficult=[True, *[False] * 7])
    assert len(names(everything)) == len(plain) + 2
    everything.loc[0, "true_area"] = np.nan
    assert len(names(everything)) == len(plain) + 3
