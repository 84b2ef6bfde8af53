"""Runs a service once: input files, secrets and data pools in, a result or a problem document out."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from qhub.commons.constants import (
    DEFAULT_ENTRYPOINT,
    DEFAULT_INPUT_DIRECTORY,
    DEFAULT_OUTPUT_DIRECTORY,
    ENTRYPOINT_ENV,
    EXECUTION_TOKEN_ENV,
    INPUT_DIRECTORY_ENV,
    OUTPUT_DIRECTORY_ENV,
    SECRET_ENV_VAR_PREFIX,
)
from qhub.commons.describe import DescribeError, Parameter, load, read_parameters
from qhub.commons.entrypoint import call, read_slots
from qhub.commons.file import list_directory_files, write_blob_to_file
from qhub.commons.json import any_to_json
from qhub.commons.parameters import gather_arguments, is_simple_type
from qhub.commons.runtime.error import InputError, ServiceError, build_problem_details, write_problem_details
from qhub.commons.runtime.masking import mask, remember

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

__all__ = ["main", "perform", "prepare", "prepared"]

INTERRUPTED = 130


def main() -> int:
    """Runs the service that the environment names and returns the exit code of the process.

    0 is success. On failure, 1, or the code the service exits with, a problem document is the output and the
    traceback, secrets masked, goes to standard error.
    """
    output = os.environ.get(OUTPUT_DIRECTORY_ENV, DEFAULT_OUTPUT_DIRECTORY)
    _mask_other_tracebacks()
    remember(os.environ.get(EXECUTION_TOKEN_ENV, ""))
    try:
        perform(output)
    except SystemExit as error:
        return _exited(output, error)
    except KeyboardInterrupt as error:
        return _failed(output, error, INTERRUPTED)
    except BaseException as error:
        return _failed(output, error, 1)
    return 0


# The function of an entrypoint, its parameters, and how it is called, read ahead.
prepared: dict[str, tuple[Any, list[Parameter], list[tuple[str, bool, Any]]]] = {}


def prepare(entrypoint: str) -> None:
    """Imports and builds what every run of the service needs, so that forks of this process need not.

    Raises DescribeError where the service cannot be run.
    """
    # Imported where they are needed otherwise, as not every run does.
    import threading  # noqa: F401
    import traceback  # noqa: F401

    import qhub.commons.datapool  # noqa: F401
    from qhub.commons.binding import prepare as prepare_binding

    prepared[entrypoint] = _read(entrypoint)
    prepare_binding(prepared[entrypoint][1])


# Takes the file of a result, by folder, name and content, if it need not be written. It returns whether it has.
deliver: Callable[[str, str, bytes], bool] | None = None


def perform(output: str) -> None:
    """Runs the service and writes its result. Raises the errors of the service, and those of its input and result."""
    _write_result(output, _run())


def _run() -> Any:
    entrypoint = os.environ.get(ENTRYPOINT_ENV, DEFAULT_ENTRYPOINT)
    try:
        # Taken out: it would keep what the service holds alive beyond the service's own end.
        function, parameters, slots = prepared.pop(entrypoint, None) or _read(entrypoint)
    except DescribeError as error:
        # Which variables are secrets is not known yet, and the module may have read them.
        for name, value in os.environ.items():
            if name.startswith(SECRET_ENV_VAR_PREFIX):
                remember(value)
        cause = error.__cause__
        title = type(cause).__name__ if error.kind in ("import", "syntax") else f"Entrypoint {error.kind}"
        raise ServiceError(title, str(error)) from cause
    inputs = os.environ.get(INPUT_DIRECTORY_ENV, DEFAULT_INPUT_DIRECTORY)
    files = list_directory_files(inputs) if os.path.isdir(inputs) else {}
    return call(function, gather_arguments(parameters, files), slots)


def _read(entrypoint: str) -> tuple[Any, list[Parameter], list[tuple[str, bool, Any]]]:
    function = load(entrypoint)
    return function, read_parameters(function), read_slots(function)


def _write_result(directory: str, result: Any) -> None:
    if result is None:
        return
    try:
        text = any_to_json(result)
    except ValueError as error:
        raise ServiceError("ResultNotSerializable", str(error)) from error
    if text is None:
        return
    name, content = "output.txt" if is_simple_type(result) else "output.json", text.encode()
    if deliver is None or not deliver(directory, name, content):
        write_blob_to_file(directory, name, content)


def _exited(directory: str, error: SystemExit) -> int:
    """The service called sys.exit: without a code, or with 0, that is success without a result."""
    if error.code is None or error.code == 0:
        return 0
    if isinstance(error.code, int):
        return _failed(directory, error, int(error.code))
    return _failed(directory, error, 1)


def _failed(directory: str, error: BaseException, code: int) -> int:
    _print_failure(error)
    try:
        write_problem_details(directory, build_problem_details(error))
    except Exception as second:
        print(mask(f"the problem document cannot be written to {directory}: {second}"), file=sys.stderr)
    return code


def _print_failure(error: BaseException) -> None:
    if isinstance(error, InputError):
        lines = [f"{path}: {message}" for path, message in error.problems]
        text = "\n".join(["the input is invalid", *lines])
    elif isinstance(error, SystemExit):
        text = f"the service exited: {error}"
    elif isinstance(error, ServiceError) and error.__cause__ is None:
        text = str(error)
    else:
        text = _format(type(error), error, _user_frames(error.__traceback__)).rstrip("\n")
    print(mask(text), file=sys.stderr, flush=True)


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame of the service on: ours say nothing to its author."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(ours + os.sep):
        frame = frame.tb_next
    return frame or trace


def _format(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> str:
    import traceback

    return "".join(traceback.format_exception(kind, error, trace))


def _mask_other_tracebacks() -> None:
    """Exceptions of threads, and those after main, are printed by the interpreter: it masks them too."""
    import threading

    sys.excepthook = _hook
    threading.excepthook = _thread_hook


def _hook(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    print(mask(_format(kind, error, trace)), end="", file=sys.stderr, flush=True)


def _thread_hook(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread is not None else "unknown"
        print(f"Exception in thread {name}:", file=sys.stderr)
        _hook(args.exc_type, args.exc_value, args.exc_traceback)
