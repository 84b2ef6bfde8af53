"""Runs the service here and now: `python -m src`.

Inputs come from ./input, one file per parameter (data.json for `data`), data pools from the folders in it, secrets
from the environment. The result goes to ./out and is printed.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("ENTRYPOINT", "src.program:run")
os.environ.setdefault("INPUT_DIRECTORY", "./input")
os.environ.setdefault("DATAPOOL_DIRECTORY", "./input")
os.environ.setdefault("OUTPUT_DIRECTORY", "./out")

from qhub.commons.runtime.main import main  # after them: the runtime reads these variables


def run() -> int:
    """Runs the service once and prints its result. Returns the exit code."""
    output = Path(os.environ["OUTPUT_DIRECTORY"])
    output.mkdir(parents=True, exist_ok=True)
    results = [output / "output.json", output / "output.txt"]
    for result in results:
        result.unlink(missing_ok=True)
    code = main()
    for result in results:
        if result.exists():
            print(result.read_text(encoding="utf-8"))
    return code


if __name__ == "__main__":
    sys.exit(run())
