"""What a training page shows."""

from lib.engine.config import TrainConfig
from lib.models.config import ModelConfig
from lib.report.training import cost_line, curves, settings_table

RECORDS = [
    {"iteration": 20, "lr": 0.1, "loss": 2.0, "loss_classifier": 1.5, "seconds": 0.5, "max_mib": 0},
    {
        "iteration": 40,
        "lr": 0.1,
        "loss": 1.0,
        "loss_classifier": 0.5,
        "seconds": 0.25,
        "max_mib": 0,
    },
]


def run(**changes: object) -> TrainConfig:
    model = ModelConfig(method="opmask", mask_layers=3)
    settings = {"supervised": "voc", "model": model, "annotations": "a", "images": "i", "out": "o"}
    return TrainConfig.model_validate(settings | changes)


def test_settings_that_differ_from_the_papers_are_marked_and_no_others():
    table = settings_table(run(batch_size=8)).set_index("setting")
    marked = set(table.index[table["differs"] == "≠"])
    assert marked == {"batch_size", "mask_layers", "weights", "weights_style", "amp"}
    assert table.loc["batch_size", "paper"] == "16"
    assert table.loc["learning_rate", "here"] == "0.02"


def test_paths_of_the_run_are_not_shown():
    assert not set(settings_table(run())["setting"]) & {"annotations", "images", "out", "init"}


def test_cost_adds_up_the_logged_intervals():
    line = cost_line(RECORDS, batch_size=8)
    assert "40 iterations, 320 images" in line
    assert "0.2 min (21.3 images/s)" in line  # 20 * 0.5 + 20 * 0.25 = 15 s


def test_curves_show_the_losses_that_there_are():
    figure = curves(RECORDS)
    assert len(figure.axes[0].lines) == 1
