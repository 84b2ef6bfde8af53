"""Results as JSON."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["any_to_json"]

# Deeper values go to pydantic, which notices a value that contains itself.
_PLAIN_DEPTH = 64


def any_to_json(data: Any) -> str | None:
    """The JSON text of any value, indented by two; None for None.

    Values are written as pydantic writes them: models by field name, enums by value, sets and generators as lists,
    NaN as null, dates by ISO 8601, secrets as "[redacted]". Tables of pandas and its relatives are lists of records,
    arrays are lists, other objects their `__dict__`. Raises ValueError where a value has no JSON form, such as a lock,
    or a list that contains itself; the error names its place.
    """
    if data is None:
        return None
    if _is_plain(data, _PLAIN_DEPTH):
        try:
            text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
        except ValueError:
            return _dump(data)  # NaN, which pydantic knows to write
        # Half of a surrogate pair has no UTF-8, but an escape.
        return text if _is_unicode(text) else json.dumps(data, indent=2)
    return _dump(data)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value consists of JSON's own types, so that importing pydantic_core would gain nothing."""
    kind = type(value)
    if kind in (str, int, float, bool, type(None)):
        return True
    if depth == 0:
        return False
    if kind is list:
        return all(_is_plain(item, depth - 1) for item in value)
    if kind is dict:
        return all(type(key) is str and _is_plain(item, depth - 1) for key, item in value.items())
    return False


def _dump(data: Any) -> str:
    from qhub.commons.represent import plain

    mode = "utf8"
    try:
        return _to_json(data)
    except Exception as error:
        if "invalid utf-8" in str(error):
            mode = "base64"
    try:
        if mode == "base64":
            return _to_json(data, bytes_mode=mode)
    except Exception:
        pass  # a value without a form is found below
    try:
        return json.dumps(plain(data, "result", mode), indent=2, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"the result has no JSON form: {error}") from None
    except RecursionError:
        raise ValueError("the result has no JSON form: it is nested too deeply") from None


def _to_json(data: Any, **options: Any) -> str:
    from pydantic_core import to_json
    from qhub.commons.represent import represent

    text = to_json(data, indent=2, by_alias=False, fallback=represent, **options).decode()
    if "NaN" in text or "Infinity" in text:
        # Not every version of pydantic has an option to write null, so its constants are read as such.
        value = json.loads(text, parse_constant=lambda name: None)
        return json.dumps(value, indent=2, ensure_ascii=False)
    return text
