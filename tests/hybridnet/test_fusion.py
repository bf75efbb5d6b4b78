import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lib.hybridnet.fusion import FusionSettings, Result, calibrated, fuse
from lib.masks import rle
from lib.masks.shapes import ellipse_mask, rectangle_mask

SIDE = 40  # of the images: smaller than 64 x 64
ALL = [
    FusionSettings(small_side=14, size=size, nms=nms, nms_iou=iou, per_class=per_class)
    for size, nms, iou, per_class in product(
        ("box", "mask", "sides"), ("box", "mask"), (0.0, 0.3, 0.5), (True, False)
    )
]


def result(
    box: list[float], score: float, *, image: int = 1, category: int = 1, draw=ellipse_mask
) -> Result:
    x, y, w, h = box
    mask = draw((x, y, x + w, y + h), SIDE, SIDE)
    return {
        "image_id": image,
        "category_id": category,
        "bbox": box,
        "score": score,
        "segmentation": rle.encode(mask),
    }


def detections(
    rng: np.random.Generator, count: int, *, distinct: bool, near: list[Result] | None = None
) -> list[Result]:
    """Random results: some near those of the other branch, beyond the image, without area."""
    made = []
    for _ in range(count):
        box = [*rng.uniform(-4, SIDE, 2), *rng.uniform(2, 26, 2)]
        if near and rng.random() < 0.6:
            box = np.add(near[rng.integers(len(near))]["bbox"], rng.normal(0, 1.5, 4)).tolist()
        if rng.random() < 0.3:  # with equal boxes, and sides at the limit
            box = np.round(np.divide(box, 7)) * 7
        box = [float(box[0]), float(box[1]), *(max(float(side), 0.0) for side in box[2:])]
        if rng.random() < 0.05:
            box[2] = 0.0
        score = rng.random() if distinct else rng.integers(1, 5) / 4
        image, category = (int(number) for number in rng.integers(1, 3, 2))
        draw = ellipse_mask if rng.random() < 0.6 else rectangle_mask
        made.append(result(box, float(score), image=image, category=category, draw=draw))
    return made


def cases(count: int, *, distinct: bool = False) -> Iterator[tuple[list[Result], list[Result]]]:
    rng = np.random.default_rng(11)
    for _ in range(count):
        large = detections(rng, rng.integers(0, 12), distinct=distinct)
        yield large, detections(rng, rng.integers(0, 12), distinct=distinct, near=large)


def naive_iou(a: Result, b: Result, kind: str) -> float:
    if kind == "mask":
        pixels = [set(np.flatnonzero(rle.decode(x["segmentation"], SIDE, SIDE))) for x in (a, b)]
        return len(pixels[0] & pixels[1]) / max(len(pixels[0] | pixels[1]), 1)
    (ax, ay, aw, ah), (bx, by, bw, bh) = a["bbox"], b["bbox"]
    across, down = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    common = across * down if across > 0 and down > 0 else 0.0
    return common / (aw * ah + bw * bh - common) if common else 0.0


def is_small(x: Result, settings: FusionSettings) -> bool:
    _, _, w, h = x["bbox"]
    if settings.size == "sides":
        return max(w, h) < settings.small_side
    mask = rle.decode(x["segmentation"], SIDE, SIDE)
    return (mask.sum() if settings.size == "mask" else w * h) < settings.small_side**2


def same_object(a: Result, b: Result, settings: FusionSettings) -> bool:
    if a["image_id"] != b["image_id"]:
        return False
    if settings.per_class and a["category_id"] != b["category_id"]:
        return False
    return naive_iou(a, b, settings.nms) > settings.nms_iou


def naive_fuse(
    large: list[Result], small: list[Result], settings: FusionSettings
) -> list[tuple[str, int]]:
    """The rule, one result at a time: branch and position of each that is kept."""
    kept = [("large", i) for i, x in enumerate(large) if not is_small(x, settings)]
    source = {"large": large, "small": small}
    waiting = [
        (branch, i)
        for branch in source
        for i, x in enumerate(source[branch])
        if is_small(x, settings)
    ]
    while waiting:
        best = waiting[0]
        for candidate in waiting:
            if source[candidate[0]][candidate[1]]["score"] > source[best[0]][best[1]]["score"]:
                best = candidate
        waiting.remove(best)
        others = [source[branch][i] for branch, i in kept if branch != best[0]]
        if not any(same_object(source[best[0]][best[1]], x, settings) for x in others):
            kept.append(best)
    return sorted(kept)


def test_it_agrees_with_a_naive_implementation_under_all_settings() -> None:
    dropped = 0
    for large, small in cases(60):
        for settings in np.random.default_rng(len(large)).choice(np.array(ALL), 6, replace=False):
            tagged = [[{**x, "number": i} for i, x in enumerate(group)] for group in (large, small)]
            before = copy.deepcopy(tagged)
            fused = fuse(*tagged, settings)
            assert tagged == before
            expected = naive_fuse(large, small, settings)
            assert sorted((x["branch"], x["number"]) for x in fused) == expected
            for x in fused:
                source = tagged[x["branch"] == "small"][x["number"]]
                assert x == {**source, "branch": x["branch"]}
            candidates = len(large) + sum(is_small(x, settings) for x in small)
            dropped += candidates - len(fused)
    assert dropped > 100


def test_output_is_by_image_as_they_appear_and_then_by_score() -> None:
    large = [result([0, 0, 9, 9], s, image=i) for i, s in ((5, 0.2), (3, 0.4), (5, 0.9))]
    small = [result([20, 20, 9, 9], s, image=i) for i, s in ((1, 0.1), (5, 0.9), (5, 0.5))]
    fused = fuse(large, small, FusionSettings())
    assert [(x["image_id"], x["score"], x["branch"]) for x in fused] == [
        (5, 0.9, "large"),
        (5, 0.9, "small"),
        (5, 0.5, "small"),
        (5, 0.2, "large"),
        (3, 0.4, "large"),
        (1, 0.1, "small"),
    ]


def test_hand_made_cases() -> None:
    low, high = result([4, 4, 10, 10], 0.3), result([5, 4, 10, 10], 0.6)  # IoU 9/11
    settings = FusionSettings(small_side=16, size="box")

    def kept(large: list[Result], small: list[Result], **changes) -> list[tuple[str, float]]:
        return [(x["branch"], x["score"]) for x in fuse(large, small, replace(settings, **changes))]

    assert kept([low], [high]) == [("small", 0.6)]
    assert kept([high], [low]) == [("large", 0.6)]
    assert kept([low], [{**high, "score": 0.3}]) == [("large", 0.3)]
    assert kept([low], [high], nms_iou=9 / 11) == [("small", 0.6), ("large", 0.3)]
    assert kept([low, high], []) == [("large", 0.6), ("large", 0.3)]  # each did its own NMS
    assert kept([low], [{**high, "category_id": 2}]) == [("small", 0.6), ("large", 0.3)]
    assert kept([low], [{**high, "category_id": 2}], per_class=False) == [("small", 0.6)]
    # of large size on the large branch: it wins whatever the scores are
    assert kept([low], [high], small_side=10) == [("large", 0.3)]
    wide = result([4, 4, 16, 16], 0.3)  # the limit itself is large
    assert kept([wide], [result([4, 4, 15.9, 15.9], 0.9)]) == [("large", 0.3)]
    # a box of 16 x 16, whose ellipse has fewer pixels, and one with a long side
    assert kept([], [wide]) == []
    assert kept([], [wide], size="mask") == [("small", 0.3)]
    assert kept([], [result([0, 0, 20, 4], 0.3)]) == [("small", 0.3)]
    assert kept([], [result([0, 0, 20, 4], 0.3)], size="sides") == []


def test_outside_the_image_and_without_area_nothing_overlaps() -> None:
    outside = result([SIDE + 3, 2, 9, 9], 0.5)
    point = result([9, 9, 0, 0], 0.5)
    for nms, size in product(("box", "mask"), ("box", "mask", "sides")):
        settings = FusionSettings(nms=nms, size=size, nms_iou=0)
        assert len(fuse([point], [point], settings)) == 2
        assert len(fuse([outside], [outside], settings)) == (1 if nms == "box" else 2)


def test_calibration_by_hand() -> None:
    def group(scores: list[float], category: int = 1) -> list[Result]:
        return [result([0, 0, 9, 9], score, category=category) for score in scores]

    def mapped(large: list[Result], small: list[Result]) -> list[float]:
        return [x["score"] for x in calibrated(large, small)]

    ours = [0.9, 0.1, 0.5, 0.7, 0.3]
    # as many scores: the best becomes the best, and so on; equal ones share a rank
    assert mapped(group(ours), group([5, 1, 3, 4, 2])) == pytest.approx([0.9, 0.1, 0.5, 0.7, 0.3])
    assert mapped(group(ours), group([3, 1, 1, 1, 2])) == pytest.approx([0.9, 0.3, 0.3, 0.3, 0.7])
    assert mapped(group(ours), group(ours)) == pytest.approx(ours)
    # nine scores in the place of five: every other one lies between
    nine = mapped(group(ours), group(list(range(9))))
    assert nine == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert mapped(group(ours), group([0.2])) == [0.5]
    # the other class is too rare in one branch, this one in the other: all go by all classes
    large, small = group(ours) + group([1.0], 2), group([1, 2, 3, 4]) + group([9, 8], 2)
    assert mapped(large, small) == pytest.approx([0.1, 0.3, 0.5, 0.7, 1.0, 0.9])
    assert mapped([], small) == [1, 2, 3, 4, 9, 8]
    assert mapped(large, []) == []


def test_calibrated_scores_decide_and_are_those_of_the_output() -> None:
    large = [result([4, 4, 9, 9], s, image=i) for i, s in enumerate((0.1, 0.2, 0.3, 0.4, 0.5))]
    small = [result([4, 4, 9, 9], s, image=i) for i, s in enumerate((0.99, 0.98, 0.97, 0.96, 0.95))]
    assert {x["branch"] for x in fuse(large, small, FusionSettings())} == {"small"}
    fused = fuse(large, small, FusionSettings(calibration="quantile"))
    assert [(x["branch"], round(x["score"], 9)) for x in fused] == [
        ("small", 0.5),
        ("small", 0.4),
        ("large", 0.3),  # equal: the large branch first
        ("large", 0.4),
        ("large", 0.5),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"small_side": 0},
        {"small_side": float("nan")},
        {"nms_iou": 1.5},
        {"nms_iou": -0.1},
        {"size": "area"},
        {"nms": "segm"},
        {"calibration": "rank"},
    ],
)
def test_settings_that_do_not_exist_are_a_sentence(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FusionSettings(**wrong)
