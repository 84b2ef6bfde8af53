"""How pydantic sees a secret: the schema of its type, and errors that show no input.

pydantic quotes the input in its errors. The validator of a secret hides what it was given itself. The list, union or
model around it quotes its own input, with the secret in it. So every schema that holds a secret, however deep, gets a
validator around it that takes the inputs out of its errors: `str()`, `errors()` and `json()` show `[redacted]` there.
"""

from __future__ import annotations

from typing import Any, get_args

from qhub.commons.secret import REDACTED, SecretValue

__all__ = ["hide_inputs", "redaction", "schema_of"]

# Members of a schema that hold no schemas.
_NO_SCHEMAS = frozenset({"type", "metadata", "serialization", "config", "cls", "ref", "schema_ref"})


def schema_of(kind: type[SecretValue]) -> Any:
    """The core schema of a type of secrets: a secret, or a string that becomes one."""
    from pydantic_core import core_schema

    return core_schema.no_info_plain_validator_function(_Validator(kind), serialization=redaction("always"))


def redaction(when_used: Any = "always") -> Any:
    """The serialization that writes `[redacted]` for every value."""
    from pydantic_core import core_schema

    return core_schema.plain_serializer_function_ser_schema(
        _redact, return_schema=core_schema.str_schema(), when_used=when_used
    )


def _redact(_secret: Any) -> str:
    return REDACTED


class _Validator:
    """Makes secrets. Schemas that hold one are found by it."""

    __slots__ = ("__name__", "kind")

    def __init__(self, kind: type[SecretValue]) -> None:
        self.kind, self.__name__ = kind, kind.__name__

    def __call__(self, value: Any) -> SecretValue:
        if isinstance(value, SecretValue):
            return value
        if isinstance(value, str):
            return self.kind(value)
        from pydantic_core import PydanticCustomError, ValidationError

        del value
        # A nested ValidationError brings its own input along, in place of the one that must not be echoed.
        kind = PydanticCustomError("secret_type", "Input should be a string that holds a secret")
        raise ValidationError.from_exception_data(self.__name__, [{"type": kind, "input": REDACTED}], hide_input=True)


def hide_inputs() -> None:
    """Has the schemas that pydantic makes from now on hide their inputs, where they hold a secret.

    pydantic has no hook for what is around a type, so this wraps the method that every schema passes last. A pydantic
    without that method works as before, with the inputs in such errors.
    """
    try:
        from pydantic._internal._generate_schema import GenerateSchema
    except ImportError:
        return
    clean = getattr(GenerateSchema, "clean_schema", None)
    if clean is None or hasattr(clean, "hides_inputs"):
        return

    def clean_schema(self: Any, schema: Any) -> Any:
        return _hiding(clean(self, schema))

    clean_schema.hides_inputs = True  # type: ignore[attr-defined]
    GenerateSchema.clean_schema = clean_schema  # type: ignore[method-assign]


def _hiding(schema: Any) -> Any:
    """The schema, with a validator around it that hides inputs if it holds a secret and does not hide them itself."""
    if schema["type"] == "definitions":
        if not _holds_secret(schema):
            return schema
        return {**schema, "schema": _wrapped(schema["schema"], schema)}
    if _is_secret(schema) or not _holds_secret(schema):
        return schema
    return _wrapped(schema, schema)


def _wrapped(schema: Any, whole: Any) -> Any:
    from pydantic_core import core_schema

    inner = dict(schema)
    ref = inner.pop("ref", None)  # which names the schema with all that is around it
    if inner["type"] == "definition-ref":
        inner, ref = schema, None
    return core_schema.with_info_wrap_validator_function(_Hider(_has_secret_keys(whole)), inner, ref=ref)


def _is_secret(schema: Any) -> bool:
    function = schema.get("function") if schema.get("type") == "function-plain" else None
    return isinstance(function, dict) and isinstance(function.get("function"), _Validator)


def _holds_secret(schema: Any) -> bool:
    if isinstance(schema, dict):
        if _is_secret(schema):
            return True
        return any(_holds_secret(member) for name, member in schema.items() if name not in _NO_SCHEMAS)
    return isinstance(schema, (list, tuple)) and any(map(_holds_secret, schema))


def _has_secret_keys(schema: Any) -> bool:
    """Whether a mapping in it has secrets for keys, which pydantic names in the paths of errors."""
    if isinstance(schema, dict):
        if schema.get("type") == "dict" and _holds_secret(schema.get("keys_schema")):
            return True
        return any(_has_secret_keys(member) for name, member in schema.items() if name not in _NO_SCHEMAS)
    return isinstance(schema, (list, tuple)) and any(map(_has_secret_keys, schema))


class _Hider:
    """Calls a validator and takes the inputs out of its errors."""

    __slots__ = ("__name__", "hides_paths")

    def __init__(self, hides_paths: bool) -> None:
        self.hides_paths, self.__name__ = hides_paths, "hide_inputs"

    def __call__(self, value: Any, handler: Any, info: Any) -> Any:
        from pydantic_core import ValidationError

        try:
            return handler(value)
        except ValidationError as error:
            found = error
        del value
        raise self.hidden(found, info.mode)

    def hidden(self, error: Any, mode: str) -> Exception:
        """The error without inputs."""
        from pydantic_core import PydanticCustomError, ValidationError

        lines: list[Any] = []
        plain: list[Any] = []
        for e in error.errors(include_url=False):
            loc = e["loc"]
            if self.hides_paths:
                loc = tuple(REDACTED if isinstance(part, str) else part for part in loc)
            line = {"type": e["type"], "loc": loc, "input": REDACTED}
            # The message alone: types of the service's own, and those that cannot be made again of what they tell.
            said = {**line, "type": PydanticCustomError(e["type"], e["msg"])}
            plain.append(said)
            lines.append({**line, "ctx": e.get("ctx", {})} if e["type"] in _known_types() else said)
        kind: Any = "json" if mode == "json" else "python"
        try:
            return ValidationError.from_exception_data(error.title, lines, kind, hide_input=True)
        except (TypeError, KeyError, ValueError):
            return ValidationError.from_exception_data(error.title, plain, kind, hide_input=True)


def _known_types() -> frozenset[str]:
    from pydantic_core.core_schema import ErrorType

    return frozenset(get_args(ErrorType))
