"""The form of values in a result that JSON, and pydantic, do not know."""

from __future__ import annotations

import dataclasses
import io
import json
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from enum import Enum
from typing import Any

__all__ = ["Unrepresentable", "plain", "represent"]

# The attributes of their objects are of no use to a caller.
_LIBRARIES = frozenset({"numpy", "pandas", "polars", "pyarrow", "torch", "tensorflow", "jax", "jaxlib", "scipy"})
_MACHINERY = (
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.CodeType, types.FrameType,
    types.TracebackType, io.IOBase,
)  # fmt: skip
# How libraries call the conversion of a table, an array or a scalar to Python's own types.
_CONVERSIONS = ("to_dicts", "to_pylist", "as_py", "tolist", "to_list", "numpy")


class Unrepresentable(ValueError):
    """A value has no JSON form that a caller could use."""


def represent(value: Any) -> Any:
    """The form of an object that pydantic does not know. Raises Unrepresentable."""
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    name = type(value).__name__
    library = type(value).__module__.partition(".")[0]
    if isinstance(value, _MACHINERY):
        raise Unrepresentable(name)
    if name in ("NaTType", "NAType"):
        return None
    if isinstance(value, memoryview):
        return value.tobytes()
    converted = _converted(value, library)
    if converted is not value:
        return converted
    if isinstance(value, BaseException):
        return str(value) or name
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Sequence, Set)):
        return list(value)
    return _attributes(value, library)


def _converted(value: Any, library: str) -> Any:
    if library == "numpy" and hasattr(value, "dtype"):
        if value.dtype.kind in "mM":  # with nanoseconds they would be numbers
            return value.astype(f"{value.dtype.name.partition('[')[0]}[us]").tolist()
        if value.dtype.names:
            return _records(value)
    if hasattr(value, "to_dict") and hasattr(value, "iloc") and hasattr(value, "columns"):
        if not value.columns.is_unique:  # a record has one value of each name
            raise Unrepresentable("columns of the same name")
        return value.to_dict(orient="records")
    for conversion in _CONVERSIONS:
        convert = getattr(value, conversion, None)
        if callable(convert):
            return convert()
    return value


def _records(value: Any) -> Any:
    """The rows of a structured array of numpy, each by the names of its fields."""
    if getattr(value, "shape", ()):
        return [_records(row) for row in value]
    return {name: value[name] for name in value.dtype.names}


def _attributes(value: Any, library: str) -> Any:
    attributes = getattr(value, "__dict__", None)
    if attributes:
        if library in _LIBRARIES or all(str(name).startswith("_") for name in attributes):
            raise Unrepresentable(type(value).__name__)
        return attributes
    slots = {name: getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)}
    if slots:
        return slots
    if isinstance(value, Iterable):
        return list(value)
    if attributes is not None and not callable(value) and library not in _LIBRARIES:
        return {}
    text = str(value)
    if text.startswith("<") and text.endswith(">"):  # says what it is, not what it holds
        raise Unrepresentable(type(value).__name__)
    return text


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in found if not name.startswith("_")]


def plain(value: Any, at: str, bytes_mode: Any = "utf8", outer: tuple[int, ...] = ()) -> Any:
    """A value in JSON's own types. Slower than pydantic, and able to say where it fails.

    Raises Unrepresentable with the place, which begins with `at`.
    """
    if value is None or isinstance(value, (bool, str)):
        return value if type(value) in (bool, str, type(None)) else str(value)
    if isinstance(value, int) and not isinstance(value, Enum):
        return int(value)
    if isinstance(value, float) and not isinstance(value, Enum):
        number = float(value)
        return number if number - number == 0 else None
    if id(value) in outer:
        raise Unrepresentable(f"{at}: cannot represent a value that contains itself")
    outer = (*outer, id(value))
    if isinstance(value, dict):
        return {_key(key, at): plain(item, _member(at, key), bytes_mode, outer) for key, item in value.items()}
    if isinstance(value, Iterator):  # pydantic has come this far before
        raise Unrepresentable(f"{at}: cannot represent an iterator beside what needs a second look; return a list")
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, f"{at}[{index}]", bytes_mode, outer) for index, item in enumerate(value)]
    if isinstance(value, Enum):
        return plain(value.value, at, bytes_mode, outer)
    return _other(value, at, bytes_mode, outer)


def _other(value: Any, at: str, bytes_mode: Any, outer: tuple[int, ...]) -> Any:
    from pydantic_core import to_json

    try:
        if type(value).__name__ == "NaTType":  # a datetime, by its class
            return None
        text = to_json(value, by_alias=False, fallback=represent, bytes_mode=bytes_mode)
        return json.loads(text, parse_constant=lambda name: None)
    except Exception:
        pass  # something inside has no form, and is found below
    if isinstance(value, (bytes, bytearray)):
        raise Unrepresentable(f"{at}: cannot represent these bytes")
    try:
        inside = _fields(value)
        inside = represent(value) if inside is None else inside
    except Unrepresentable as error:
        kind = type(value).__qualname__
        why = "" if str(error) == type(value).__name__ else f" with {error}"
        raise Unrepresentable(f"{at}: cannot represent a value of the type {kind}{why}") from None
    except Exception as error:
        kind = type(value).__qualname__
        raise Unrepresentable(f"{at}: cannot represent a value of the type {kind}: {type(error).__name__}") from None
    return plain(inside, at, bytes_mode, outer)


def _fields(value: Any) -> Any:
    """The fields of a model or a dataclass, None of anything else."""
    fields = getattr(type(value), "model_fields", None)
    if fields is not None:
        extra = getattr(value, "model_extra", None) or {}
        computed = getattr(type(value), "model_computed_fields", {})
        computed = value.model_computed_fields if isinstance(computed, property) else computed
        found = {name: getattr(value, name, None) for name in [*fields, *computed]} | extra
        return found["root"] if getattr(type(value), "__pydantic_root_model__", False) else found
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return None


def _key(key: Any, at: str) -> str:
    from pydantic_core import to_json

    if type(key) is str:
        return key
    try:
        (text,) = json.loads(to_json({key: 0}, fallback=represent))
        return str(text)
    except Exception:
        raise Unrepresentable(f"{at}: cannot represent a key of the type {type(key).__qualname__}") from None


def _member(at: str, key: Any) -> str:
    name = key.value if isinstance(key, Enum) else key
    if isinstance(name, str) and name.isidentifier():
        return f"{at}.{name}"
    return f"{at}[{json.dumps(name) if isinstance(name, (str, int, float)) else '…'}]"
