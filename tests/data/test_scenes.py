"""Properties of the embedded scenes: what a scene is made of and how it is put together."""

from itertools import chain

import numpy as np
import pytest

from lib.data.scenes import cutouts, photos, plan
from lib.data.scenes.artwork import ARTWORK, FREE_COLOUR, available_classes, drawings
from lib.data.scenes.backdrops import PAINTERS
from lib.data.scenes.compose import banded
from lib.data.scenes.generate import scene
from lib.data.scenes.layout import Layer, Stage, box_iou
from lib.data.scenes.materials import PALETTES
from lib.data.scenes.settings import SceneSettings
from lib.data.scenes.themes import MOTIFS, NATURAL_SIZE, PAIRS, THEMES

CLASSES = tuple(available_classes())
SETTINGS = SceneSettings()


Scene = tuple[np.ndarray, list[tuple[Layer, np.ndarray]], str]


def _scene(index: int, split: str = "train", settings: SceneSettings = SETTINGS) -> Scene:
    return scene(index, split=split, settings=settings, classes=CLASSES, seed=3)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Scene]]:
    """Some scenes of each split."""
    counts = {"train": 15, "val": 15, "dev": 4}
    return {split: [_scene(i, split) for i in range(n)] for split, n in counts.items()}


def _motif_drawings() -> dict[str, bool]:
    """Drawings of motifs by name -> whether only validation uses them."""
    found = {}
    for motif in MOTIFS:
        for tones, held_out in ((motif.shared, False), (motif.held_out, True)):
            for tone in tones.split() or ([] if held_out else [""]):
                code = f"{motif.code}-{tone}" if tone else motif.code
                found[f"{code}:{motif.behind_shapes}"] = held_out
                found[f"{code}:{motif.front_shapes}"] = held_out
    return found


def test_every_table_speaks_of_classes_with_artwork() -> None:
    assert set(NATURAL_SIZE) == set(CLASSES)
    assert set(CLASSES) >= FREE_COLOUR
    assert set().union(*(theme.classes for theme in THEMES)) == set(CLASSES)
    assert {name for p in PAIRS for name in (p.base, p.companion)} <= set(CLASSES)
    assert {b for theme in THEMES for b in theme.backdrops} == set(PAINTERS)
    assert {f for theme in THEMES for f in theme.photos} == set(photos.LICENCES)
    assert all(theme.backdrops and theme.photos for theme in THEMES)


def test_every_drawing_can_be_rasterised_and_is_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutouts, "MASTER_SIZE", 64)
    names = [d for art in ARTWORK.values() for d in (art.shared + " " + art.held_out).split()]
    for drawing in [*names, *_motif_drawings()]:
        rgba = cutouts.load.__wrapped__(drawing).rgba
        assert (rgba[..., 3] > 0.5).sum() > 30, drawing
        assert (rgba[..., :3] <= rgba[..., 3:] + 1e-6).all(), drawing
        for edge in (rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]):
            assert edge[..., 3].max() > 0, drawing


def test_held_out_drawings_are_disjoint_and_exist_where_a_class_has_three() -> None:
    for name in CLASSES:
        shared, held_out = (set(drawings(name, held_out=h)) for h in (False, True))
        assert shared and not shared & held_out, name
        if len(shared | held_out) >= 4:
            assert held_out, name


def test_held_out_backdrops_are_disjoint() -> None:
    for material, sides in PALETTES.items():
        assert sides["seen"] and sides["held_out"], material
        assert not set(sides["seen"]) & set(sides["held_out"]), material
    for file in photos.LICENCES:
        seen, held_out = ([r for r in photos.REGIONS if r.file == file and r.held_out is h]
                          for h in (False, True))  # fmt: skip
        assert seen and held_out
        assert all(box_iou(a.box, b.box) == 0 for a in seen for b in held_out), file


def test_held_out_colours_are_disjoint() -> None:
    rng = np.random.default_rng(0)
    draws = {h: np.array([banded(rng, 30, held_out=h) for _ in range(2000)]) for h in (False, True)}
    bands = {h: set(np.floor((d + 30) / 10).astype(int)) for h, d in draws.items()}
    assert bands == {True: {1, 4}, False: {0, 2, 3, 5}}


def test_splits_use_the_drawings_and_backdrops_of_their_side(drawn: dict[str, list[Scene]]) -> None:
    everywhere = {d for name in CLASSES for d in drawings(name, held_out=False)}
    unseen = {d for name in CLASSES for d in drawings(name, held_out=True)}
    motifs = _motif_drawings()
    everywhere |= {d for d, held_out in motifs.items() if not held_out}
    unseen |= {d for d, held_out in motifs.items() if held_out}
    used: dict[str, list[str]] = {}
    backgrounds: dict[str, set[str]] = {}
    for split, scenes in drawn.items():
        used[split] = [layer.drawing for _, objects, _ in scenes for layer, _ in objects]
        backgrounds[split] = {name for _, _, name in scenes if name.startswith("photo:")}
    assert set(used["train"]) <= everywhere
    assert set(used["dev"]) <= everywhere
    share = np.mean([drawing in unseen for drawing in used["val"]])
    assert 0.1 < share < 0.5
    assert backgrounds["train"] and backgrounds["val"]
    assert not (backgrounds["train"] | backgrounds["dev"]) & backgrounds["val"]


def test_masks_are_the_visible_pixels(drawn: dict[str, list[Scene]]) -> None:
    """Recompose scenes from their layers, the topmost last."""
    for _, objects, _ in drawn["train"][:4]:
        owner = np.full((SETTINGS.height, SETTINGS.width), -1)
        for number, (layer, _) in enumerate(objects):
            for y, x in np.add(np.argwhere(layer.rgba[..., 3] > 0.5), (layer.y, layer.x)):
                if 0 <= y < SETTINGS.height and 0 <= x < SETTINGS.width:
                    owner[y, x] = number
        for number, (_, mask) in enumerate(objects):
            assert (mask == (owner == number)).all()


def test_every_object_shows_enough_of_itself(drawn: dict[str, list[Scene]]) -> None:
    for _, objects, _ in drawn["train"]:
        assert SETTINGS.objects_min <= len(objects) <= SETTINGS.objects_max
        for layer, mask in objects:
            whole = (layer.rgba[..., 3] > 0.5).sum()
            assert mask.sum() >= max(20, SETTINGS.visible_min * whole)


def test_a_group_that_hides_something_is_refused_whole() -> None:
    stage = Stage(SceneSettings(width=100, height=100, size_min=0.1))
    small = Layer("cup", "a", 40, 40, np.ones((10, 10, 4), np.float32))
    beside = Layer("cup", "b", 0, 0, np.ones((10, 10, 4), np.float32))
    cover = Layer("bed", "c", 30, 30, np.ones((40, 40, 4), np.float32))
    most = Layer("bed", "d", 42, 40, np.ones((20, 20, 4), np.float32))
    assert stage.add([small])
    assert not stage.add([beside, cover])
    assert not stage.add([most])  # leaves 20 of 100 pixels: fewer than a quarter
    assert len(stage.layers) == 1 and stage.masks()[0].sum() == 100


def test_scenes_have_small_objects_ambiguous_ones_and_companions(
    drawn: dict[str, list[Scene]],
) -> None:
    areas, ambiguous, inside = [], [], []
    for _, objects, _ in chain(*drawn.values()):
        boxes = []
        for _, mask in objects:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        for number, box in enumerate(boxes):
            others = boxes[:number] + boxes[number + 1 :]
            areas.append((box[2] - box[0]) * (box[3] - box[1]))
            ambiguous.append(max(box_iou(box, other) for other in others) >= 0.5)
            inside.append(max(_covered(other, box) for other in others) >= 0.5)
    assert 0.55 < np.mean(np.array(areas) < 64**2) < 0.8
    assert 0.04 < np.mean(ambiguous) < 0.11
    assert np.mean(inside) > 0.1


def _covered(inner: tuple[int, ...], outer: tuple[int, ...]) -> float:
    """Share of ``inner``'s area that lies in ``outer``."""
    width = min(inner[2], outer[2]) - max(inner[0], outer[0])
    height = min(inner[3], outer[3]) - max(inner[1], outer[1])
    return max(width, 0) * max(height, 0) / ((inner[2] - inner[0]) * (inner[3] - inner[1]))


def test_dim_objects_come_close_to_the_background() -> None:
    bright = SceneSettings(dim_share=0, shadow=0, noise=0, blur=0, shade=0)
    dim = SceneSettings(dim_share=1, dim_small=0, dim_min=1, dim_max=1, shadow=0, noise=0, blur=0,
                        shade=0)  # fmt: skip
    contrasts = {}
    for name, settings in (("bright", bright), ("dim", dim)):
        values = []
        for index in range(3):
            picture, objects, _ = _scene(index, settings=settings)
            empty = ~np.any([mask for _, mask in objects], axis=0)
            values += [np.abs(picture[m].mean(0) - picture[empty].mean(0)).mean()
                       for _, m in objects]  # fmt: skip
        contrasts[name] = np.mean(values)
    assert contrasts["dim"] < 0.6 * contrasts["bright"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"width": 20}, "64"),
        ({"objects_min": 9, "objects_max": 3}, "objects_min"),
        ({"size_max": 1.5}, "size_max"),
        ({"size_min": 0.01}, "size_min"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SceneSettings(**wrong)  # type: ignore[arg-type]


def test_a_scene_without_room_is_an_error_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_RESTARTS", 1)
    full = SceneSettings(width=64, height=64, objects_min=40, objects_max=40, size_min=0.3)
    with pytest.raises(ValueError, match="has room for"):
        scene(0, split="train", settings=full, classes=("cup", "book"), seed=0)
