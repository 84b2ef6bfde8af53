"""Calling the function of a service."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from qhub.commons.reflection import resolve_function

__all__ = ["call", "read_slots", "run_entrypoint"]

# Types that are neither awaited nor generators, as most results are.
_SETTLED = frozenset({dict, list, tuple, str, int, float, bool, type(None)})


def run_entrypoint(entrypoint: str, entrypoint_arguments: dict[str, Any]) -> Any:
    """Calls the function of an entrypoint with those of the arguments that it has parameters for.

    Returns what the function returns; of an `async` function what awaiting it gives, of a generator the list of what
    it yields.
    """
    return call(resolve_function(entrypoint), entrypoint_arguments)


def read_slots(function: Callable[..., Any]) -> list[tuple[str, bool, Any]]:
    """The parameters of a function: name, whether by position only, and default (`Parameter.empty` if none)."""
    return [
        (name, parameter.kind is parameter.POSITIONAL_ONLY, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def call(
    function: Callable[..., Any], arguments: dict[str, Any], slots: list[tuple[str, bool, Any]] | None = None
) -> Any:
    """Calls a function as `run_entrypoint` does. `slots` are those of `read_slots`, if they are known."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, by_position, default in read_slots(function) if slots is None else slots:
        if not by_position:
            if name in arguments:
                named[name] = arguments[name]
        elif name in arguments:
            positional.append(arguments[name])
        elif default is not inspect.Parameter.empty:
            positional.append(default)
        else:
            break  # the call reports the missing one; later values must not take its place
    result = function(*positional, **named)
    return result if type(result) in _SETTLED else _settle(result)


def _settle(result: Any) -> Any:
    if inspect.isgenerator(result):
        return list(result)
    if not (inspect.isawaitable(result) or inspect.isasyncgen(result)):
        return result
    import asyncio

    return asyncio.run(_collect(result))


async def _collect(result: Any) -> Any:
    if inspect.isasyncgen(result):
        return [item async for item in result]
    settled = await result
    if inspect.isasyncgen(settled):
        return [item async for item in settled]
    return list(settled) if inspect.isgenerator(settled) else settled
