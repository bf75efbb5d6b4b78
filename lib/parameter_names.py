"""What the name of a notebook's parameter says of it: a path, a step, a number of images."""

from collections.abc import Mapping
from typing import Any

PATH_ENDINGS = ("_annotations", "_images", "_file", "_folder", "_weights")
"""A text parameter whose name ends so is a path, if it is not empty."""

FILE_SUFFIXES = (".json", ".pt", ".pth", ".safetensors", ".npz", ".yaml", ".csv")
"""A value that ends so is a path, whatever the parameter."""

WEIGHTS_WITHOUT_FILE = ("none", "imagenet")
"""What a parameter that ends in ``_weights`` may be besides a path."""

STEP_NAMING = ("train_init", "data_from")
"""Parameters that name a step that theirs needs: whose model it starts from, whose sets it uses.
Empty for none."""

WITHOUT_EFFECT = ("_workers", "train_log_every", "train_checkpoint_every", "train_maps_gib")
"""Endings of the parameters that change how a result is computed and reported, but not the result.

Work that was begun with some can be continued with others, and a finished step is not repeated.
"""

_OF_DATA = ("data_", "scenes_", "overlap_set", "overlap_annotations")
_NOT_OF_DATA = ("data_check_images", "scenes_shown")


def is_of_data(name: str) -> bool:
    """Return whether a parameter says which pictures and labels are used."""
    return name.startswith(_OF_DATA) and name not in _NOT_OF_DATA


def stays_on_cpu(parameters: Mapping[str, Any]) -> bool:
    """Return whether a training is told to use no GPU."""
    return parameters.get("train_device") == "cpu"


def images_of(parameters: Mapping[str, Any]) -> int:
    """Return how many images the GPUs of a training share in an iteration; 0 for any number."""
    return 0 if parameters.get("train_images_per_device") else parameters.get("train_batch_size", 0)
