"""What OPMask's switches change in whole models, and what they must leave alone."""

import pytest
import torch
from torch import Tensor, nn

from lib.models.detector import Detector
from lib.models.mask_branch import partial_mask_loss
from lib.models.rpn import IGNORED
from tests.fixtures.models import images_and_targets, tiny_model, truth_of, without_masks

SWITCHES: list[dict[str, object]] = [
    {"prior_norm": "min_max"},
    {"prior_norm": "relu_max", "prior_fusion": "concat"},
    {"prior_norm": "sigmoid", "prior_fusion": "multiply"},
    {"prior_norm": "none", "prior_fusion": "add"},
    {"prior_scale": 4.0},
    {"prior_norm": "min_max", "prior_fusion": "multiply"},
    {"prior_weights": "attached"},
    {"prior_gradient": False},
    {"norm": "gn"},
    {"norm": "syncbn"},
    {"mask_rois": "gt_boxes", "prior_fusion": "concat"},
]
SHAPES = [(64, 80), (80, 64), (72, 56)]


def case(switches: dict[str, object]) -> str:
    return ",".join(map(str, switches.values()))


def losses_of(model: Detector, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return model.train()(*images_and_targets())


def pyramid(count: int, channels: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Random features of images that fit in 80 x 80 pixels."""
    generator = torch.Generator().manual_seed(seed)
    sides = {"0": 20, "1": 10, "2": 5, "3": 3}
    return {n: torch.randn(count, channels, s, s, generator=generator) for n, s in sides.items()}


def random_boxes(count: int, shape: tuple[int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([shape[1], shape[0]])
    low, high = torch.rand(2, count, 2, generator=generator).sort(0).values * (size - 5)
    return torch.cat([low, high + 4], 1)


def lively(model: Detector) -> Detector:
    """Make an untrained model's class scores and boxes differ from proposal to proposal."""
    torch.manual_seed(1)
    heads = model.roi_heads
    nn.init.normal_(heads.box_predictor.cls_score.weight, std=1.0)
    nn.init.normal_(heads.box_predictor.bbox_pred.weight, std=0.5)
    if heads.mask_branch is not None:
        nn.init.normal_(heads.mask_branch.predictor.mask_fcn_logits.weight, std=1.0)
    heads.score_thresh, heads.detections_per_img, heads.return_cams = 0.2, 6, True
    return model.eval()


@torch.no_grad()
def detect(model: Detector, images: list[int]) -> list[dict[str, Tensor]]:
    features = {name: level[images] for name, level in pyramid(len(SHAPES)).items()}
    proposals = [random_boxes(10 + 4 * i, SHAPES[i], seed=i) for i in images]
    return model.roi_heads(features, proposals, [SHAPES[i] for i in images])[0]


@pytest.mark.parametrize("prior_from", ["proposal", "refined"])
@pytest.mark.parametrize("changes", [{}, {"prior_fusion": "concat"}, {"method": "mask_rcnn"}])
def test_images_of_a_batch_are_detected_as_one_at_a_time(prior_from, changes):
    model = lively(tiny_model(**changes))
    model.roi_heads.prior_from = prior_from
    together = detect(model, [0, 1, 2])
    apart = [detect(model, [i])[0] for i in range(3)]
    for one, other in zip(together, apart, strict=True):
        assert len(one["labels"]) > 1
        assert torch.equal(one["labels"], other["labels"])
        for name in ("boxes", "scores", "cams", "mask_probs"):
            torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_cams_are_of_the_box_that_the_switch_names_by_a_loop_over_detections():
    model = lively(tiny_model())
    heads = model.roi_heads
    features = pyramid(len(SHAPES))

    def cam(image: int, box: Tensor, label: int) -> Tensor:
        level = {name: level[image : image + 1] for name, level in features.items()}
        feature_map = heads.box_head(heads.box_roi_pool(level, [box[None]], [SHAPES[image]]))[0]
        weights = heads.box_predictor.cls_score.weight[label]
        return sum((w * c for w, c in zip(weights, feature_map, strict=True)), torch.tensor(0.0))

    for prior_from in ("proposal", "refined"):
        heads.prior_from = prior_from
        for image, result in enumerate(detect(model, [0, 1, 2])):
            proposals = random_boxes(10 + 4 * image, SHAPES[image], seed=image)
            for row, label in enumerate(result["labels"].tolist()):
                if prior_from == "refined":
                    wanted = [cam(image, result["boxes"][row], label)]
                else:  # the mean of its map and the bias decide a proposal's score
                    wanted = [cam(image, p, label) for p in proposals]
                distance = [float((result["cams"][row] - w).abs().max()) for w in wanted]
                assert min(distance) < 1e-4
                if prior_from == "proposal":
                    source = distance.index(min(distance))
                    level = {n: f[image : image + 1] for n, f in features.items()}
                    pooled = heads.box_roi_pool(level, [proposals[source][None]], [SHAPES[image]])
                    scores = heads.box_predictor(heads.box_head(pooled))[0].softmax(-1)[0]
                    torch.testing.assert_close(scores[label], result["scores"][row])


@pytest.mark.parametrize("method", ["faster_rcnn", "mask_rcnn", "opmask"])
def test_cams_on_boxes_are_the_class_weights_on_the_map_of_each_box(method):
    model = tiny_model(method).eval()
    images, targets = images_and_targets()
    truth = truth_of(targets)
    truth[1] = {name: value[:0] for name, value in truth[1].items()}
    seen: list[Tensor] = []
    handle = model.roi_heads.box_head.register_forward_hook(lambda *a: seen.append(a[2]))
    first, second = model.cams_on_boxes(images, truth)
    handle.remove()
    assert first.shape == (3, 7, 7) and second.shape == (0, 7, 7) and not first.requires_grad
    for row, label in enumerate(truth[0]["labels"].tolist()):
        weights = model.roi_heads.box_predictor.cls_score.weight.detach()[label]
        torch.testing.assert_close(first[row], (weights[:, None, None] * seen[0][row]).sum(0))


def test_boxes_of_cams_are_in_pixels_of_the_images_as_given():
    model = tiny_model().eval()  # it makes the shorter side 64
    seen: list[Tensor] = []
    model.roi_heads.box_roi_pool.register_forward_pre_hook(lambda _, a: seen.extend(a[1]))
    boxes = [torch.tensor([[8.0, 16, 40, 64]]), torch.tensor([[2.0, 4, 20, 30]])]
    truth = [{"boxes": b, "labels": torch.tensor([1])} for b in boxes]
    model.cams_on_boxes([torch.rand(3, 128, 160), torch.rand(3, 32, 40)], truth)
    assert torch.equal(seen[0], boxes[0] / 2) and torch.equal(seen[1], boxes[1] * 2)


@pytest.mark.parametrize("switches", SWITCHES, ids=case)
def test_every_switch_learns_everywhere(switches):
    model = tiny_model(**switches)
    losses = losses_of(model)
    sum(losses.values()).backward()
    assert float(losses["loss_mask"].detach()) > 0
    for name, weight in model.named_parameters():
        assert weight.grad is not None and bool(torch.isfinite(weight.grad).all()), name


@pytest.mark.parametrize("left", ["boxes", "nothing"])
@pytest.mark.parametrize("method", ["mask_rcnn", "opmask"])
@pytest.mark.parametrize("mask_rois", ["proposals", "gt_boxes"])
def test_batches_without_masks_train_with_a_mask_loss_of_zero(method, mask_rois, left):
    images, targets = images_and_targets()
    targets = [without_masks(target, 3 if left == "boxes" else 0) for target in targets]
    model = tiny_model(method, mask_rois=mask_rois).train()
    losses = model(images, targets)
    sum(losses.values()).backward()
    assert float(losses["loss_mask"].detach()) == 0
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    mask_weights = model.roi_heads.mask_branch.parameters()
    assert not any(bool(p.grad.any()) for p in mask_weights)


def mask_gradient(model: Detector) -> tuple[bool, bool]:
    """Return whether the mask loss alone reaches the box head, and the classifier."""
    losses_of(model)["loss_mask"].backward()
    head = [p.grad for p in model.roi_heads.box_head.parameters()]
    classifier = model.roi_heads.box_predictor.cls_score.weight.grad
    return (
        any(g is not None and bool(g.any()) for g in head),
        classifier is not None and bool(classifier.any()),
    )


@pytest.mark.parametrize("mask_rois", ["proposals", "gt_boxes"])
@pytest.mark.parametrize(
    ("switches", "reached"),
    [
        ({}, (True, False)),
        ({"prior_weights": "attached"}, (True, True)),
        ({"prior_gradient": False}, (False, False)),
        ({"method": "mask_rcnn"}, (False, False)),
    ],
    ids=["official", "attached", "vanilla", "baseline"],
)
def test_mask_loss_reaches_box_head_and_classifier_as_the_switches_say(
    switches, reached, mask_rois
):
    assert mask_gradient(tiny_model(mask_rois=mask_rois, **switches)) == reached


@pytest.mark.parametrize("method", ["mask_rcnn", "opmask"])
def test_mask_loss_on_true_boxes_is_that_of_the_known_objects_and_their_masks(method):
    _, targets = images_and_targets()
    targets[0]["labels"][1] = IGNORED
    heads = tiny_model(method, mask_rois="gt_boxes", norm="none").roi_heads.train()
    features, shapes = pyramid(2), [(64, 80)] * 2
    rows: list[int] = []
    handle = heads.mask_branch.head.register_forward_hook(lambda *a: rows.append(len(a[2])))
    _, losses = heads(features, [t["boxes"] for t in targets], shapes, targets)
    handle.remove()

    known = [t["labels"] > 0 for t in targets]
    boxes = [t["boxes"][k] for t, k in zip(targets, known, strict=True)]
    assert list(map(len, boxes)) == [2, 3] and rows == [5]
    logits = heads.mask_branch(
        features,
        boxes,
        shapes,
        labels=torch.cat([t["labels"][k] for t, k in zip(targets, known, strict=True)]),
        box_maps=heads.box_head(heads.box_roi_pool(features, boxes, shapes)),
        class_weights=heads.box_predictor.cls_score.weight,
    )
    matched = [torch.tensor([0, 2]), torch.tensor([0, 1, 2])]
    wanted = partial_mask_loss(logits, boxes, matched, targets, shapes)
    torch.testing.assert_close(losses["loss_mask"], wanted)
