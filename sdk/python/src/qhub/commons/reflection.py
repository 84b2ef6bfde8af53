"""Finding the function that an entrypoint names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["resolve_function", "resolve_signature"]


def resolve_function(entrypoint: str) -> Callable[..., Any]:
    """The function of an entrypoint such as `src.program:run`. Imports its module."""
    module, separator, name = entrypoint.partition(":")
    if not (module and separator and name):
        raise ValueError(f"the entrypoint {entrypoint!r} is not of the form module:function, such as src.program:run")
    return getattr(importlib.import_module(module), name)


def resolve_signature(entrypoint: str) -> inspect.Signature:
    """The signature of the function of an entrypoint, with its annotations unchanged."""
    return inspect.signature(resolve_function(entrypoint))
