"""Leave the process's id in a folder and sleep: ``python -m tests.training.sleeper FOLDER``."""

import os
import sys
import time
from pathlib import Path

from lib.training.launch import end_with_launcher

if __name__ == "__main__":
    if "RANK" in os.environ:
        end_with_launcher()
    if not Path(sys.argv[1]).exists():
        sys.exit(f"error: there is no folder {sys.argv[1]}")
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(60)
