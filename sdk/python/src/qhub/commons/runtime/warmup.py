"""Runs of a service that does nothing, in the process from which those that run a real one are forked.

An interpreter learns while it runs: it rewrites code that it has run a few times, and caches the results of lookups. A
fork inherits everything learned before it, and pays with a page of memory for much of the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from qhub.commons.binding import prepare as prepare_binding
from qhub.commons.constants import ENTRYPOINT_ENV, INPUT_DIRECTORY_ENV, OUTPUT_DIRECTORY_ENV
from qhub.commons.describe import read_parameters
from qhub.commons.entrypoint import read_slots
from qhub.commons.parameters import parameter_name_to_env_var
from qhub.commons.runtime import main as runtime
from qhub.commons.secret import SecretValue

__all__ = ["WarmUp"]

_NAME = "qhub.commons.runtime.warmup:run"
_SECRET = parameter_name_to_env_var("warmup_token")


class WarmUp:
    """A service that does nothing, with files in a directory, which is empty."""

    def __init__(self, directory: str) -> None:
        inputs, self._output = (os.path.join(directory, name) for name in ("input", "output"))
        os.mkdir(inputs)
        with open(os.path.join(inputs, "data.json"), "w", encoding="utf-8") as file:
            file.write('{"text": "", "number": 1}')
        self._environment = {ENTRYPOINT_ENV: _NAME, INPUT_DIRECTORY_ENV: inputs, OUTPUT_DIRECTORY_ENV: self._output}
        function = _service()
        self._prepared = function, read_parameters(function), read_slots(function)
        prepare_binding(self._prepared[1])

    def run(self) -> None:
        """Runs it once. The environment is as it was afterwards."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        os.environ[_SECRET] = ""  # too short to be masked ever after
        runtime.prepared[_NAME] = self._prepared
        try:
            runtime.perform(self._output)
        finally:
            runtime.prepared.pop(_NAME, None)
            os.environ.pop(_SECRET, None)
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _service() -> Callable[..., Any]:
    def run(warmup_token: Any, data: Any = None) -> Any:
        return {"text": str(warmup_token), "data": data.number if data else None}

    run.__annotations__ = {"warmup_token": SecretValue}
    if "pydantic" in sys.modules:  # else no parameter of the real service needs it
        import pydantic

        run.__annotations__["data"] = pydantic.create_model("Data", text=(str, ...), number=(int, ...))
    return run
