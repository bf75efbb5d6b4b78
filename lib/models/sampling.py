"""What is random about a training image: its scale, and which anchors and RoIs it is taught with.

All of it derives from a seed that comes with the image's target. So it does not depend on which
other images are in the batch, nor on which process has the image. There is one way in which it
does: anchors lie on the grid of the padded batch, so an image that is padded otherwise, because
other images are beside it, has other anchors sampled. It is then taught with another sample of the
same distribution.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from lib.seeds import derive


def seeds_of(targets: Sequence[Mapping[str, Any]], purpose: str) -> list[int]:
    """Return a seed for each image, from its target's ``seed`` (a number) and the purpose.

    Targets without one get theirs from torch's global generator.
    """
    return [
        derive(target["seed"] if "seed" in target else int(torch.randint(2**31, ())), purpose)
        for target in targets
    ]


def sample_balanced(
    labels: Tensor, *, count: int, positive_fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw positives and negatives of one image, as torchvision's balanced sampler does.

    Each row gets a random key and the highest ones are drawn, at most ``positive_fraction`` of
    ``count`` positives and negatives for the rest. All shapes are known beforehand, so that a GPU
    need not be waited for: what could not be filled is marked instead of left out.

    Args:
        labels: ``[A]``: 1 and more are positive, 0 negative, and others never drawn.
        count: rows to draw.
        positive_fraction: the largest part of them that is positive.
        seed: the draw depends on nothing else.

    Returns:
        ``[S]`` int64 rows without repetition among those drawn, and ``[S]`` bool: whether a row is
        drawn, positives first.
    """
    generator = torch.Generator(labels.device)
    generator.manual_seed(seed)
    keys = torch.rand(len(labels), generator=generator, device=labels.device)
    wanted = min(int(count * positive_fraction), len(labels))
    best, positive = torch.where(labels >= 1, keys, -1.0).topk(wanted)
    drawn = best >= 0
    best, negative = torch.where(labels == 0, keys, -1.0).topk(min(count, len(labels)))
    room = torch.arange(len(best), device=labels.device) < count - drawn.sum()
    return torch.cat([positive, negative]), torch.cat([drawn, (best >= 0) & room])


def sampled_rows(
    labels: Sequence[Tensor], *, count: int, positive_fraction: float, seeds: Sequence[int]
) -> tuple[list[Tensor], list[int]]:
    """Return what `sample_balanced` draws of each image, and how many are positive: the first.

    What is drawn comes first among the positives and among the others, so that only the counts
    have to be known: a GPU is waited for once.
    """
    samples = [
        sample_balanced(of_image, count=count, positive_fraction=positive_fraction, seed=seed)
        for of_image, seed in zip(labels, seeds, strict=True)
    ]
    counts = [
        torch.stack([(drawn & (of_image[found] > 0)).sum(), drawn.sum()])
        for (found, drawn), of_image in zip(samples, labels, strict=True)
    ]
    rows, positives = [], []
    for (found, _), of_image, (positive, drawn) in zip(
        samples, labels, torch.stack(counts).tolist(), strict=True
    ):
        others = found[len(found) - min(count, len(of_image)) :]
        rows.append(torch.cat([found[:positive], others[: drawn - positive]]))
        positives.append(positive)
    return rows, positives


class SampledRois(NamedTuple):
    """The RoIs of a training batch, per image, the foreground first.

    Attributes:
        boxes: ``[R, 4]`` xyxy, in pixels of the resized image.
        matched: ``[R]`` int64, the instance of each.
        labels: ``[R]`` int64 in 0..K; 0 is background.
        regression: ``[R, 4]``, wanted deltas; of no meaning for background.
        foreground: how many are foreground.
    """

    boxes: list[Tensor]
    matched: list[Tensor]
    labels: list[Tensor]
    regression: list[Tensor]
    foreground: list[int]

    def of_foreground(self, values: Tensor) -> Tensor:
        """Return the foreground's rows among those of all images' RoIs."""
        parts = values.split([len(boxes) for boxes in self.boxes])
        return torch.cat([x[:count] for x, count in zip(parts, self.foreground, strict=True)])


def resized_boxes(boxes: Tensor, before: tuple[int, int], after: tuple[int, int]) -> Tensor:
    """Return boxes ``[N, 4]`` of an image of another (height, width), as torchvision does.

    A GPU is not waited for: the ratios are numbers of the CPU.
    """
    down, across = torch.tensor(after, dtype=torch.float32) / torch.tensor(before)
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack((x1 * across, y1 * down, x2 * across, y2 * down), dim=1)


class Seeded:
    """A part of torchvision's detectors that draws in a method which is not given the targets.

    The contract: the method that torchvision's own code calls with the targets sets ``seeds``, one
    for each image at hand, and the method that draws, called later within the same call, reads
    them. Nothing else does either.
    """

    seeds: Sequence[int] = ()


class SeededTransform(Seeded, GeneralizedRCNNTransform):
    """torchvision's transform, with each training image's scale from the image's own seed."""

    def resize(
        self, image: Tensor, target: dict[str, Any] | None = None
    ) -> tuple[Tensor, dict[str, Any] | None]:
        """Return an image, and in training its target, in the size that is drawn for it."""
        if self.training and target is not None:
            self.seeds = seeds_of([target], "size")
        return super().resize(image, target)

    def normalize(self, image: Tensor) -> Tensor:
        """Return an image, uint8 or float in 0..1, as float with the backbone's mean and scale.

        As torchvision does, but a GPU is not waited for.
        """
        values = image if image.is_floating_point() else image.float() / 255
        mean, std = (
            torch.tensor(x, dtype=values.dtype).to(values.device, non_blocking=True)[:, None, None]
            for x in (self.image_mean, self.image_std)
        )
        return (values - mean) / std

    def torch_choice(self, k: Sequence[int]) -> int:
        """Return one of the sizes."""
        return k[self.seeds[0] % len(k)] if len(k) > 1 else k[0]
