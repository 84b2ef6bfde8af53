"""A container for one secret that can be opened once and never shows its content.

The value is not an attribute of the object. It lies in a table that only two closures of this module can reach, and
leaves that table when the secret is unwrapped. So whatever walks, prints, copies or serialises objects finds nothing:
there is nothing in them. This module imports no third-party package; pydantic calls the hooks below if it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

__all__ = ["REDACTED", "SecretValue"]

REDACTED = "[redacted]"


def _hidden_table() -> tuple[Callable[[SecretValue, str], None], Callable[[SecretValue], Any], Callable[..., bool]]:
    table: WeakKeyDictionary[SecretValue, str] = WeakKeyDictionary()

    def put(secret: SecretValue, value: str) -> None:
        table[secret] = value

    def take(secret: SecretValue) -> str | None:
        # One pop, which the interpreter does atomically: of racing threads exactly one gets the value.
        return table.pop(secret, None)

    def holds(secret: SecretValue) -> bool:
        return secret in table

    return put, take, holds


_put, _take, _holds = _hidden_table()


class SecretValue:
    """A secret: `unwrap()` gives its value, once; everything else shows `[redacted]`.

    A copy, shallow or deep, is the same secret, so it shares the lock. Pickling is refused, and pydantic and `json`
    only ever see `"[redacted]"`. Equality is identity: comparing reveals nothing about the value.
    """

    __slots__ = ("__weakref__",)

    def __new__(cls, value: str) -> SecretValue:
        if not isinstance(value, str):
            kind = type(value).__name__
            del value  # a traceback that shows local variables must not show it
            raise TypeError(f"the value of a secret is a str, not {kind}")
        secret = object.__new__(cls)
        _put(secret, str(value))
        return secret

    @property
    def is_locked(self) -> bool:
        """Whether the secret has been unwrapped."""
        return not _holds(self)

    def unwrap(self) -> str:
        """Returns the value and forgets it. Any later call raises ValueError, in this thread or another."""
        value = _take(self)
        if value is None:
            raise ValueError("Secret is locked and cannot be unwrapped")
        return value

    # What it looks like.

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"SecretValue({REDACTED})"

    def __format__(self, spec: str) -> str:
        # Whatever the width or precision asked for: a logging call must not fail over a secret.
        return REDACTED

    # Copying and pickling.

    def __copy__(self) -> SecretValue:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SecretValue:
        return self

    def __reduce_ex__(self, protocol: object = None) -> NoReturn:
        raise TypeError("a SecretValue cannot be pickled: unwrap it where it is used, in the process that was given it")

    __reduce__ = __getstate__ = __reduce_ex__  # type: ignore[assignment]

    # As services knew it when it was a pydantic model.

    def model_dump(self, **_options: Any) -> str:
        """Always `[redacted]`."""
        return REDACTED

    def model_dump_json(self, **_options: Any) -> str:
        """Always `"[redacted]"`, a JSON string."""
        return f'"{REDACTED}"'

    # As a type of pydantic.

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _redact, return_schema=core_schema.str_schema(), when_used="always"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    @classmethod
    def _validated(cls, value: Any) -> SecretValue:
        if isinstance(value, SecretValue):
            return value
        if isinstance(value, str):
            return cls(value)
        from pydantic_core import PydanticCustomError, ValidationError

        del value
        # A nested ValidationError brings its own input along, in place of the one that must not be echoed.
        kind = PydanticCustomError("secret_type", "Input should be a string that holds a secret")
        raise ValidationError.from_exception_data(cls.__name__, [{"type": kind, "input": REDACTED}], hide_input=True)


def _redact(_secret: Any) -> str:
    return REDACTED


class _LazySerializer:
    """Gives pydantic, when it meets a secret in a value of unknown type, a serializer that redacts it.

    Built at first use: pydantic is imported by then, and is not before.
    """

    def __init__(self) -> None:
        self._serializer: Any = None

    def __get__(self, _instance: Any, _owner: Any) -> Any:
        if self._serializer is None:
            from pydantic_core import SchemaSerializer, core_schema

            redact = core_schema.plain_serializer_function_ser_schema(_redact, return_schema=core_schema.str_schema())
            self._serializer = SchemaSerializer(core_schema.any_schema(serialization=redact))
        return self._serializer


SecretValue.__pydantic_serializer__ = _LazySerializer()  # type: ignore[attr-defined]
