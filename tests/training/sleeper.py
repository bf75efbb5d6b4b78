"""Leave the process's id in a folder and sleep: ``python -m tests.training.sleeper FOLDER``."""

import os
import sys
import time
from pathlib import Path

from lib.training.launch import end_with_caller

if __name__ == "__main__":
    end_with_caller()
    (Path(sys.argv[1]) / str(os.getpid())).touch()
    time.sleep(60)
