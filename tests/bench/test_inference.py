"""The benchmark of inference: what is measured, in which order, and what follows from the times."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lib.bench.inference import (
    MIB,
    compare,
    draw_images,
    image_seconds,
    main,
    peak_mib,
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
    seen = Counter((row["model"], row["image_id"]) for row in rows)
    assert seen == {(name, key): 4 for name in models for key in images}
    firsts = [one["model"] for one in rows[::2]]
    assert Counter(firsts) == {"a": 8, "b": 8} and firsts[:5] == ["a", "b", "a", "b", "b"]
    timed = calls[2 * 4 : 2 * 4 + len(rows)]  # after the warm-up
    assert timed == [(row["model"], row["image_id"]) for row in rows]
    assert facts["a"]["detections"] == 2 and facts["b"]["detections"] == 5
    assert facts["a"]["parameters"] == BLOCK and facts["a"]["weights_mib"] == 1


def test_the_interval_of_a_ratio_is_that_of_a_loop_over_resamples():
    first, second = (pd.Series(s) for s in np.random.default_rng(0).uniform(0.9, 1.3, (2, 9)))
    found = time_ratio(first, second[::-1], resamples=200, seed=3)
    assert found.estimate == pytest.approx(first.sum() / second.sum())
    weights = image_weights(9, resamples=200, seed=3)
    ratios = [(one @ first) / (one @ second) for one in weights]
    assert found[1:] == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))


def test_an_image_has_the_median_of_its_rounds_which_one_slow_call_leaves_alone():
    rows = [{"model": "a", "image_id": 7, "seconds": seconds} for seconds in (1.0, 99.0, 1.5)]
    other = {"model": "b", "image_id": 7, "seconds": 5.0}
    times = image_seconds([*rows, other])
    assert times["a"].to_dict() == {7: 1.5} and times["b"].to_dict() == {7: 5.0}


def test_nothing_to_measure_is_a_sentence():
    with pytest.raises(ValueError, match="needs models"):
        compare({}, {}, rounds=1, device=CPU)


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
    assert "opmask takes" in capsys.readouterr().out
    content = read_json(out)
    rows = content["rows"]
    assert len(rows) == 2 * 4 * 2 and all(row["seconds"] > 0 for row in rows)
    assert {row["image_id"] for row in rows} == {x.id for x in draw_images(drawn, 4)}
    for facts in content["models"].values():
        assert facts["peak_mib"] > 3 * 64 * 80 * 4 / MIB  # at least the resized picture
        assert facts["weights_mib"] > facts["parameters"] * 4 / MIB  # and buffers
    assert main(["--model", f"a={tmp_path / 'no.pt'}", *places]) == 2
    assert "error: There is no weights file" in capsys.readouterr().err
