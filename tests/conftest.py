"""Test processes run side by side: each takes one core, and so do the programs that it starts."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Made sets that tests of several folders share.
pytest_plugins = [
    "tests.fixtures.boxes",
    "tests.fixtures.cluster",
    "tests.fixtures.detections",
    "tests.fixtures.opmask",
    "tests.fixtures.training",
]
