"""What the runs of both papers share when they are compared."""

from collections.abc import Iterable

from lib.models.config import ModelConfig


def one_backbone(configs: Iterable[ModelConfig], *, step: str) -> str:
    """Return the one backbone of all models.

    Args:
        configs: the settings of each.
        step: the notebook that trains them, for the message.

    Raises:
        ValueError: if they differ: then nothing can be compared.
    """
    names = {config.backbone for config in configs}
    if len(names) > 1:
        raise ValueError(
            f"The compared models have different backbones ({', '.join(sorted(names))}); train "
            f"all of them with the same one: python run_all.py --from {step}"
        )
    return names.pop()
