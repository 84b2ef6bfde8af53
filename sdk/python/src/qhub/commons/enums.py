"""Names of members where values of an enum are wanted: `"RED"` for `"red"`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any

__all__ = ["replace_names"]


def replace_names(value: Any, errors: Iterable[Any], enums: list[type[Enum]]) -> tuple[Any, bool]:
    """A JSON value with the values of members in place of their names, where the errors of pydantic want members.

    The value is changed in place. Says also whether anything was replaced.
    """
    replaced = False
    # Keys last: the places of the others name the keys before the change.
    for error in sorted(errors, key=lambda error: error["loc"][-1:] == ("[key]",)):
        if error["type"] in ("enum", "literal_error", "is_instance_of"):
            value, done = _replace(value, error["loc"], error, enums)
            replaced = replaced or done
    return value, replaced


def _replace(value: Any, location: tuple[int | str, ...], error: Any, enums: list[type[Enum]]) -> tuple[Any, bool]:
    """Replaces a name where a location of pydantic points to.

    A location also names choices of unions and validators, which are no keys of the value.
    """
    if isinstance(value, str):
        member = _named(value, error, enums)
        return (member, True) if member is not None else _inside(value, location, error, enums)
    for position, step in enumerate(location):
        rest = location[position + 1 :]
        if isinstance(value, dict) and step in value:
            if rest == ("[key]",):
                member = _named(step, error, enums)
                if type(member) in (int, float):
                    member = str(member)  # as keys of JSON are
                if member is None or member in value:
                    return value, False
                value[member] = value.pop(step)
                return value, True
        elif not (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            continue
        value[step], done = _replace(value[step], rest, error, enums)
        return value, done
    return value, False


def _inside(text: str, location: tuple[int | str, ...], error: Any, enums: list[type[Enum]]) -> tuple[str, bool]:
    """Replaces a name inside a string that holds JSON itself."""
    try:
        value = json.loads(text)
        if (location and isinstance(value, (dict, list))) or (isinstance(value, str) and value != text):
            value, done = _replace(value, location, error, enums)
            return (json.dumps(value), True) if done else (text, False)
    except (TypeError, ValueError):
        pass  # it holds none
    return text, False


def _named(text: Any, error: Any, enums: list[type[Enum]]) -> Any:
    """The value of a name: that of a member, or the member if its value is no JSON; None for an unknown name."""
    wanted = str(error.get("ctx", {}).get("expected", ""))
    for kind in enums if isinstance(text, str) else ():
        member = kind.__members__.get(text)
        if member is None:
            continue
        if error["type"] == "is_instance_of":  # a strict model that its own code makes wants the member itself
            if error.get("ctx", {}).get("class") == kind.__name__:
                return member
            continue
        is_literal = error["type"] == "literal_error"
        if repr(member.value) in wanted if is_literal else wanted == _expected(kind):
            has_form = isinstance(member if is_literal else member.value, (str, int, float))
            return member.value if has_form else member
    return None


def _expected(kind: type[Enum]) -> str:
    """The members of an enum as an error of pydantic lists them."""
    values = [repr(member.value) for member in kind]
    return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)
