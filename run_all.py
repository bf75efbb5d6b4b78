"""Run the study: ``python run_all.py --help``."""

import sys

from lib.runner.cli import main
from lib.steps import STEPS

if __name__ == "__main__":
    sys.exit(main(steps=STEPS))
