"""How long a trivial service takes with this SDK and with the published one, in one run.

    python bench/import_time.py OURS PUBLISHED [--rounds N]

OURS and PUBLISHED are interpreters whose environments hold the SDKs. Rounds alternate between them, so that other work
of the machine slows both; the median counts. "start" is the bare interpreter, which every program has to start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = "from qhub.commons.runtime.main import main; raise SystemExit(main())"
CASES = {
    "import": ("from qhub.commons.runtime.main import main", ""),
    "run, no model": (RUN, "def run(name: str):\n    return {'hello': name}\n"),
    "run, model and secret": (
        RUN,
        "from pydantic import BaseModel\nfrom qhub.commons.secret import SecretValue\n"
        "class Input(BaseModel):\n    name: str\n"
        "def run(data: Input, api_token: SecretValue) -> dict:\n    return {'hello': data.name}\n",
    ),
}


def main() -> int:
    """Prints a table. Returns the exit code: 1 where ours is not faster."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours")
    parser.add_argument("published")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    interpreters = {"ours": options.ours, "published": options.published}
    print(f"{'median of ' + str(options.rounds):24}{'ours':>10}{'published':>12}{'ratio':>8}{'without start':>16}")
    starts = measure(interpreters, options.rounds, "pass", "")
    show("start", starts)
    slower = False
    for name, (script, program) in CASES.items():
        times = measure(interpreters, options.rounds, script, program)
        show(name, times, starts)
        slower |= times["ours"] >= times["published"]
    return int(slower)


def measure(interpreters: dict[str, str], rounds: int, script: str, program: str) -> dict[str, float]:
    """Median seconds of each interpreter."""
    taken: dict[str, list[float]] = {name: [] for name in interpreters}
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder), program)
        for turn in range(rounds + 1):
            for name, python in interpreters.items():
                began = time.perf_counter()
                subprocess.run([python, "-c", script], cwd=folder, env=environment, check=True, capture_output=True)
                if turn:  # the first fills caches, of bytecode too
                    taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


def prepare(folder: Path, program: str) -> dict[str, str]:
    """A workspace with a service, and the environment it runs in."""
    (folder / "program.py").write_text(program)
    for name in ("input", "output"):
        (folder / name).mkdir()
    (folder / "input" / "name.txt").write_text("world")
    (folder / "input" / "data.json").write_text('{"name": "world"}')
    own = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    places = {"INPUT_DIRECTORY": "input", "OUTPUT_DIRECTORY": "output", "ENTRYPOINT": "program:run"}
    return {**own, **places, "SECRET_API_TOKEN": "bench-token"}


def show(name: str, times: dict[str, float], starts: dict[str, float] | None = None) -> None:
    """Prints a row: milliseconds, their ratio, and the ratio of what comes on top of the bare interpreter."""
    ours, published = times["ours"], times["published"]
    row = f"{name:24}{ours * 1e3:8.1f}ms{published * 1e3:10.1f}ms{ours / published:8.2f}"
    if starts:
        on_top = {SDK: times[SDK] - starts[SDK] for SDK in times}
        row += f"{on_top['ours'] / on_top['published']:16.2f}"
    print(row)


if __name__ == "__main__":
    sys.exit(main())
