"""Tests the SDK on every Python from 3.10 to 3.14 that is found: `python run_tests.py [pytest arguments]`.

For each there is an environment below ${XDG_CACHE_HOME:-~/.cache}/qhubctl-test, made once, by uv if it is there.
One more has the oldest pydantic that the SDK allows, and one the upstream SDK, which the recorded cases describe.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE / "tests"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qhubctl-test"
MINORS = range(10, 15)
# Two environments at a time: the tests of one mostly wait for none, and small machines have two cores.
WORKERS = 2


def interpreter(minor: int) -> str | None:
    """An interpreter of that version which really runs: the shim of a version manager may not."""
    name = f"python3.{minor}"
    candidates = [shutil.which(name), *map(str, managed(name))]
    for candidate in filter(None, candidates):
        check = [candidate, "-c", f"import sys, venv; sys.exit(sys.version_info[:2] != (3, {minor}))"]
        try:
            if subprocess.run(check, capture_output=True, timeout=30).returncode == 0:
                return candidate
        except (OSError, subprocess.TimeoutExpired):
            continue
    return None


def managed(name: str) -> list[Path]:
    """Interpreters that version managers keep outside PATH."""
    roots = [
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions",
        Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "uv" / "python",
    ]
    return sorted((path for root in roots for path in root.glob(f"*/bin/{name}")), reverse=True)


def environment(python: str, label: str, *requirements: Path) -> str:
    """The interpreter of an environment that has the requirements. A change of them makes a new one."""
    wanted = hashlib.sha256(b"\0".join([python.encode(), *(path.read_bytes() for path in requirements)])).hexdigest()
    folder = CACHE / f"{label}-{wanted[:12]}"
    inside = str(folder / "bin" / "python") if os.name != "nt" else str(folder / "Scripts" / "python.exe")
    if (folder / "complete").exists():
        return inside
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    if shutil.which("uv"):
        command(["uv", "venv", "--quiet", "--python", python, str(folder)])
    else:
        command([python, "-m", "venv", str(folder)])
    for path in requirements:
        install(inside, ["-r", str(path)])
    (folder / "complete").touch()
    return inside


def install(python: str, arguments: list[str]) -> None:
    """Installs packages into the environment of an interpreter."""
    if shutil.which("uv"):
        command(["uv", "pip", "install", "--quiet", "--python", python, *arguments])
    else:
        command([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def command(arguments: list[str], **options: object) -> None:
    """Runs a command; if it fails, its output is the error."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout}")


def build_wheel(python: str, folder: str) -> str:
    """The wheel of the SDK, built as `pip install sdk/python` would."""
    script = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
    command([python, "-B", "-c", script, folder], cwd=HERE)
    (wheel,) = Path(folder).glob("*.whl")
    return str(wheel)


def test(label: str, python: str, wheel: str, published: str, arguments: list[str]) -> tuple[bool, str]:
    """Installs the SDK into an environment and runs the tests there."""
    began = time.monotonic()
    install(python, ["--no-deps", "--force-reinstall", wheel])
    env = {**os.environ, "QHUB_PUBLISHED_PYTHON": published, "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-m", "pytest", "-c", str(HERE / "pyproject.toml"), *arguments],
        cwd=TESTS, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    passed = done.returncode == 0
    text = (lines[-1] if lines else "no output") if passed else done.stdout
    return passed, f"{label}: {text} ({time.monotonic() - began:.0f} s in all)"


def main(arguments: list[str]) -> int:
    """Runs everything and prints a line for each environment. Returns the exit code."""
    found = {minor: python for minor in MINORS if (python := interpreter(minor))}
    if not found:
        print("no Python from 3.10 to 3.14 was found", file=sys.stderr)
        return 1
    requirements = TESTS / "requirements.txt"
    plans = {f"python3.{minor}": (python, [requirements]) for minor, python in found.items()}
    oldest = min(found)
    if oldest < 13:  # the oldest pydantic has no wheels for later ones
        plans[f"python3.{oldest}, oldest pydantic"] = (found[oldest], [requirements, TESTS / "oldest.txt"])
    # The upstream SDK does not import on 3.14.
    published_on = next((found[minor] for minor in (12, 11, 13, 10) if minor in found), None)
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        published = environment(published_on, "published", TESTS / "published.txt") if published_on else ""
        names = {label: label.replace(", ", "-").replace(" ", "-") for label in plans}
        made = pool.map(lambda item: environment(item[1][0], names[item[0]], *item[1][1]), plans.items())
        ready = dict(zip(plans, made, strict=True))
        wheel = build_wheel(next(iter(ready.values())), folder)
        tests = [pool.submit(test, label, python, wheel, published, arguments) for label, python in ready.items()]
        outcomes = [running.result() for running in tests]
    for passed, text in outcomes:
        print(("ok   " if passed else "FAIL ") + text)
    return 0 if all(passed for passed, _ in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
