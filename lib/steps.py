"""The steps of the study: which notebook, in which variant, after which others.

To add a step, add a line to ``STEPS``; a variant of a paper's trainings is a line of
:mod:`lib.hybridnet.variants` or :mod:`lib.opmask.variants`.
"""

from lib.hybridnet.variants import variants as hybrid_variants
from lib.opmask.variants import variants as opmask_variants
from lib.runner.steps import EVERYTHING, Step
from lib.variant import Variant

_CLAIMS = ("params/claims.yaml",)


def _training(notebook: str, variant: Variant, needs: tuple[str, ...] = ()) -> Step:
    return Step(
        notebook,
        variant.name,
        needs=needs,
        parameters=variant.parameters,
        kind="train",
        minutes=variant.minutes,
        repeated="train_repeat",
        optional=variant.optional,
        extra=variant.extra,
    )


STEPS: tuple[Step, ...] = (
    Step("01_data"),
    Step("01_data", "coco", minutes=1, extra=True),
    Step("02_pseudo_masks", needs=("01_data",), minutes=2),
    Step("03_invalid_masks", needs=("01_data", "02_pseudo_masks"), files=_CLAIMS),
    *(_training("04_train_hybrid", v, ("01_data", "02_pseudo_masks")) for v in hybrid_variants()),
    Step(
        "05_hybrid_results",
        needs=("01_data", "02_pseudo_masks", "04_train_hybrid"),
        minutes=1.5,
        files=_CLAIMS,
    ),
    *(_training("06_train_opmask", v) for v in opmask_variants()),
    Step("07_opmask_results", needs=("06_train_opmask",), kind="alone", minutes=2.5, files=_CLAIMS),
    Step("08_overlap_regression", needs=("06_train_opmask",), files=_CLAIMS),
    Step("09_class_ratio", needs=("06_train_opmask",), files=_CLAIMS),
    Step("10_speed", kind="alone", optional=True),
    Step(
        "11_model_speed",
        kind="alone",
        minutes=4,
        optional=True,
        files=("params/demo.yaml", "params/paper.yaml"),  # whose training it measures and prices
    ),
    Step("99_summary", needs=(EVERYTHING,), files=_CLAIMS),
)
