"""Failures, and the problem documents (RFC 9457) that tell a caller of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qhub.commons.file import write_str_to_file
from qhub.commons.json import any_to_json
from qhub.commons.runtime.masking import mask_document

__all__ = ["HandlerError", "InputError", "ServiceError", "build_problem_details", "write_problem_details"]

RESERVED_KEYS = frozenset({"type", "title", "detail", "status", "instance"})
DEFAULT_TYPE = "about:blank"
DEFAULT_STATUS = 500
OUTPUT_FILE_NAME = "output.json"


class HandlerError(Exception):
    """Raised by a service to say what went wrong in its own words.

    `title` is the same for every problem of its kind, `detail` is about this occurrence, and `extensions` are further
    members of the problem document. The names that the document has already are refused with ValueError.
    """

    def __init__(self, title: str, detail: str | None = None, extensions: Mapping[str, Any] | None = None) -> None:
        super().__init__(title)
        self.title = title
        self.detail = title if detail is None else detail
        self.extensions = dict(extensions or {})
        reserved = sorted(RESERVED_KEYS.intersection(self.extensions))
        if reserved:
            raise ValueError(f"extensions must not contain reserved RFC 7807 keys: {', '.join(reserved)}")


class ServiceError(Exception):
    """The service cannot be called, or its result not be written, for a reason in the service itself."""

    def __init__(self, title: str, detail: str) -> None:
        super().__init__(detail)
        self.title = title


class InputError(ValueError):
    """The input does not fit the service. `problems` are (path, message), all there are."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = problems


def build_problem_details(exc: BaseException) -> dict[str, Any]:
    """The problem document of an exception. Injected secrets are masked in it."""
    problem: dict[str, Any] = {"type": DEFAULT_TYPE, "status": DEFAULT_STATUS, "title": type(exc).__name__}
    if isinstance(exc, HandlerError):
        problem |= {"title": exc.title, "detail": exc.detail, **_as_json(exc.extensions)}
    elif isinstance(exc, InputError):
        errors = [{"path": path, "message": message} for path, message in exc.problems]
        problem |= {"status": 400, "title": "Invalid input", "detail": str(exc), "errors": errors}
    elif isinstance(exc, SystemExit):
        problem["detail"] = f"the service exited: {message_of(exc)}"
    else:
        problem["title"] = exc.title if isinstance(exc, ServiceError) else problem["title"]
        problem["detail"] = message_of(exc) or problem["title"]
    return mask_document(problem)


def message_of(exc: BaseException) -> str:
    """The text of an exception, even of one that fails to give it."""
    try:
        return str(exc)
    except Exception as error:
        return f"{type(exc).__name__}, whose text cannot be made: {type(error).__name__}"


def _as_json(extensions: dict[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(any_to_json(extensions) or "{}")
    except ValueError:
        return {str(key): str(value) for key, value in extensions.items()}


def write_problem_details(directory_path: str, problem: dict[str, Any]) -> str:
    """Writes a problem document as output.json, in place of a result that may be there, and returns its path."""
    return write_str_to_file(directory_path, OUTPUT_FILE_NAME, json.dumps(problem, indent=2))
