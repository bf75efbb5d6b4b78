"""Panels to turn and slide in JupyterLab, and the still pictures that stand for them elsewhere.

A notebook that the runner executes has nobody to move a slider; there, and on the pages, a panel is
replaced by a figure.
"""

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from lib.data.coco import CocoSet
from lib.data.pictures.images import read_image
from lib.masks import rle
from lib.masks.pseudo import boxes_of
from lib.masks.quality import is_valid
from lib.pages.drawing import draw_box, overlay
from lib.pages.style import COLOURS, TALL, WIDTH, plain
from lib.study import STEP_VARIABLE

if TYPE_CHECKING:
    import ipywidgets

MANY = 500
"""Images that a picker offers at most: a longer list is no help."""


def interactive() -> bool:
    """Tell whether somebody can move a slider: in a kernel, and not executed by the runner."""
    if os.environ.get(STEP_VARIABLE):
        return False
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def mask_panel(pseudo: CocoSet, *, valid_from: float) -> "ipywidgets.Widget | Figure | None":
    """Show the pseudo-masks of one image, with a picker and a threshold to slide.

    Args:
        pseudo: a pseudo-mask file, opened with its images.
        valid_from: where the slider starts.

    Returns:
        The panel; a figure of the first image with both valid and invalid masks where nobody can
        use a panel; None if no image has a mask to show.
    """
    ids = [image.id for image in pseudo.images if boxes_of(pseudo.instances(image.id))]
    if not ids:
        return None
    start = _first_mixed(pseudo, ids, valid_from)
    if not interactive():
        return image_figure(pseudo, start, valid_from=valid_from)
    import ipywidgets

    picker = image_picker(pseudo, ids, start=start)
    slider = ipywidgets.FloatSlider(
        value=valid_from, min=0, max=1, step=0.05, description="valid from", continuous_update=False
    )
    # An image whose bytes change, not an output area: it does not flicker, and programs that
    # execute notebooks can wait forever for an output area.
    view = ipywidgets.Image(format="png", layout={"width": "900px"})

    def draw(*_: object) -> None:
        view.value = png(image_figure(pseudo, picker.value, valid_from=slider.value))

    picker.observe(draw, names="value")
    slider.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([picker, slider]), view])


def image_picker(coco_set: CocoSet, ids: Sequence[int], *, start: int) -> "ipywidgets.Dropdown":
    """Return a picker of images, of at most :data:`MANY`.

    Args:
        coco_set: the set that the images are of.
        ids: those to choose from.
        start: the one that is chosen first.
    """
    import ipywidgets

    offered = ids[:MANY] if start in ids[:MANY] else [start, *ids[: MANY - 1]]
    # The id too: two folders may hold pictures of one name, and a picker takes no name twice.
    names = [(f"{coco_set.image(i).file_name} (id {i})", i) for i in offered]
    return ipywidgets.Dropdown(
        options=names, value=start, description="image", layout={"width": "340px"}
    )


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def image_figure(pseudo: CocoSet, image_id: int, *, valid_from: float) -> Figure:
    """Draw one image as it is and with its pseudo-masks: blue if valid, red if not."""
    record = pseudo.image(image_id)
    picture = read_image(record)
    boxes = boxes_of(pseudo.instances(image_id))
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, TALL * 0.75))
    left.imshow(picture)
    left.set_title(plain(record.file_name, 48), fontweight="normal", fontsize=9)
    painted, valid_count = picture, 0
    for instance in sorted(boxes, key=lambda i: -i.area):
        valid = bool(instance.pseudo) and is_valid(instance.pseudo["box_iou"], valid_from)  # type: ignore[index]
        valid_count += valid
        colour = COLOURS["valid" if valid else "invalid"]
        painted = overlay(painted, rle.decode_mask(instance, record.height, record.width), colour)
        draw_box(right, instance.box, ("white", 2.2), (colour, 1.2))
    right.imshow(painted)
    right.set_title(
        f"{valid_count} of {len(boxes)} masks valid from box IoU {valid_from:.2f}",
        fontweight="normal",
        fontsize=9,
    )
    for axes in (left, right):
        axes.axis("off")
        axes.set(xlim=(0, record.width), ylim=(record.height, 0))
    plt.close(figure)
    return figure


def _first_mixed(pseudo: CocoSet, ids: list[int], valid_from: float) -> int:
    """Return the first image with valid and invalid masks, or just the first."""
    for image_id in ids:
        found = {
            is_valid(instance.pseudo["box_iou"], valid_from)
            for instance in boxes_of(pseudo.instances(image_id))
            if instance.pseudo
        }
        if len(found) == 2:
            return image_id
    return ids[0]
