"""A measurement of models, made by hand: torchvision's takes 2 s for a step, ours half of that."""

from typing import Any

import numpy as np

SECONDS = {"torchvision": 2.0, "mask_rcnn": 1.0, "small": 0.5}
MODEL = {"method": "mask_rcnn", "backbone": "resnet50", "box_head": "fc", "fpn": "plain"}
DRAWS: dict[str, int] = {"resamples": 200, "seed": 0}


def model_measured(
    *, rounds: int = 3, gpu: bool = False, noise: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """Return what the benchmark would write; with ``gpu`` mixed precision halves all times."""
    random = np.random.default_rng(seed)

    def around(value: float) -> float:
        return float(value * (1 + noise * random.uniform(-1, 1)))

    rows, facts, inference, found = [], [], [], {}
    for model, seconds in SECONDS.items():
        mixed = "float16" if model == "torchvision" else "bfloat16"
        for precision in ("float32", mixed) if gpu else ("float32",):
            factor = 1.0 if precision == "float32" else 0.5
            of = {"model": model, "precision": precision}
            for turn in range(rounds):
                for step in range(2):
                    place = {**of, "round": turn, "step": step}
                    fed, alone = around(seconds * factor), around(0.8 * seconds * factor)
                    rows.append({**place, "loaded": True, "wait": fed / 4, "seconds": fed})
                    rows.append({**place, "loaded": False, "wait": 0.0, "seconds": alone})
                    name = f"{model} {precision}"
                    time = around(seconds * factor / 10)
                    inference.append(
                        {"model": name, "image_id": step, "round": turn, "seconds": time}
                    )
            size = 1000.0 * seconds * factor
            facts.append({**of, "peak_mib": size})
            weights = {"parameters": 10, "weights_mib": 100.0}
            found[f"{model} {precision}"] = weights | {"peak_mib": size, "detections": 40}
    sides = (800, 1333, 0) if gpu else (160, 267, 64)
    return {
        "machine": {
            "on_gpu": gpu, "device": "Some GPU" if gpu else "CPU", "processor": "x86_64",
            "threads": 2, "torch": "2.0",
        },
        "settings": {
            **dict(zip(("min_size", "max_size", "rois"), sides, strict=True)),
            "batch": 4, "loaders": 2, "box_channels": [], "rounds": rounds, "steps": 2,
            "foreground": 64, "detections": 40,
        },
        "pictures": {"count": 8, "width": 600.0, "height": 500.0, "objects": 7.25},
        "models": {"mask_rcnn": MODEL, "small": {**MODEL, "method": "faster_rcnn"}},
        "rows": rows,
        "training": facts,
        "inference": {"rows": inference, "models": found},
    }  # fmt: skip
