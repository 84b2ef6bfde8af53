"""A service to run: written to a separate folder, imported under a separate name."""

import itertools
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from qhub.commons.runtime.main import main

TOKEN = "tok-4711-äöü/+&x"
_numbers = itertools.count()


class Outcome:
    """The outcome of a run: its exit code, its output files, its output."""

    def __init__(self, code, output, stdout, stderr):
        self.code, self.stdout, self.stderr = code, stdout, stderr
        self.files = {path.name: path.read_bytes() for path in output.iterdir()} if output.is_dir() else {}

    @property
    def result(self):
        """The value in output.json or output.txt."""
        (name,) = [name for name in self.files if name.startswith("output.")]
        return json.loads(self.files[name], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    @property
    def everything(self):
        """All that left the process, to search for what should not have."""
        return b"".join(self.files.values()).decode("utf-8", "replace") + self.stdout + self.stderr


class Service:
    """Programs are given as text; `run` runs one in this process."""

    def __init__(self, folder, monkeypatch, capfd):
        self.folder, self.monkeypatch, self.capfd = Path(folder), monkeypatch, capfd
        self.input, self.output, self.pools = (self.folder / name for name in ("input", "output", "datapool"))
        self.input.mkdir()
        monkeypatch.syspath_prepend(str(folder))

    def write(self, program):
        """Writes a program and returns its entrypoint."""
        name = f"program_{next(_numbers)}"
        (self.folder / f"{name}.py").write_text(program, encoding="utf-8")
        return f"{name}:run"

    def run(self, program, env=None, **inputs):
        """Runs a program. Inputs are contents of files by name, `data_json` being data.json."""
        for name, content in inputs.items():
            stem, _, extension = name.rpartition("_") if name.endswith(("_json", "_txt")) else (name, "", "")
            path = self.input / (f"{stem}.{extension}" if extension else stem)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        directories = {"INPUT": self.input, "OUTPUT": self.output, "DATAPOOL": self.pools}
        for name, path in directories.items():
            self.monkeypatch.setenv(f"{name}_DIRECTORY", str(path))
        for name, value in (env or {}).items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.setenv("ENTRYPOINT", self.write(program))
        self.capfd.readouterr()
        code = main()
        stdout, stderr = self.capfd.readouterr()
        return Outcome(code, self.output, stdout, stderr)


@pytest.fixture
def service(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    yield Service(tmp_path, monkeypatch, capfd)
    for name in [name for name in sys.modules if name.startswith("program_")]:
        del sys.modules[name]


@pytest.fixture
def environment():
    """The environment of a child process that imports the SDK under test, and nothing of the caller's secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SECRET_")}
