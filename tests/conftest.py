"""Test processes run side by side: each takes one core, and so do the programs that it starts."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
