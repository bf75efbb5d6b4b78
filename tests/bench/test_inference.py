"""The benchmark of inference: what is measured, in which order, and what follows from the times."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from lib.bench.inference import (
    MIB,
    Row,
    compare,
    draw_images,
    image_seconds,
    main,
    peak_mib,
    read_rows,
    time_ratio,
)
from lib.files import read_json
from lib.metrics.bootstrap import image_weights
from lib.training.checkpoint import save_model
from tests.fixtures.models import tiny_config, tiny_model

CPU = torch.device("cpu")
BLOCK = 2**18  # numbers: 1 MiB


def test_peak_is_what_is_held_at_once():
    def together() -> None:
        held = [torch.zeros(BLOCK) for _ in range(3)]
        del held

    def one_by_one() -> None:
        for _ in range(3):
            torch.zeros(BLOCK)

    outside = torch.zeros(BLOCK)
    assert peak_mib(together, CPU) == pytest.approx(3, abs=0.01)
    assert peak_mib(one_by_one, CPU) == pytest.approx(1, abs=0.01)
    assert peak_mib(lambda: outside.add_(1), CPU) == pytest.approx(0, abs=0.01)


class Recorder(nn.Module):
    """Stands for a model: notes its calls and finds as many objects as it is told."""

    def __init__(self, name: str, calls: list[tuple[str, float]], found: int) -> None:
        super().__init__()
        self.name, self.calls, self.found = name, calls, found
        self.weight = nn.Parameter(torch.zeros(BLOCK))

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        assert len(images) == 1 and torch.is_inference_mode_enabled()
        self.calls.append((self.name, images[0].flatten()[0].item()))
        return [{"boxes": images[0].new_zeros(self.found, 4)}]


def test_every_model_sees_every_image_in_every_round_and_each_is_first_equally_often():
    calls: list[tuple[str, float]] = []
    models = {name: Recorder(name, calls, found) for name, found in [("a", 2), ("b", 5)]}
    images = {key: torch.full((3, 4, 4), float(key)) for key in (10, 20, 30, 40)}
    rows, facts = compare(models, images, rounds=4, device=CPU)
    seen = Counter((row.model, row.image_id) for row in rows)
    assert seen == {(name, key): 4 for name in models for key in images}
    assert {row.round for row in rows} == {0, 1, 2, 3}
    firsts = [one.model for one in rows[::2]]
    assert [one.image_id for one in rows[::2]] == [one.image_id for one in rows[1::2]]
    assert Counter(firsts) == {"a": 8, "b": 8} and firsts[:5] == ["a", "b", "a", "b", "b"]
    timed = calls[2 * 4 : 2 * 4 + len(rows)]  # after the warm-up
    assert timed == [(row.model, row.image_id) for row in rows]
    assert facts["a"]["detections"] == 2 and facts["b"]["detections"] == 5
    assert facts["a"]["parameters"] == BLOCK and facts["a"]["weights_mib"] == 1


def some_rows(seed: int = 0, images: int = 9, rounds: int = 5) -> list[Row]:
    random = np.random.default_rng(seed)
    return [
        Row(name, key, turn, (1 + slower) * (1 + key) * float(random.uniform(0.9, 1.3)))
        for turn in range(rounds)
        for key in range(images)
        for name, slower in [("opmask", 0.1), ("baseline", 0.0)]
    ]


def test_ratio_is_that_of_summed_medians_and_its_interval_that_of_a_loop():
    rows = some_rows()
    medians = {
        name: [
            float(np.median([r.seconds for r in rows if (r.model, r.image_id) == (name, key)]))
            for key in range(9)
        ]
        for name in ("opmask", "baseline")
    }
    found = time_ratio(rows, "opmask", "baseline", resamples=200, seed=3)
    assert found.estimate == pytest.approx(sum(medians["opmask"]) / sum(medians["baseline"]))
    ratios = []
    for weights in image_weights(9, resamples=200, seed=3):
        sums = [
            sum(w * t for w, t in zip(weights, times, strict=True)) for times in medians.values()
        ]
        ratios.append(sums[0] / sums[1])
    assert found[1:] == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))


def test_one_slow_call_changes_neither_estimate_nor_interval():
    rows = some_rows()
    slow = [r._replace(seconds=99.0) if i == 0 else r for i, r in enumerate(rows)]
    top = max(r.seconds for r in rows if (r.model, r.image_id) == rows[0][:2])
    likewise = [r._replace(seconds=top + 1) if i == 0 else r for i, r in enumerate(rows)]
    assert time_ratio(slow, "opmask", "baseline") == time_ratio(likewise, "opmask", "baseline")


def test_model_takes_exactly_as_long_as_itself():
    assert tuple(time_ratio(some_rows(), "opmask", "opmask")) == (1, 1, 1)


def test_missing_times_are_a_sentence():
    rows = some_rows()
    with pytest.raises(ValueError, match="no times of 'other'; the models are baseline, opmask"):
        image_seconds(rows, "other")
    with pytest.raises(ValueError, match="not timed on the same images"):
        time_ratio([r for r in rows if r[:2] != ("opmask", 3)], "opmask", "baseline")


def test_fewer_images_are_the_first_of_more(drawn):
    everything = [x.id for x in draw_images(drawn, 100)]
    assert sorted(everything) == sorted(x.id for x in drawn.images)
    assert [x.id for x in draw_images(drawn, 2)] == everything[:2]


def test_command_measures_model_files_side_by_side(drawn, tmp_path, capsys):
    files = []
    for method in ("mask_rcnn", "opmask"):
        path = tmp_path / f"{method}.pt"
        save_model(path, tiny_model(method), tiny_config(method), drawn.categories, run="")
        files += ["--model", f"{method}={path}"]
    out = tmp_path / "inference.json"
    places = ["--annotations", str(drawn.annotations_path), "--images", str(drawn.image_root)]
    places += ["--count", "4", "--rounds", "2", "--out", str(out), "--device", "cpu"]
    assert main([*files, *places]) == 0
    printed = capsys.readouterr().out
    assert "opmask takes" in printed and "times as long as mask_rcnn" in printed
    content = read_json(out)
    rows = read_rows(content)
    assert len(rows) == 2 * 4 * 2 and all(row.seconds > 0 for row in rows)
    assert {row.image_id for row in rows} == {x.id for x in draw_images(drawn, 4)}
    assert content["device"] == "CPU" and content["threads"] == torch.get_num_threads()
    for facts in content["models"].values():
        assert facts["peak_mib"] > 3 * 64 * 80 * 4 / MIB  # at least the resized picture
        assert facts["weights_mib"] > facts["parameters"] * 4 / MIB  # and buffers
    assert main(["--model", f"a={tmp_path / 'no.pt'}", *places]) == 2
    assert "error: There is no weights file" in capsys.readouterr().err


def test_nothing_to_measure_is_a_sentence():
    with pytest.raises(ValueError, match="needs models, images and rounds; got 0, 0 and 1"):
        compare({}, {}, rounds=1, device=CPU)
