"""Runs recorded cases against the SDK of this interpreter, ours or the published one, and prints what happened.

    python probe.py FOLDER < {"env_names": [...], "bind": [...], "run": [...]} > the same with answers

Each case of `run` has a separate fork, so that they share only the SDK's import. Standard library only.
"""

import datetime
import enum
import io
import json
import os
import re
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import *  # noqa: F403  the annotations of the cases

from pydantic import BaseModel
from qhub.commons import __version__
from qhub.commons.parameters import parameter_name_to_env_var, str_to_parameter_type
from qhub.commons.runtime.main import main


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(BaseModel):
    x: int
    y: float = 0.5


class Nested(BaseModel):
    p: Point
    tags: List[str] = []  # noqa: F405


NAMES = {**globals(), "nan": float("nan"), "UUID": uuid.UUID, "PosixPath": Path, "Decimal": Decimal}
ANNOTATIONS = {**NAMES, "datetime": datetime.datetime, "date": datetime.date, "time": datetime.time}


def bind(case):
    """Whether a text binds to the recorded value; or the class of the error and its bases."""
    try:
        got = str_to_parameter_type(case["input"], eval(case["annotation"], ANNOTATIONS))
    except Exception as error:
        return {"error": [kind.__name__ for kind in type(error).__mro__]}
    if "value" not in case:
        return {"value": repr(got)}
    expected = eval(re.sub(r"^<(\w+\.\w+): .*>$", r"\1", case["value"]), NAMES)
    same = got == expected or (got != got and expected != expected)
    return {"value": case["value"] if same and type(got) is type(expected) else repr(got)}


def run(case, folder):
    """The outcome and the files of a service that ran in a separate process."""
    for name, content in {"src/program.py": case["program"], **_files("input", case["input"])}.items():
        _write(folder / name, content)
    for pool, files in case["datapool"].items():
        for name, content in files.items():
            _write(folder / "datapool" / pool / name, content)
    for name in ("input", "output", "datapool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child == 0:
        _child(case, folder)
    _, status = os.waitpid(child, 0)
    output = {path.name: path.read_bytes().decode("utf-8") for path in (folder / "output").iterdir()}
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "output": output,
        "stdout": (folder / "stdout").read_text(),
        "stderr": (folder / "stderr").read_text(),
    }


def _files(folder, contents):
    return {f"{folder}/{name}": content for name, content in contents.items()}


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _child(case, folder):
    code = 1
    try:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(folder / name, os.O_WRONLY | os.O_CREAT)
            os.dup2(file, descriptor)
            stream = io.TextIOWrapper(os.fdopen(descriptor, "wb", 0), write_through=True)
            setattr(sys, name, stream)
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        os.environ.update({f"{n.upper()}_DIRECTORY": str(folder / n) for n in ("input", "output", "datapool")})
        os.environ.update({"ENTRYPOINT": "src.program:run", **case["env"]})
        code = main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        sys.__excepthook__(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def probe():
    """Answers every case on standard input."""
    cases = json.load(sys.stdin)
    folder = Path(sys.argv[1])
    sys.path[0] = ""
    answers = {
        "version": __version__,
        "env_names": [{"env": parameter_name_to_env_var(case["parameter"])} for case in cases["env_names"]],
        "bind": [bind(case) for case in cases["bind"]],
        "run": [run(case, folder / str(i)) for i, case in enumerate(cases["run"])],
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    probe()
