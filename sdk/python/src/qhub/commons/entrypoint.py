"""Calling the function of a service."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from qhub.commons.reflection import resolve_function

__all__ = ["call", "run_entrypoint"]


def run_entrypoint(entrypoint: str, entrypoint_arguments: dict[str, Any]) -> Any:
    """Calls the function of an entrypoint with those of the arguments that it has parameters for.

    Returns what the function returns; of an `async` function what awaiting it gives, of a generator the list of what
    it yields.
    """
    return call(resolve_function(entrypoint), entrypoint_arguments)


def call(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Calls a function as `run_entrypoint` does."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            if name in arguments:
                named[name] = arguments[name]
        elif name in arguments:
            positional.append(arguments[name])
        elif parameter.default is not parameter.empty:
            positional.append(parameter.default)
        else:
            break  # the call says what is missing; what follows must not take its place
    return _settle(function(*positional, **named))


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
