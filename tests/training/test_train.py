"""Training: exact resume, no use of forbidden masks, and sentences for what is wrong."""

import json
import time

import pytest
import torch

from lib.files import read_json, write_json
from lib.training import checkpoint
from lib.training.config import parse_config
from lib.training.dataset import TrainingSet
from lib.training.distributed import World
from lib.training.learner import Learner
from lib.training.log import read_metrics
from lib.training.schedule import build_optimizer, learning_rate
from lib.training.supervision import Supervision
from lib.training.train import main, prepare, train
from tests.fixtures.models import tiny_model
from tests.fixtures.training import dense, equal, tiny_run, weights
from tests.training import several
from tests.training.several import Several

EVERY_MASK = Supervision(frozenset({1, 2, 3, 4}))


def test_run_killed_at_any_moment_ends_with_the_weights_of_an_uninterrupted_one(drawn, tmp_path):
    config = tiny_run(tmp_path, iterations=12, snapshots=(0, 4, 5, 11))
    whole = train(config.model_copy(update={"out": str(tmp_path / "whole")}))
    path = tmp_path / "config.json"
    write_json(path, config.model_dump(mode="json"))
    metrics = tmp_path / "out" / "metrics.jsonl"
    for moment in (3, 7):  # kill -9 once that many iterations are logged, and start again
        (process,) = Several(several.train, path, processes=1).processes
        while process.is_alive() and len(read_metrics(metrics)) < moment:
            time.sleep(0.005)
        process.kill()
        process.join()
        assert not (tmp_path / "out" / "model.pt").exists(), "it ended before it could be killed"
    assert main([str(path)]) == 0
    assert equal(weights(tmp_path / "out" / "model.pt"), weights(whole))
    for n in config.snapshots:
        name = f"snapshot_{n}.pt"
        assert (tmp_path / "out" / name).read_bytes() == (whole.parent / name).read_bytes()
    assert [r["iteration"] for r in read_metrics(metrics)] == list(range(1, 13))
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_checkpoint_of_other_settings_is_not_continued(drawn, tmp_path, capsys):
    config = tiny_run(tmp_path)
    other = config.model_copy(update={"learning_rate": 0.02})
    checkpoint.save(tmp_path / "out" / "checkpoint.pt", {"run": other.digest(), "iteration": 4})
    train(config)
    assert "other settings" in capsys.readouterr().out


def test_finished_run_is_not_repeated_but_one_on_other_labels_is(drawn, tmp_path, capsys):
    config = tiny_run(tmp_path, iterations=1)
    written = train(config).stat().st_mtime_ns
    assert train(config).stat().st_mtime_ns == written
    assert "is there already" in capsys.readouterr().out
    path = tmp_path / "set" / "annotations.json"
    content = read_json(path)
    content["annotations"][0]["bbox"][2] -= 2
    write_json(path, content)
    assert train(config).stat().st_mtime_ns != written


def test_detector_starts_both_methods_from_the_same_weights(drawn, tmp_path):
    detector = train(tiny_run(tmp_path, method="faster_rcnn", out=str(tmp_path / "detector")))
    state = weights(detector)
    for method in ("mask_rcnn", "opmask"):
        config = tiny_run(
            tmp_path, method=method, init=str(detector), iterations=1, learning_rate=1e-30
        )
        trained = weights(train(config.model_copy(update={"out": str(tmp_path / method)})))
        shared = [k for k in state if "running_" not in k and "num_batches" not in k]
        assert all(torch.equal(trained[k], state[k]) for k in shared)


def test_model_with_masks_is_no_start_for_one_that_may_see_masks_of_some_classes(drawn, tmp_path):
    start = str(train(tiny_run(tmp_path, supervised="all", out=str(tmp_path / "start"))))
    with pytest.raises(ValueError, match="could hand on those of the others"):
        train(tiny_run(tmp_path, supervised="voc", init=start))
    assert train(tiny_run(tmp_path, supervised="all", init=start)).exists()


def test_loss_that_is_not_finite_names_images_and_stops(drawn, tmp_path):
    with pytest.raises(FloatingPointError, match=r"not finite at iteration \d+.*images \d"):
        train(tiny_run(tmp_path, learning_rate=1e12, warmup=0, clip_value=None))


def test_wrong_settings_are_listed_together(tmp_path, capsys):
    content = tiny_run(tmp_path).model_dump(mode="json")
    content["iterations"], content["modell"] = "many", {}
    with pytest.raises(ValueError, match=r"(?s)iterations.*modell|modell.*iterations"):
        parse_config(content, where="config.json")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    assert main([str(path)]) == 2
    assert "error:" in capsys.readouterr().err


def test_rate_warms_up_linearly_and_falls_at_the_steps(tmp_path):
    config = tiny_run(tmp_path, learning_rate=0.02, warmup=1000, steps=(5000, 6000))
    assert learning_rate(config, 0) == pytest.approx(0.02 / 1000)
    assert learning_rate(config, 500) == pytest.approx(0.02 * (0.001 + 0.999 / 2))
    assert learning_rate(config, 1000) == learning_rate(config, 4999) == pytest.approx(0.02)
    assert learning_rate(config, 5000) == pytest.approx(0.002)
    assert learning_rate(config, 6000) == pytest.approx(0.0002)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norm_layers_do_not_decay(drawn, tmp_path, optimizer):
    model = tiny_model()
    built = build_optimizer(tiny_run(tmp_path, optimizer=optimizer, weight_decay=0.1), model)
    decaying = {id(p) for g in built.param_groups if g["weight_decay"] for p in g["params"]}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert id(module.weight) not in decaying, name
        if isinstance(module, torch.nn.Conv2d):
            assert id(module.weight) in decaying, name


def test_state_of_another_kind_of_device_is_taken_up(drawn, tmp_path):
    config = tiny_run(tmp_path)
    learner = Learner(config, prepare(config, drawn), World(torch.device("cpu")))
    state = learner.state()
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True
    learner.restore(state)
    assert [group["fused"] for group in learner.optimizer.param_groups] == [False, False]


def test_mirrored_samples_keep_boxes_on_their_masks(drawn):
    samples = TrainingSet(
        drawn, supervision=Supervision(frozenset({1, 2, 3, 4})), flip=True, seed=0
    )
    mirrored = 0
    for position in range(8):
        image, target = samples[(0, position)]
        plain, _ = TrainingSet(drawn, supervision=Supervision(frozenset()), flip=False, seed=0)[
            (0, position)
        ]
        mirrored += not torch.equal(image, plain)
        masks = torch.from_numpy(dense(target))
        for box, known, mask in zip(target["boxes"], target["has_mask"], masks, strict=True):
            if known:
                ys, xs = torch.where(mask)
                tight = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                assert torch.equal(tight.float(), box)
    assert 0 < mirrored < 8
