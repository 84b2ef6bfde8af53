"""A container for one secret that can be opened once and never shows its content.

No attribute leads to the value: format strings, debuggers and serializers that follow attributes find nothing. It lies
in a queue implemented in C, which has methods and no attributes, and only calling one of them takes it out. What lies
there is the value combined with a random pad, so that tools that walk the objects of the interpreter find no text.
This module imports no third-party package; pydantic calls the hooks below if it is there.
"""

from __future__ import annotations

import os
from _queue import Empty, SimpleQueue
from typing import Any, NoReturn

__all__ = ["REDACTED", "SecretValue"]

REDACTED = "[redacted]"


def seal(value: str) -> tuple[bytes, bytes]:
    """A value as a random pad and the value combined with it. Neither of them says anything."""
    plain = str.encode(value, "utf-8", "surrogatepass")
    pad = os.urandom(len(plain))
    return pad, _combine(plain, pad)


def unseal(pad: bytes, combined: bytes) -> str:
    """The value that was sealed."""
    return _combine(combined, pad).decode("utf-8", "surrogatepass")


def _combine(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") ^ int.from_bytes(other, "little")).to_bytes(len(one), "little")


class SecretValue:
    """A secret: `unwrap()` gives its value, once; everything else shows `[redacted]`.

    A copy, shallow or deep, is the same secret, so it shares the lock. Pickling is refused, and pydantic and `json`
    only ever see `"[redacted]"`. Equality is identity: comparing reveals nothing about the value.
    """

    __slots__ = ("__weakref__", "_cell")

    _cell: SimpleQueue[tuple[bytes, bytes]]  # empty once unwrapped

    def __new__(cls, value: str) -> SecretValue:
        if not isinstance(value, str):
            kind = type(value).__name__
            del value  # a traceback that shows local variables must not show it
            raise TypeError(f"the value of a secret is a str, not {kind}")
        secret = object.__new__(cls)
        cell: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
        cell.put(seal(value))
        object.__setattr__(secret, "_cell", cell)
        return secret

    @property
    def is_locked(self) -> bool:
        """Whether the secret has been unwrapped."""
        return self._cell.empty()

    def unwrap(self) -> str:
        """Returns the value and forgets it. Any later call raises ValueError, in this thread or another."""
        try:
            # One call into C, which the interpreter does atomically: of racing threads exactly one gets the value.
            pad, combined = self._cell.get_nowait()
        except Empty:
            pass
        else:
            return unseal(pad, combined)
        raise ValueError("Secret is locked and cannot be unwrapped")

    def __setattr__(self, name: str, _value: Any) -> NoReturn:
        raise AttributeError(f"a SecretValue has no attribute '{name}' that can be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a SecretValue has no attribute '{name}' that can be deleted")

    # Printed forms.

    def __str__(self) -> str:
        return REDACTED

    def __repr__(self) -> str:
        return f"SecretValue({REDACTED})"

    def __format__(self, spec: str) -> str:
        # For any width or precision: a logging call must not fail over a secret.
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
        from qhub.commons.secretschema import hide_inputs, schema_of

        hide_inputs()
        return schema_of(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}


class _LazySerializer:
    """Gives pydantic, when it meets a secret in a value of unknown type, a serializer that redacts it.

    Built at first use: pydantic is imported by then, and is not before.
    """

    def __init__(self) -> None:
        self._serializer: Any = None

    def __get__(self, _instance: Any, _owner: Any) -> Any:
        if self._serializer is None:
            from pydantic_core import SchemaSerializer, core_schema
            from qhub.commons.secretschema import redaction

            self._serializer = SchemaSerializer(core_schema.any_schema(serialization=redaction()))
        return self._serializer


SecretValue.__pydantic_serializer__ = _LazySerializer()  # type: ignore[attr-defined]
