"""Names of members where values of an enum are wanted: `"RED"` for `"red"`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

__all__ = ["replace_names"]


def replace_names(value: Any, errors: Iterable[Any], enums: list[type[Enum]]) -> tuple[Any, bool]:
    """A JSON value with the values of members in place of their names, where the errors of pydantic want members.

    The value is changed in place. Says also whether anything was replaced.
    """
    replaced = False
    for error in errors:
        if error["type"] not in ("enum", "literal_error"):
            continue
        holder, key, text = _find({"": value}, "", error["loc"])
        member = _named(text, error, enums)
        if member is None:
            continue
        if holder is None:
            value = member
        elif isinstance(holder, dict) and error["loc"][-1:] == ("[key]",):
            holder[member] = holder.pop(key)
        else:
            holder[key] = member
        replaced = True
    return value, replaced


def _find(root: dict[str, Any], key: Any, location: tuple[int | str, ...]) -> tuple[Any, Any, Any]:
    """Where in a value a location of pydantic is: the holder, the key, and what is there.

    A location also names choices of unions and validators, which are no keys of the value.
    """
    holder: Any = root
    for position, step in enumerate(location):
        here = holder[key]
        if isinstance(here, dict):
            if step not in here:
                continue
            if location[position + 1 :] == ("[key]",):
                return here, step, step
        elif not isinstance(here, list) or not isinstance(step, int) or step >= len(here):
            continue
        holder, key = here, step
    return (None if holder is root else holder), key, holder[key]


def _named(text: Any, error: Any, enums: list[type[Enum]]) -> Any:
    """What a name stands for: the value of a member, or the member if its value is no JSON; None if for nothing."""
    wanted = str(error.get("ctx", {}).get("expected", ""))
    for kind in enums if isinstance(text, str) else ():
        member = kind.__members__.get(text)
        if member is None:
            continue
        is_literal = error["type"] == "literal_error"
        if repr(member.value) in wanted if is_literal else wanted == _expected(kind):
            plain = isinstance(member.value, (str, int, float)) and not (is_literal and not isinstance(member, (str, int)))
            return member.value if plain else member
    return None


def _expected(kind: type[Enum]) -> str:
    """The members of an enum as an error of pydantic lists them."""
    values = [repr(member.value) for member in kind]
    return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)
