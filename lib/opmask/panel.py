"""A panel to ask OPMask what it sees: choose a picture, an object and a class.

Whatever class is chosen, the panel shows the class activation map that the box head has for it in
the object's box, the prior that it becomes, and the mask that OPMask predicts with it, next to the
mask of the baseline, which is not told a class.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lib.data.coco import CocoSet, Instance
from lib.data.overlap import ambiguous_ids, objects
from lib.data.pictures.images import read_image
from lib.masks.paste import paste
from lib.masks.quality import box_iou
from lib.opmask.predictions import METHODS, NAMES
from lib.pages import rois
from lib.pages.drawing import draw_box
from lib.pages.panels import image_picker, interactive, png
from lib.pages.style import COLOURS, WIDTH, plain
from lib.seeds import derive
from lib.training.checkpoint import TrainedModel, load_model
from lib.training.device import pick_device
from lib.training.inputs import picture, require_classes

if TYPE_CHECKING:
    import ipywidgets

STILL = 3
"""Objects in the still grid, a row each."""

TITLES = ("class activation map", "prior", NAMES["opmask"])
"""What is drawn for a class."""


class LoadedModels:
    """The compared models, loaded when they are asked for the first time.

    Args:
        coco_set: the set of the boxes, opened with its images.
        files: the model files of ``baseline`` and ``opmask``.
    """

    def __init__(self, coco_set: CocoSet, files: Mapping[str, Path]) -> None:
        self.coco_set, self.files = coco_set, files
        self.device = pick_device("auto")
        self._known: dict[tuple[str, int, int], Tensor] = {}

    @cached_property
    def trained(self) -> dict[str, TrainedModel]:
        """Both models, in evaluation mode.

        Raises:
            FileNotFoundError, ValueError: if a file is missing, no model file, or of a model with
                other classes than the set.
        """
        models = {name: load_model(self.files[name]) for name in METHODS}
        for trained in models.values():
            require_classes(trained, self.coco_set.categories)
            trained.model.to(self.device)
        return models

    def cams(self, instance: Instance) -> np.ndarray:
        """Return OPMask's raw class activation maps [K, h, w] of all classes in an object's box."""
        key = ("cams", instance.id, 0)
        if key not in self._known:
            labels = range(1, len(self.coco_set.categories) + 1)
            asked = self._asked(instance, labels)
            self._known[key] = self.trained["opmask"].model.cams_on_boxes(*asked)[0].cpu()
        return self._known[key].numpy()

    def mask(self, method: str, instance: Instance, label: int) -> np.ndarray:
        """Return a model's mask in an object's box, bool [H, W], if its class were ``label``."""
        # the baseline is not told a class: its mask is the same for all
        key = (method, instance.id, label if method == "opmask" else 0)
        if key not in self._known:
            asked = self._asked(instance, [label])
            self._known[key] = self.trained[method].model.masks_on_boxes(*asked)[0][0].cpu()
        record = self.coco_set.image(instance.image_id)
        return paste(self._known[key], torch.tensor(instance.box), record.height, record.width)

    def _asked(
        self, instance: Instance, labels: Sequence[int]
    ) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Return what a model is given: the picture, and the box once for each label."""
        boxes = torch.tensor([instance.box] * len(labels), device=self.device)
        given = {"boxes": boxes, "labels": torch.tensor(labels, device=self.device)}
        return [picture(self.coco_set.image(instance.image_id)).to(self.device)], [given]


def prior_panel(
    coco_set: CocoSet, model_files: Mapping[str, Path]
) -> "ipywidgets.Widget | Figure | None":
    """Show map, prior and masks of an object for any class, with pickers for all three.

    Args:
        coco_set: the set, opened with its images.
        model_files: the model files of the runs to compare: ``baseline`` and ``opmask``.

    Returns:
        The panel; a grid of a few objects where nobody can use one; None if there is no object.

    Raises:
        FileNotFoundError, ValueError: see :attr:`LoadedModels.trained`.
    """
    ids = [r.id for r in coco_set.images if any(not x.iscrowd for x in coco_set.instances(r.id))]
    if not ids:
        return None
    models = LoadedModels(coco_set, model_files)
    return _widgets(models, ids) if interactive() else still(models)


def still(models: LoadedModels) -> Figure | None:
    """Draw a few objects, each with its own class and with another of its picture.

    Objects whose boxes overlap much with another's (box IoU of 0.5 or more) come first, since
    these need telling apart; else ids decide. None if all objects are too small to show.
    """
    coco_set = models.coco_set
    chosen, some = ambiguous_ids(coco_set), objects(coco_set)
    shown = rois.choose((x for x in some if x.id in chosen), count=STILL)
    others = [x for x in some if x.id not in chosen]
    shown += rois.choose(others, count=STILL - len(shown))
    if not shown:
        return None
    name = coco_set.categories.name_of
    # "CAM": there is no room for more
    titles = ["truth", *(("CAM", *TITLES[1:]) * 2), NAMES["baseline"]]
    figure, panels = rois.grid([name(x.label) for x in shown], len(titles), len(titles))
    for axes, text in zip(panels[0], titles, strict=True):
        rois.title(axes, text)
    for row, instance in zip(panels, shown, strict=True):
        rois.draw_truth(row[0], coco_set, instance)
        labels = (instance.label, other_class(coco_set, instance))
        for place, label in zip((1, 4), labels, strict=True):
            _draw_class(row[place : place + 3], models, instance, label)
            rois.note(row[place], name(label))
        _draw_mask(row[7], models, "baseline", instance, instance.label)
    return figure


def other_class(coco_set: CocoSet, instance: Instance) -> int:
    """Return the label of the object of another class whose box overlaps an instance's most.

    Without an overlap it is the picture's first other class; without that, any (by the id).
    """
    others = [
        x for x in coco_set.instances(instance.image_id)
        if x.label != instance.label and not x.iscrowd
    ]  # fmt: skip
    if others:
        return max(others, key=lambda x: box_iou(x.box, instance.box)).label
    labels = sorted(coco_set.categories.labels - {instance.label}) or [instance.label]
    return labels[derive(0, "other class", instance.id) % len(labels)]


def panel_figure(models: LoadedModels, instance: Instance, label: int) -> Figure:
    """Draw a picture with its boxes, and what the models see in one of them for a class.

    Args:
        models: the models.
        instance: whose box.
        label: the class whose map, prior and mask are shown.
    """
    coco_set = models.coco_set
    figure = plt.figure(figsize=(WIDTH, 0.5 * WIDTH))
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    axes = left.subplots()
    axes.imshow(read_image(coco_set.image(instance.image_id)))
    axes.axis("off")
    for number, x in _numbered(coco_set, instance.image_id):
        _draw_box(axes, x, number, chosen=x.id == instance.id)
    own, other = (plain(coco_set.categories.name_of(n)) for n in (instance.label, label))
    axes.set_title(f"{own}, seen as {other}", fontsize=10)
    panels = right.subplots(2, 2).ravel()
    for panel, text in zip(panels, (*TITLES, NAMES["baseline"]), strict=True):
        rois.title(panel, text)
    cam = _draw_class(panels[:3], models, instance, label)
    rois.note(panels[0], f"{cam.min():.1f} to {cam.max():.1f}".replace("-", "−"))
    _draw_mask(panels[3], models, "baseline", instance, label)
    plt.close(figure)
    return figure


def _widgets(models: LoadedModels, ids: list[int]) -> "ipywidgets.Widget":
    import ipywidgets

    coco_set = models.coco_set
    by_id = {x.id: x for x in objects(coco_set)}
    images = image_picker(coco_set, ids, start=ids[0])
    boxes = ipywidgets.Dropdown(
        options=_offered(coco_set, ids[0]), description="object", layout={"width": "240px"}
    )
    classes = ipywidgets.Dropdown(
        options=[(name, n) for n, name in enumerate(coco_set.categories.names, start=1)],
        description="class", layout={"width": "240px"},
    )  # fmt: skip
    view = ipywidgets.Image(format="png", layout={"width": "900px"})
    drawn: list[tuple[int, int]] = []

    def draw(*_: object) -> None:
        wanted = (boxes.value, classes.value)
        if drawn != [wanted]:  # choosing an object also chooses its class: drawn once
            view.value = png(panel_figure(models, by_id[boxes.value], classes.value))
            drawn[:] = [wanted]

    def choose_box(*_: object) -> None:
        classes.value = by_id[boxes.value].label
        draw()

    def choose_image(*_: object) -> None:
        boxes.options = _offered(coco_set, images.value)  # which chooses the first of them

    boxes.observe(choose_box, names="value")
    classes.observe(draw, names="value")
    images.observe(choose_image, names="value")
    choose_box()
    return ipywidgets.VBox([ipywidgets.HBox([images, boxes, classes]), view])


def _offered(coco_set: CocoSet, image_id: int) -> list[tuple[str, int]]:
    """Return the objects of an image as a picker takes them: number and class, and id."""
    return [
        (f"{number}: {coco_set.categories.name_of(x.label)}", x.id)
        for number, x in _numbered(coco_set, image_id)
    ]


def _draw_class(
    panels: Sequence[Axes], models: LoadedModels, instance: Instance, label: int
) -> np.ndarray:
    """Draw a class's map in a box, its prior, and OPMask's mask with it; return the raw map."""
    part, cams = rois.roi(models.coco_set, instance), models.cams(instance)
    cam = cams[label - 1]
    most = max(float(np.abs(cams).max()), 1e-6)  # one scale for all classes of the box
    rois.draw_heat(panels[0], part, cam, limits=(-most, most), colours="RdBu_r", smooth=False)
    norm = models.trained["opmask"].config.prior_norm
    rois.draw_heat(panels[1], part, rois.prior_maps(cam[None], norm=norm)[0])
    _draw_mask(panels[2], models, "opmask", instance, label)
    return cam


def _draw_mask(
    axes: Axes, models: LoadedModels, method: str, instance: Instance, label: int
) -> None:
    mask = models.mask(method, instance, label)
    rois.draw_roi(axes, rois.roi(models.coco_set, instance), mask, COLOURS[method])


def _numbered(coco_set: CocoSet, image_id: int) -> list[tuple[int, Instance]]:
    return list(enumerate((x for x in coco_set.instances(image_id) if not x.iscrowd), start=1))


def _draw_box(axes: Axes, instance: Instance, number: int, *, chosen: bool) -> None:
    x1, y1, x2, y2 = instance.box
    colour = COLOURS["box"] if chosen else "white"
    draw_box(axes, (x1 - 0.5, y1 - 0.5, x2 - 0.5, y2 - 0.5), ("black", 2.6), (colour, 1.3))
    axes.text(
        x1 + 2, y1 + 2, str(number), color="white", fontsize=8, fontweight="bold", va="top",
        clip_on=True, path_effects=rois.OUTLINED, zorder=4,
    )  # fmt: skip
