"""From flat notebook parameters to configurations."""

import pytest

from lib.data.sources import SetFiles
from lib.seeds import derive
from lib.training.order import Batches
from lib.training.parameters import pretraining_config, training_config


def a_cell(**changes: object) -> dict[str, object]:
    settings = {
        "train_method": "opmask",
        "train_init": "detector",
        "train_iterations": 7,
        "train_seed": 3,
        "train_repeat": 0,
        "train_supervised": "voc",
        "model_backbone": "small",
        "model_box_channels": [8, 8],
        "pretrain_iterations": 5,
        "something_else": object(),
    }
    return settings | changes


def configs(tmp_path, **changes):
    files = SetFiles(tmp_path / "a.json", tmp_path)
    config = training_config(a_cell(**changes), files=files, out=tmp_path, init=None)
    return config, pretraining_config(a_cell(**changes), config=config)


def test_parameters_reach_the_setting_of_their_name(tmp_path):
    config, pretraining = configs(tmp_path)
    assert (config.iterations, config.supervised, config.model.method) == (7, "voc", "opmask")
    assert config.model.box_channels == (8, 8)
    assert pretraining.iterations == 5
    assert pretraining.model == config.model


def test_settings_that_are_not_given_are_the_papers(tmp_path):
    config, _ = configs(tmp_path)
    assert (config.batch_size, config.learning_rate, config.clip_value) == (16, 0.02, 1.0)
    assert config.model.mask_layers == 7


def test_the_first_repetition_has_the_base_seed_and_others_have_seeds_of_their_own(tmp_path):
    runs = [configs(tmp_path, train_repeat=number) for number in range(3)]
    assert [config.seed for config, _ in runs] == [3, *(derive(3, "repeat", r) for r in (1, 2))]
    assert [pretraining.seed for _, pretraining in runs] == [config.seed for config, _ in runs]
    one, other, _ = (config.model_copy(update={"seed": 0}) for config, _ in runs)
    assert one == other  # nothing else differs


def test_another_repetition_has_another_order(tmp_path):
    seeds = [configs(tmp_path, train_repeat=number)[0].seed for number in (0, 0, 1)]
    orders = [list(Batches([1.0] * 20, 4, start=0, stop=5, seed=seed)) for seed in seeds]
    assert orders[0] == orders[1] != orders[2]


def test_wrong_value_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"model\.mask_layers"):
        configs(tmp_path, model_mask_layers=0)
