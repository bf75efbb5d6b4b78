"""From flat notebook parameters to configurations."""

import pytest

from lib.data.sources import SetFiles
from lib.seeds import derive
from lib.training.config import TrainConfig
from lib.training.order import Batches
from lib.training.parameters import training_config


def a_cell(**changes: object) -> dict[str, object]:
    settings = {
        "train_method": "opmask",
        "train_init": "detector",
        "train_iterations": 7,
        "train_seed": 3,
        "train_repeat": 0,
        "train_supervised": "voc",
        "model_box_channels": [8, 8],
        "something_else": object(),
    }
    return settings | changes


def a_config(tmp_path, **changes) -> TrainConfig:
    files = SetFiles(tmp_path / "a.json", tmp_path)
    return training_config(a_cell(**changes), files=files, out=tmp_path, init=None)


def test_parameters_reach_the_setting_of_their_name(tmp_path):
    config = a_config(tmp_path)
    assert (config.iterations, config.supervised, config.model.method) == (7, "voc", "opmask")
    assert config.model.box_channels == (8, 8)


def test_settings_that_are_not_given_are_the_papers(tmp_path):
    config = a_config(tmp_path)
    assert (config.batch_size, config.learning_rate, config.clip_value) == (16, 0.02, 1.0)
    assert config.model.mask_layers == 7


def test_the_first_repetition_has_the_base_seed_and_others_have_seeds_of_their_own(tmp_path):
    runs = [a_config(tmp_path, train_repeat=number) for number in range(3)]
    assert [config.seed for config in runs] == [3, *(derive(3, "repeat", r) for r in (1, 2))]
    one, other, _ = (config.model_copy(update={"seed": 0}) for config in runs)
    assert one == other  # nothing else differs


def test_another_repetition_has_another_order(tmp_path):
    seeds = [a_config(tmp_path, train_repeat=number).seed for number in (0, 0, 1)]
    orders = [list(Batches([1.0] * 20, 4, start=0, stop=5, seed=seed)) for seed in seeds]
    assert orders[0] == orders[1] != orders[2]


def test_wrong_value_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"model\.mask_layers"):
        a_config(tmp_path, model_mask_layers=0)
