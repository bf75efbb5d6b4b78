"""What is random about a training image depends on the image's own seed alone."""

import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from lib.models.sampling import (
    SeededTransform,
    resized_boxes,
    sample_balanced,
    sampled_rows,
    seeds_of,
)
from tests.fixtures.models import images_and_targets, tiny_model


def labels_of(positive: int, negative: int, neither: int, seed: int = 0) -> torch.Tensor:
    labels = torch.tensor([2] * positive + [0] * negative + [-1] * neither)
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


@pytest.mark.parametrize("kind", [torch.int64, torch.float32])
@pytest.mark.parametrize(
    ("positive", "negative", "neither"),
    [(3, 50, 9), (40, 50, 9), (40, 2, 9), (0, 50, 0), (7, 0, 3), (0, 0, 5), (0, 0, 0), (2, 3, 1)],
)
def test_as_many_are_drawn_as_by_the_rule(positive, negative, neither, kind):
    labels = labels_of(positive, negative, neither).to(kind)
    for seed in range(5):
        rows, drawn = sample_balanced(labels, count=16, positive_fraction=0.25, seed=seed)
        chosen = rows[drawn].tolist()
        found = labels[chosen].tolist()
        wanted = min(positive, 4)
        assert len(set(chosen)) == len(chosen)
        assert sum(label >= 1 for label in found) == wanted
        assert sum(label == 0 for label in found) == min(negative, 16 - wanted)
        assert -1 not in found


def test_rows_of_a_batch_are_those_drawn_of_each_image_in_their_order():
    images = [(3, 50, 9), (40, 50, 9), (40, 2, 9), (0, 50, 0), (7, 0, 3), (0, 0, 5), (0, 0, 0)]
    labels = [labels_of(*numbers) for numbers in images]
    rule = {"count": 16, "positive_fraction": 0.25}
    rows, positives = sampled_rows(labels, seeds=range(len(images)), **rule)
    for seed, (of_image, row, positive) in enumerate(zip(labels, rows, positives, strict=True)):
        found, drawn = sample_balanced(of_image, seed=seed, **rule)
        assert row.tolist() == found[drawn].tolist()
        assert (of_image[row] > 0).tolist() == [True] * positive + [False] * (len(row) - positive)


def test_boxes_and_pictures_are_changed_as_torchvision_does_bit_for_bit():
    torch.manual_seed(0)
    boxes = 500 * torch.rand(200, 4)
    for before, after in (((333, 500), (240, 360)), ((7, 3), (320, 137)), ((64, 80), (64, 80))):
        assert torch.equal(resized_boxes(boxes, before, after), resize_boxes(boxes, before, after))
    colours = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    ours, theirs = (kind(64, 96, *colours) for kind in (SeededTransform, GeneralizedRCNNTransform))
    picture = torch.rand(3, 9, 7)
    assert torch.equal(ours.normalize(picture), theirs.normalize(picture))
    whole = (255 * picture).byte()
    assert torch.equal(ours.normalize(whole), theirs.normalize(whole.float() / 255))


def test_every_row_is_as_likely_as_others_of_its_kind():
    labels = labels_of(10, 30, 5)
    times = torch.zeros(len(labels))
    for seed in range(2000):
        rows, drawn = sample_balanced(labels, count=12, positive_fraction=0.5, seed=seed)
        times[rows[drawn]] += 1
    shares = times / 2000
    torch.testing.assert_close(shares[labels == 2], torch.full((10,), 0.6), atol=0.05, rtol=0)
    torch.testing.assert_close(shares[labels == 0], torch.full((30,), 0.2), atol=0.05, rtol=0)
    assert shares[labels == -1].sum() == 0


def test_purposes_have_different_seeds_and_images_without_one_take_the_global_generator():
    assert seeds_of([{"seed": 3}], "anchors") != seeds_of([{"seed": 3}], "rois")
    assert seeds_of([{"seed": 3}, {"seed": 4}], "rois")[1] == seeds_of([{"seed": 4}], "rois")[0]
    torch.manual_seed(0)
    first, second = seeds_of([{}, {}], "rois")
    torch.manual_seed(0)
    assert first != second and seeds_of([{}], "rois") == [first]


def test_scale_of_an_image_does_not_depend_on_its_batch_and_all_scales_are_drawn():
    sizes = [40, 50, 60]
    transform = SeededTransform(sizes, 200, [0.0] * 3, [1.0] * 3).train()
    images, targets = images_and_targets(12)
    for seed, target in enumerate(targets):
        target["seed"] = seed

    def heights(rows: list[int]) -> list[int]:
        return [
            h
            for h, _ in transform([images[i] for i in rows], [targets[i] for i in rows])[
                0
            ].image_sizes
        ]

    together = heights(list(range(12)))
    assert set(together) == set(sizes)
    assert [heights([i])[0] for i in range(12)] == together
    assert heights([7, 2]) == [together[7], together[2]]
    assert transform.eval()([images[0]])[0].image_sizes[0][0] == 60


def test_training_step_is_the_same_whatever_the_global_generator_holds_and_leaves_it_alone():
    images, targets = images_and_targets()
    for seed, target in enumerate(targets):
        target["seed"] = seed
    model = tiny_model(min_size=(48, 64)).train()
    losses = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        losses.append({name: float(x.detach()) for name, x in model(images, targets).items()})
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]
    targets[0]["seed"] = 9
    assert {name: float(x.detach()) for name, x in model(images, targets).items()} != losses[0]
