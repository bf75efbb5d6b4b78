import pytest

from lib.data.categories import (
    COCO_CLASSES,
    OFFICIAL_40_EXTRA,
    VOC_NAMES,
    Categories,
    Category,
    canonical,
)

COCO = Categories([Category(*c) for c in COCO_CLASSES])
VOC_OWN_NAMES = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
]  # fmt: skip


def test_labels_are_contiguous_in_the_order_of_the_ids() -> None:
    categories = Categories([Category(90, "c"), Category(2, "a"), Category(7, "b")])
    assert categories.ids == (2, 7, 90)
    assert [categories.label_of(i) for i in (2, 7, 90)] == [1, 2, 3]
    assert [categories.id_of(k) for k in (1, 2, 3)] == [2, 7, 90]
    assert [categories.name_of(k) for k in (1, 2, 3)] == list(categories.names) == ["a", "b", "c"]


def test_coco_has_its_80_classes_and_their_ids() -> None:
    assert len(COCO) == 80
    assert COCO.label_of(90) == 80
    assert COCO.name_of(COCO.label_of(62)) == "chair"
    absent = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # ids that COCO 2017 does not use
    assert set(COCO.ids) == set(range(1, 91)) - absent


def test_voc_and_non_voc_divide_coco_into_20_and_60() -> None:
    voc, others = COCO.split("voc"), COCO.split("non_voc")
    assert (len(voc), len(others)) == (20, 60)
    assert voc | others == COCO.split("all") and not voc & others
    assert {COCO.name_of(k) for k in voc} == set(VOC_NAMES)


def test_official_40_is_voc_and_20_others() -> None:
    labels = COCO.split("official_40")
    assert len(labels) == 40 and COCO.split("voc") < labels
    # the indices that the official code lists (contiguous, counted from 0)
    listed = [9, 10, 13, 23, 24, 25, 26, 36, 42, 47, 48, 49, 52, 54, 61, 63, 70, 74, 76, 79]
    assert {k - 1 for k in labels - COCO.split("voc")} == set(listed)
    assert len(set(OFFICIAL_40_EXTRA) & set(COCO.names)) == 20


def test_vocs_own_names_mean_the_same_classes() -> None:
    voc = Categories([Category(i, name) for i, name in enumerate(VOC_OWN_NAMES, start=1)])
    assert voc.split("voc") == voc.split("all") and not voc.split("non_voc")
    assert sorted(canonical(name) for name in VOC_OWN_NAMES) == sorted(VOC_NAMES)
    assert voc.split(["motorcycle", "tv"]) == voc.split(["motorbike", "tvmonitor"])


def test_named_splits_are_cut_to_the_classes_that_exist() -> None:
    few = Categories([Category(1, "dog"), Category(2, "zebra"), Category(3, "bench")])
    assert few.split("voc") == {1}
    assert few.split("non_voc") == {2, 3}
    assert few.split("official_40") == {1, 3}
    assert few.split("none") == frozenset()
    assert few.split([]) == frozenset()


def test_unknown_names_get_the_nearest_right_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'zebra'"):
        COCO.split(["cat", "zebr"])
    with pytest.raises(ValueError, match="did you mean 'non_voc'"):
        COCO.split("nonvoc")


def test_unknown_ids_and_labels_are_sentences() -> None:
    with pytest.raises(ValueError, match="no category with id 12"):
        COCO.label_of(12)
    for label in (0, 81, -1):
        with pytest.raises(ValueError, match="Labels run from 1 to 80"):
            COCO.name_of(label)
