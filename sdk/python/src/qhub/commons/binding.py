"""Text to typed values, by pydantic.

A file is text without a type, so it is read leniently: as JSON, then as a string. A file called `.txt` was a JSON
string in the request, so for it the order is reversed. If the files were made of a request (QHUBCTL_INPUT_SOURCE is
"request"), each is the JSON of the caller, and pydantic alone decides. Members of enums may be named anywhere. No error
repeats the input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from qhub.commons.annotations import flat_members, is_class, strip_annotated
from qhub.commons.constants import INPUT_SOURCE_ENV, REQUEST
from qhub.commons.file import read_blob
from qhub.commons.runtime.error import InputError, ServiceError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from qhub.commons.describe import Parameter

__all__ = ["bind_file", "bind_text", "bind_value", "prepare"]

# More are not listed: no caller reads the ten-thousandth.
_MAX_PROBLEMS = 50
# A text of the input that is this long, found in a message, was quoted from the input.
_ECHO_LENGTH = 6
# A name is replaced where pydantic got to; a union may get further each time.
_MAX_NAMES = 8


def bind_file(path: str, annotation: Any, name: str) -> Any:
    """The content of an input file as a type. Raises InputError, with paths that begin with name."""
    try:
        content = read_blob(path)
    except OSError as error:
        raise InputError([(name, f"its input file cannot be read: {error.strerror}")]) from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        if strip_annotated(annotation)[0] is bytes:
            return bind_value(content, annotation, name)
        raise InputError([(name, "its input file is not UTF-8 text")]) from None
    if os.environ.get(INPUT_SOURCE_ENV) == REQUEST:
        return bind_json(text, annotation, name, is_string=path.endswith(".txt"))
    return bind_text(text, annotation, name, is_string=path.endswith(".txt"))


def bind_json(text: str, annotation: Any, name: str, is_string: bool = False) -> Any:
    """A JSON text, or the content of a JSON string, as a type, as pydantic reads JSON."""
    if is_string and (annotation is str or annotation is Any):
        return text
    return _reader(annotation, name).read_json(text, name, is_string)


def bind_text(text: str, annotation: Any, name: str, is_string: bool = False) -> Any:
    """Text as a type. `is_string` says that the text is known to be a string."""
    if annotation is str or (annotation is Any and is_string):
        return text
    return _reader(annotation, name).read(text, name, is_string)


def bind_value(value: Any, annotation: Any, name: str) -> Any:
    """A value, such as an empty object, as a type."""
    reader = _reader(annotation, name)
    try:
        return reader.adapter.validate_python(value)
    except reader.rejection as rejection:
        error = rejection
    raise _input_error(error, name)


class _Reader:
    """How values of one type are read: what depends on the type alone is found once."""

    def __init__(self, annotation: Any, adapter: TypeAdapter[Any]) -> None:
        from pydantic import ValidationError

        self.annotation, self.adapter, self.rejection = annotation, adapter, ValidationError
        self._enums: list[type[Enum]] | None = None
        members = flat_members(annotation)
        self.members = members
        # The exact text if strings are welcome; numbers and dates may stand between blanks.
        self.keeps_blanks = str in members or Any in members
        # Whether to read text as JSON, attempt by attempt.
        self.attempts: tuple[bool, ...] = (True, False)
        if members == [str]:
            self.attempts = (False,)
        elif {Decimal} == set(members) - {type(None)}:
            self.attempts = (False, True)  # the text of a decimal keeps the digits that a JSON number loses

    def read(self, text: str, name: str, is_string: bool) -> Any:
        """Text as a value. Raises InputError, with paths that begin with name."""
        plain = text.removeprefix("\ufeff")
        errors: list[ValidationError] = []
        for as_json in sorted(self.attempts) if is_string else self.attempts:
            try:
                if not as_json:
                    return self.adapter.validate_python(text if self.keeps_blanks else text.strip())
                value = self._parse(plain, name)
                if "true" in plain or "false" in plain:
                    _refuse_booleans_as_numbers(self.adapter, plain)
                return value
            except self.rejection as rejection:
                errors.append(rejection)
        member = _enum_member(self.members, plain)
        if member is not None:
            return member
        if True in self.attempts and self.enums:
            try:
                return self._with_names(json.loads(plain), errors[self.attempts.index(True)])
            except (ValueError, self.rejection):
                pass  # the first error is the one that helps
        raise _input_error(_telling(errors, plain), name)

    def read_json(self, text: str, name: str, is_string: bool) -> Any:
        """JSON text, or the content of a JSON string, as a value. Raises InputError as read does."""
        document = json.dumps(text) if is_string else text
        try:
            value = self._parse(document, name)
        except self.rejection as rejection:
            error = rejection
        else:
            return self._exact(text, value)
        if self.enums:
            try:
                return self._with_names(json.loads(document), error)
            except (ValueError, self.rejection):
                pass  # the first error is the one that helps
        # Where the string had to be JSON itself, no name will do.
        if not any(e["type"] == "json_invalid" for e in error.errors(include_url=False)):
            member = _enum_member(self.members, document)
            if member is not None:
                return member
        raise _input_error(error, name)

    def _parse(self, text: str, name: str) -> Any:
        try:
            return self.adapter.validate_json(text)
        except NotImplementedError:  # how older versions of pydantic say it
            raise InputError([(name, "Input should be an instance of a class, which JSON has no form for")]) from None

    def _exact(self, text: str, value: Any) -> Any:
        """A decimal with the digits that it was sent with: as a JSON number it has lost some."""
        if isinstance(value, Decimal) and {Decimal} == set(self.members) - {type(None)}:
            try:
                return self.adapter.validate_python(text.strip())
            except self.rejection:
                return value
        return value

    @property
    def enums(self) -> list[type[Enum]]:
        """The enums anywhere in the type."""
        if self._enums is None:
            from qhub.commons.checks import enum_classes

            self._enums = enum_classes(self.adapter.core_schema)
        return self._enums

    def _validate(self, value: Any) -> Any:
        try:
            text = json.dumps(value)
        except TypeError:  # it holds a member whose value is no JSON
            return self.adapter.validate_python(value)
        return self.adapter.validate_json(text)

    def _with_names(self, value: Any, error: ValidationError) -> Any:
        """A JSON value that was rejected, with the names of members in place of which their values are wanted."""
        from qhub.commons.enums import replace_names

        for _ in range(_MAX_NAMES):
            value, replaced = replace_names(value, error.errors(include_url=False), self.enums)
            if not replaced:
                raise error
            try:
                return self._validate(value)
            except self.rejection as rejection:
                error = rejection
        raise error


# Built ahead by prepare, by the identity of the annotation, which is kept: not every annotation can be hashed.
_prepared: dict[int, _Reader] = {}


def prepare(parameters: Iterable[Parameter]) -> None:
    """Builds ahead what binding the inputs among the parameters needs."""
    for parameter in parameters:
        if parameter.kind == "input":
            _prepared[id(parameter.annotation)] = _reader(parameter.annotation, parameter.name)


def _reader(annotation: Any, name: str) -> _Reader:
    if id(annotation) in _prepared:
        return _prepared[id(annotation)]
    from qhub.commons.describe import DescribeError, Parameter, make_adapter

    try:
        return _Reader(annotation, make_adapter(Parameter(name, annotation, None)))
    except DescribeError as error:
        raise ServiceError("UnsupportedAnnotation", str(error)) from error


def _refuse_booleans_as_numbers(adapter: TypeAdapter[Any], text: str) -> None:
    """A boolean is no number, which pydantic only says when it is strict."""
    from pydantic import ValidationError

    try:
        adapter.validate_json(text, strict=True)
    except ValidationError as error:
        wrong = [
            {"type": e["type"], "loc": e["loc"], "input": None}
            for e in error.errors(include_url=False)
            if e["type"] in ("int_type", "float_type", "decimal_type") and isinstance(e["input"], bool)
        ]
        if wrong:
            raise ValidationError.from_exception_data(error.title, wrong) from None


def _enum_member(members: list[Any], text: str) -> Enum | None:
    try:
        name = json.loads(text)
    except ValueError:
        name = text.strip()
    for kind in members:
        if isinstance(name, str) and is_class(kind) and issubclass(kind, Enum) and name in kind.__members__:
            return kind[name]
    return None


def _telling(errors: list[ValidationError], text: str) -> ValidationError:
    """Of the errors of the attempts the one that helps: that of the JSON, unless the text was never meant as such."""
    as_json = [e for e in errors if e.errors(include_url=False)[0]["type"] != "json_invalid"]
    return as_json[0] if as_json and not text.lstrip().startswith(("{", "[")) else errors[0]


# The errors, in words that do not repeat the input.

# These messages of pydantic quote the input.
_QUOTING = {
    "union_tag_invalid": "Input has an unknown tag",
    "uuid_parsing": "Input should be a valid UUID",
    "url_parsing": "Input should be a valid URL",
}


def _input_error(error: ValidationError, name: str) -> InputError:
    found = error.errors(include_url=False)
    problems = [(_path(name, e["loc"]), _message(e)) for e in found[:_MAX_PROBLEMS]]
    if len(found) > _MAX_PROBLEMS:
        problems.append((name, f"and {len(found) - _MAX_PROBLEMS} more errors"))
    return InputError(problems)


def _path(name: str, location: tuple[int | str, ...]) -> str:
    return name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _message(error: Any) -> str:
    message: str = error["msg"]
    if error["type"] in _QUOTING:
        return _QUOTING[error["type"]]
    if error["type"] in _builtin_types():
        return message
    # Messages of the service's own validators are useful, and they may quote the input.
    for leaf in sorted(set(_leaves(error.get("input"))), key=len, reverse=True):
        message = _without(message, leaf)
    return message


def _without(message: str, leaf: str) -> str:
    """A message without a text of the input.

    A short one is in most messages by chance: it is taken out where it stands in quotes, as `{value!r}` puts it.
    """
    if len(leaf) >= _ECHO_LENGTH:
        return message.replace(leaf, "…")
    for quote in ("'", '"', "`") if leaf else ():
        message = message.replace(f"{quote}{leaf}{quote}", f"{quote}…{quote}")
    return message


def _builtin_types() -> frozenset[str]:
    from typing import get_args

    from pydantic_core.core_schema import ErrorType

    return frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
