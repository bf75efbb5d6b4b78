"""Studies in which nothing differs: how often they find a difference all the same.

Each made study measures several effects on the same images with several trainings, all of them zero
in truth, by the very code that judges real ones. What is found is chance.

In 400 studies with 20 effects each, an effect judged alone was found in 1 to 6 % of cases, and one
or more of a study in 14 to 54 %, by where the chance comes from. By Holm it was 1 to 14 % with
three trainings (4 % where they differ little, most where they differ most) and 1 to 7 % with five.
Degrees of freedom that are estimated from three trainings are at times too many, which tells in the
far tail that Holm looks at.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lib.metrics.bootstrap import Score, image_weights
from lib.metrics.seeds import SeedScores
from lib.metrics.significance import LEVEL


@dataclass(frozen=True)
class Chance:
    """Where the chance in a made effect comes from: standard deviations.

    Attributes:
        seed: of what a training does to all images alike.
        image: of what an image does to all trainings alike; skewed, as scores of images are.
        both: of what a training does to one image and not to the next.
        shared: share of the variance that all effects of a study have in common, as those of one
            pair of models have.
    """

    seed: float
    image: float
    both: float
    shared: float = 0.5


CHANCES = {
    "images alone": Chance(0, 1, 0),
    "some of each": Chance(0.1, 1, 0.5),
    "trainings more than images": Chance(0.2, 0.5, 0.5),
    "trainings above all": Chance(1, 0.5, 0.5),
    "each image in each training": Chance(0, 0, 1),
}
"""Mixes of chance as people read them, of 60 images."""


class Rates(NamedTuple):
    """How often something is found where there is nothing, as shares of 1.

    Attributes:
        single: an effect, judged alone.
        family: one effect or more of a study, each judged alone.
        corrected: one or more, judged together by Holm.
    """

    single: float
    family: float
    corrected: float


def mean_scores(values: np.ndarray, weights: np.ndarray) -> list[SeedScores]:
    """Return the means over images of several effects, by seed and resampled.

    Args:
        values: of each effect, training and image, [E, S, I].
        weights: how often each image is drawn in each resample, [B, I].
    """
    images = values.shape[-1]
    means, drawn = values.mean(axis=-1), values @ (weights.T / images)
    return [
        SeedScores(
            {
                number: Score(float(mean), resampled, images, "these images")
                for number, (mean, resampled) in enumerate(zip(*of_effect, strict=True))
            }
        )
        for of_effect in zip(means, drawn, strict=True)
    ]


def made_effects(
    chance: Chance, generator: np.random.Generator, *, effects: int, seeds: int, images: int
) -> np.ndarray:
    """Return effects that are zero in truth, of each training and image, [E, S, I]."""
    parts = []
    for count in (1, effects):  # common to all, and each one's own
        skewed = generator.standard_exponential((count, 1, images)) - 1
        parts.append(
            chance.seed * generator.normal(size=(count, seeds, 1))
            + chance.image * skewed
            + chance.both * generator.normal(size=(count, seeds, images))
        )
    common, own = parts
    return np.sqrt(chance.shared) * common + np.sqrt(1 - chance.shared) * own


def false_decisions(
    chance: Chance,
    *,
    seeds: int,
    studies: int,
    effects: int = 20,
    images: int = 60,
    resamples: int = 100,
    seed: int = 0,
) -> Rates:
    """Return how often made studies find what is not there, at 5 %.

    Args:
        chance: what varies.
        seeds: trainings of each study.
        studies: their number.
        effects: claims of each study.
        images: of each study.
        resamples: of the bootstrap over them.
        seed: of the simulation.
    """
    generator = np.random.default_rng(seed)
    weights = image_weights(images, resamples=resamples, seed=seed)
    found = []
    for _ in range(studies):
        made = made_effects(chance, generator, effects=effects, seeds=seeds, images=images)
        found.append([of.p for of in mean_scores(made, weights)])
    alone = np.array(found)
    least = alone.min(axis=1)  # Holm finds something if its first step does
    return Rates(
        single=float((alone < LEVEL).mean()),
        family=float((least < LEVEL).mean()),
        corrected=float((effects * least < LEVEL).mean()),
    )


def false_decision_table(*, studies: int, seed: int = 0) -> pd.DataFrame:
    """Return the rates of `false_decisions` of every mix of chance, with three and five trainings.

    Args:
        studies: made of each.
        seed: of the simulation.

    Returns:
        Columns chance, seeds, single, family, corrected; per cent of studies, of ``single`` of
        effects.
    """
    lines = []
    for name, chance in CHANCES.items():
        for seeds in (3, 5):
            rates = false_decisions(chance, seeds=seeds, studies=studies, seed=seed)
            percent = {key: 100 * rate for key, rate in rates._asdict().items()}
            lines.append({"chance": name, "seeds": seeds, **percent})
    return pd.DataFrame(lines)
