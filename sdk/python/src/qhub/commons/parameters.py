"""From input files, the environment and data pools to the arguments of `run`."""

from __future__ import annotations

import inspect
import os
import sys
from typing import Any

from qhub.commons.annotations import strip_annotated, union_members
from qhub.commons.constants import DATAPOOL_DIRECTORY_ENV, DEFAULT_DATAPOOL_DIRECTORY, MAX_SECRET_SIZE
from qhub.commons.datapool import DataPool
from qhub.commons.describe import Parameter, environment_name
from qhub.commons.secret import SecretValue

__all__ = [
    "create_datapool_instance",
    "create_secret_instance",
    "files_to_parameters",
    "gather_arguments",
    "is_container_type",
    "is_datapool_type",
    "is_optional_type",
    "is_secret_type",
    "is_simple_type",
    "map_default",
    "map_input_file",
    "parameter_name_to_env_var",
    "str_to_parameter_type",
    "value_problem",
]


def gather_arguments(parameters: list[Parameter], input_files: dict[str, str]) -> dict[str, Any]:
    """The argument of every parameter. Raises InputError, which names everything that is wrong at once.

    Secrets are taken out of the environment on the way: no child of the service inherits them.
    """
    from qhub.commons.runtime.error import InputError

    arguments: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for parameter in parameters:
        try:
            arguments[parameter.name] = _argument(parameter, input_files)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return arguments


def _argument(parameter: Parameter, input_files: dict[str, str]) -> Any:
    if parameter.kind == "secret":
        return _secret(parameter)
    if parameter.kind == "datapool":
        return _datapool(parameter)
    if parameter.name in input_files:
        from qhub.commons.binding import bind_file

        return bind_file(input_files[parameter.name], parameter.annotation, parameter.name)
    if parameter.has_default:
        return parameter.default
    if parameter.nullable:
        return None
    if not parameter.required:
        from qhub.commons.binding import bind_value

        return bind_value({}, parameter.annotation, parameter.name)
    raise _missing(parameter, "it is required; give it a value in the request, or a default in the signature")


def _secret(parameter: Parameter) -> Any:
    try:
        return create_secret_instance(parameter.name, parameter.secret_class)
    except KeyError:
        if not parameter.required:
            return parameter.default if parameter.has_default else None
    except ValueError as error:
        raise _missing(parameter, f"the secret is refused: {error}") from None
    raise _missing(parameter, f"the secret is missing; set the environment variable {parameter.env}")


def _datapool(parameter: Parameter) -> Any:
    try:
        return create_datapool_instance(parameter.name)
    except FileNotFoundError:
        if not parameter.required:
            return parameter.default if parameter.has_default else None
        reason = "the data pool is missing"
    except NotADirectoryError:
        reason = "the data pool is a file"
    raise _missing(parameter, f"{reason}; expected a folder at {_datapool_path(parameter.name)}")


def _missing(parameter: Parameter, message: str) -> Exception:
    from qhub.commons.runtime.error import InputError

    return InputError([(parameter.name, message)])


def files_to_parameters(input_files: dict[str, str], signature: inspect.Signature) -> dict[str, Any]:
    """Maps input files (parameter name to path) to the parameters of a signature, secrets and data pools included.

    The annotations of the signature must be types, not strings; `run` of a service is bound by the runtime, which
    resolves them. Parameters that have no value are left out.
    """
    parameters = [
        Parameter(p.name, Any if p.annotation is p.empty else p.annotation, p.default)
        for p in signature.parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    present = [p for p in parameters if p.kind != "input" or p.name in input_files or not p.required]
    return gather_arguments(present, input_files)


def map_input_file(input_file: str, parameter: inspect.Parameter) -> Any:
    """The content of an input file as the type of a parameter."""
    from qhub.commons.binding import bind_file

    return bind_file(input_file, parameter.annotation, parameter.name)


def map_default(parameter: inspect.Parameter) -> Any:
    """The value without an input file: the default, None if optional, an empty model; else TypeError."""
    described = Parameter(parameter.name, parameter.annotation, parameter.default)
    if described.required:
        raise TypeError(f"the parameter '{parameter.name}' has no default")
    if described.kind == "input":
        return _argument(described, {})
    return described.default if described.has_default else None


def str_to_parameter_type(data: str, parameter_type: Any) -> Any:
    """Text as a value of a type: read as JSON, or as the text itself. Raises ValueError, without repeating the text."""
    from qhub.commons.binding import bind_text

    return bind_text(data, parameter_type, "value")


def is_simple_type(value: Any) -> bool:
    """Whether a value is a str, int, float or bool."""
    return isinstance(value, (str, int, float, bool))


def is_container_type(value: Any) -> bool:
    """Whether a type is list or tuple, bare, or the origin of a union."""
    from typing import Optional, Union

    return value is list or value is tuple or value is Union or value is Optional


def is_optional_type(value: Any) -> bool:
    """Whether a type is a union with None."""
    return type(None) in union_members(strip_annotated(value)[0]) and value is not type(None)


def is_datapool_type(parameter_type: Any) -> bool:
    """Whether a type is DataPool, or a union with it."""
    return Parameter("", parameter_type, None).kind == "datapool"


def is_secret_type(parameter_type: Any) -> bool:
    """Whether a type is SecretValue, or a union with it."""
    return Parameter("", parameter_type, None).kind == "secret"


def parameter_name_to_env_var(parameter_name: str) -> str:
    """The environment variable of a secret: `api_token` is SECRET_API_TOKEN, `ibmToken` SECRET_IBM_TOKEN."""
    return environment_name(parameter_name)


def create_datapool_instance(parameter_name: str) -> DataPool:
    """The data pool of a parameter: the folder of that name in DATAPOOL_DIRECTORY."""
    return DataPool(_datapool_path(parameter_name))


def _datapool_path(parameter_name: str) -> str:
    return os.path.join(os.environ.get(DATAPOOL_DIRECTORY_ENV, DEFAULT_DATAPOOL_DIRECTORY), parameter_name)


def create_secret_instance(parameter_name: str, kind: type[SecretValue] | None = None) -> SecretValue:
    """The secret of a parameter, out of its environment variable, which is removed.

    `kind` is a subclass of SecretValue to make it of. Raises KeyError without a variable, and ValueError where its
    value cannot be a secret (see `value_problem`).
    """
    from qhub.commons.runtime.masking import remember

    variable = environment_name(parameter_name)
    try:
        # pop also calls unsetenv, so neither os.environ nor the C library's environment has it any more.
        value = os.environ.pop(variable)
    except KeyError:
        # A new one: the one of os.environ carries nothing useful.
        raise KeyError(f"Environment variable '{variable}' not found for parameter '{parameter_name}'") from None
    _forget_at_start(variable)
    remember(value)
    problem = value_problem(value)
    if problem:
        del value
        raise ValueError(f"the environment variable {variable} {problem}")
    return (kind or SecretValue)(value=value)


def value_problem(value: str) -> str:
    """Why a value cannot be a secret, in words that go on from its name; empty if it can.

    The interpreter reads bytes of the environment that are not UTF-8 as halves of surrogate pairs. No program could
    send or print these: a secret that arrives changed is worse than one that is refused.
    """
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        size = -1
    if size < 0:
        return "is not UTF-8 text; encode it, as base64 for example, and decode it in the service"
    if "\0" in value:
        return "holds a NUL character"
    if size > MAX_SECRET_SIZE:
        return f"is longer than {MAX_SECRET_SIZE // 1024} KiB"
    return ""


def _forget_at_start(variable: str) -> None:
    """The module below os keeps the environment as it was when the interpreter started."""
    initial = getattr(sys.modules.get(os.name), "environ", {})
    initial.pop(variable if os.name == "nt" else os.fsencode(variable), None)
