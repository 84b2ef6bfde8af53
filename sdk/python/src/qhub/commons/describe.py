"""Describes a service as one JSON document: its parameters, their schemas, its secrets, its result.

    python -m qhub.commons.describe [--entrypoint MODULE:FUNCTION] [--output FILE]

This is the only place that reads a signature; the runtime binds its parameters. With annotations.py, checks.py and
schemas.py it stands alone, so that a program may load it beside another build of qhub-commons: it needs the standard
library, pydantic, and the names SecretValue and DataPool, which every build has.
"""

import os
import sys

if __name__ == "__main__" and sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
    # Run by path, the folder of this file comes first, and its json.py would hide the standard library's.
    sys.path[0] = os.getcwd()

import collections.abc
import dataclasses
import functools
import importlib
import inspect
import json
import types
import typing

from qhub.commons.annotations import UNION_ORIGINS, field_default, flat_members, is_class, is_model, strip_annotated
from qhub.commons.datapool import DataPool
from qhub.commons.secret import SecretValue

SCHEMA_VERSION = 1


class DescribeError(Exception):
    """Why a service cannot be described. `kind` is one of docs/signature.md; the cause is what the service raised."""

    def __init__(self, kind, message, parameter=None):
        super().__init__(message)
        self.kind, self.parameter = kind, parameter

    def document(self):
        """The error document of docs/signature.md."""
        error = {"kind": self.kind, "message": str(self)}
        if self.parameter is not None:
            error["parameter"] = self.parameter
        if self.__cause__ is not None and self.kind in ("import", "syntax"):
            error["traceback"] = _user_traceback(self.__cause__)
        return {"schemaVersion": SCHEMA_VERSION, "error": error}


class Parameter:
    """A parameter of `run`, its annotation resolved. `kind` is input, secret or datapool."""

    def __init__(self, name, annotation, default):
        annotation, self._default, self._factory = field_default(annotation, default)
        self.name, self.annotation = name, annotation
        plain, self.description = strip_annotated(annotation)
        members = flat_members(annotation)
        secrets = [member for member in members if is_class(member) and issubclass(member, SecretValue)]
        self.nullable = type(None) in members
        self.secret_class = secrets[0] if secrets else None
        if secrets:
            self.kind = "secret"
        elif DataPool in members:
            self.kind = "datapool"
        else:
            self.kind = "input"
        self.has_default = self._default is not inspect.Parameter.empty or self._factory is not None
        self.required = not (self.has_default or self.nullable or (self.kind == "input" and all_defaults(plain)))

    @property
    def default(self):
        """The value of a parameter that is not given: of a default_factory one for each execution."""
        return self._factory() if self._factory is not None else self._default

    @property
    def fixed_default(self):
        """The default, unless it differs between executions; then, and without one, Parameter.empty."""
        return self._default

    @property
    def env(self):
        """The environment variable of a secret."""
        return environment_name(self.name)


# Reading a signature.


def environment_name(parameter):
    """The environment variable of a secret parameter: SECRET_ and its name in UPPER_SNAKE. Only A to Z begin a word."""
    if parameter.isupper() or ("_" in parameter and parameter.upper() == parameter):
        return "SECRET_" + parameter
    return "SECRET_" + "".join("_" + c if i and "A" <= c <= "Z" else c for i, c in enumerate(parameter)).upper()


def all_defaults(annotation):
    """Whether a type is a model or dataclass that can be made of nothing."""
    if is_model(annotation):
        return not any(field.is_required() for field in annotation.model_fields.values())
    if is_class(annotation) and dataclasses.is_dataclass(annotation):
        missing = dataclasses.MISSING
        fields = [field for field in dataclasses.fields(annotation) if field.init]
        return all(field.default is not missing or field.default_factory is not missing for field in fields)
    return False


def read_parameters(function):
    """The parameters of a function, in order, without *args and **kwargs. Raises DescribeError."""
    scope, signature, parameters, variables = _scope(function), _signature(function), [], {}
    for name, declared in signature.parameters.items():
        if declared.kind in (declared.VAR_POSITIONAL, declared.VAR_KEYWORD):
            continue
        try:
            parameter = Parameter(name, _resolve(declared.annotation, scope), declared.default)
        except Exception as error:
            reason = f"its annotation cannot be evaluated: {error}"
            raise DescribeError("annotation", f"parameter '{name}': {reason}", name) from error
        if parameter.kind == "secret":
            other = variables.setdefault(parameter.env, name)
            if other != name:
                message = f"the secrets '{other}' and '{name}' would both come from {parameter.env}"
                raise DescribeError("collision", message + "; rename one of the parameters", name)
        else:
            _refuse_inner_secrets(parameter)
        parameters.append(parameter)
    return parameters


def _signature(function):
    try:
        return inspect.signature(function)
    except Exception as error:  # also what deferred annotations raise when they are evaluated
        raise DescribeError("annotation", f"the signature cannot be read: {error}") from error


def _scope(function):
    """The names that annotations written as strings refer to."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    if not hasattr(function, "__globals__"):
        function = inspect.unwrap(type(function).__call__)
    return getattr(function, "__globals__", {})


def _resolve(annotation, scope):
    if annotation is inspect.Parameter.empty:
        return typing.Any
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, scope, {}, include_extras=True)["it"]


# Secrets where they do not belong.


def _refuse_inner_secrets(parameter):
    for path in _paths_to_secrets(parameter.annotation, parameter.name, set()):
        message = f"parameter '{parameter.name}': {path} is a secret inside an input, and inputs travel in the open"
        raise DescribeError("annotation", message + "; make the secret a parameter of its own", parameter.name)


def _paths_to_secrets(annotation, path, seen):
    annotation = strip_annotated(annotation)[0]
    if is_class(annotation) and issubclass(annotation, SecretValue):
        yield path
        return
    inner = "" if typing.get_origin(annotation) in (*UNION_ORIGINS, typing.Annotated) else "[]"
    if typing.get_origin(annotation) is not typing.Literal:
        for argument in typing.get_args(annotation):
            yield from _paths_to_secrets(argument, path + inner, seen)
    annotation = typing.get_origin(annotation) or annotation
    if is_class(annotation) and annotation not in seen:
        seen.add(annotation)
        for name, field in _fields(annotation).items():
            yield from _paths_to_secrets(field, f"{path}.{name}", seen)


def _fields(kind):
    """The fields of a model, dataclass, TypedDict or NamedTuple, and their types."""
    if is_model(kind):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__total__") or hasattr(kind, "_fields"):
        try:
            return typing.get_type_hints(kind, include_extras=True)
        except Exception:
            return {}  # pydantic reports the problem
    return {}


# Schemas.


def make_adapter(parameter):
    """The pydantic adapter of a parameter. Raises DescribeError."""
    from pydantic import PydanticSchemaGenerationError
    from qhub.commons import schemas

    if DataPool in _classes(parameter.annotation):
        message = f"parameter '{parameter.name}': DataPool cannot be part of another type"
        raise DescribeError("annotation", message + "; make the data pool a parameter of its own", parameter.name)
    try:
        return schemas.make_adapter(parameter.annotation)
    except PydanticSchemaGenerationError as error:
        shown = inspect.formatannotation(parameter.annotation)
        message = f"parameter '{parameter.name}': nothing can be made of the type {shown}"
        hint = "; use types of the standard library, dataclasses or pydantic models"
        raise DescribeError("annotation", message + hint, parameter.name) from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        message = f"parameter '{parameter.name}': the type cannot be used: {lines[0]}"
        raise DescribeError("annotation", message, parameter.name) from error


def _classes(annotation):
    """The classes that a type is written with."""
    annotation = strip_annotated(annotation)[0]
    yield annotation
    if typing.get_origin(annotation) is not typing.Literal:
        for argument in typing.get_args(annotation):
            yield from _classes(argument)


def _with_default(schema, adapter, parameter):
    if parameter.fixed_default is inspect.Parameter.empty:
        return schema
    try:
        default = adapter.dump_python(parameter.default, mode="json", by_alias=True, warnings=False)
        json.dumps(default, allow_nan=False)
    except Exception:
        return schema
    return {"allOf": [schema], "default": default} if "$ref" in schema else {**schema, "default": default}


def _result_type(annotation):
    """The type in which a result is written: of a generator the list of its values, of a coroutine its return value."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    streams = ("Generator", "AsyncGenerator", "Iterator", "AsyncIterator", "Iterable", "AsyncIterable")
    if origin in [getattr(collections.abc, name) for name in streams]:
        return list[arguments[0]] if arguments else list
    if origin in (collections.abc.Awaitable, collections.abc.Coroutine):
        return arguments[-1]
    return typing.Any if annotation in (type(None), inspect.Signature.empty) else annotation


# The document.


def describe_function(function, entrypoint):
    """The description document of a function. Raises DescribeError."""
    parameters = read_parameters(function)
    try:
        result = _result_type(_resolve(_signature(function).return_annotation, _scope(function)))
    except Exception:
        result = typing.Any
    members, shared = _members(parameters, result)
    document = {"schemaVersion": SCHEMA_VERSION, "sdk": _sdk(), "entrypoint": entrypoint}
    text = getattr(function, "__doc__", None)
    if isinstance(text, str) and text.strip() and not isinstance(function, functools.partial):
        document["description"] = inspect.cleandoc(text)
    return {**document, "parameters": members, **shared}


def _members(parameters, result):
    """The parts of the document about each parameter, and about all: result, definitions, warnings."""
    inputs = {p.name: make_adapter(p) for p in parameters if p.kind == "input"}
    if not inputs and result is typing.Any:
        return [_member(parameter) for parameter in parameters], {"result": {}}  # no need for pydantic
    from qhub.commons import checks, schemas

    declared = schemas.Declared(inputs, result)
    checker = checks.Checks()
    members = []
    for parameter in parameters:
        member = _member(parameter)
        if parameter.kind == "input":
            adapter = inputs[parameter.name]
            member["schema"] = _with_default(declared.inputs[parameter.name], adapter, parameter)
            member["check"] = checker.make(adapter.core_schema)
        members.append(member)
    warnings = [{"parameter": name, "message": text} if name else {"message": text} for name, text in declared.warnings]
    shared = {"result": declared.result, "$defs": declared.definitions, "$checks": checker.definitions}
    shared["warnings"] = warnings
    return members, {name: value for name, value in shared.items() if value or name == "result"}


def _member(parameter):
    member = {"name": parameter.name, "kind": parameter.kind, "required": parameter.required}
    if parameter.kind != "input" and parameter.nullable:
        member["nullable"] = True
    if parameter.kind == "secret":
        member["env"] = parameter.env
    if parameter.description:
        member["description"] = parameter.description
    return member


def _sdk():
    version = getattr(importlib.import_module("qhub.commons"), "__version__", "0.0.0")
    return {"language": "python", "name": "qhub-commons", "version": version}


def describe(entrypoint):
    """The description document of an entrypoint, or the error document that says why there is none."""
    try:
        return describe_function(load(entrypoint), entrypoint)
    except DescribeError as error:
        return error.document()
    except Exception as error:
        return DescribeError("internal", f"describing failed: {type(error).__name__}: {error}").document()


# Finding the function.


def load(entrypoint):
    """Imports the function of an entrypoint. Raises DescribeError of the kinds import, syntax and missing."""
    module_name, _, name = entrypoint.partition(":")
    if not module_name or not name:
        raise DescribeError("missing", f"the entrypoint '{entrypoint}' is not of the form module:function")
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        where = f"{_shorten(error.filename)}:{error.lineno}"
        raise DescribeError("syntax", f"{type(error).__name__}: {error.msg} ({where})") from error
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            message = f"there is no module {module_name}: no module named '{error.name}' in {os.getcwd()}"
            raise DescribeError("import", message) from error
        raise DescribeError("import", _summary(error)) from error
    except (Exception, SystemExit) as error:
        raise DescribeError("import", _summary(error)) from error
    try:
        function = getattr(module, name)
    except AttributeError as error:
        raise DescribeError("missing", f"{module_name} has no function '{name}'; {_functions(module)}") from error
    if not callable(function):
        kind = type(function).__name__
        raise DescribeError("missing", f"'{name}' in {module_name} is no function but of type {kind}")
    return function


def _functions(module):
    names = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return f"it has {', '.join(sorted(names))}" if names else "it has none: define one"


def _user_frames(error):
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    machinery = (__file__, importlib.__file__)
    return [frame for frame in frames if frame.filename not in machinery and not frame.filename.startswith("<frozen")]


def _user_traceback(error):
    import traceback

    lines = traceback.format_list(_user_frames(error)) + traceback.format_exception_only(type(error), error)
    return "".join(lines)


def _summary(error):
    frames = _user_frames(error)
    local = [frame for frame in frames if frame.filename.startswith(os.getcwd() + os.sep)] or frames
    where = f" ({_shorten(local[-1].filename)}:{local[-1].lineno})" if local else ""
    return f"{type(error).__name__}: {error}{where}"


def _shorten(path):
    return os.path.relpath(path) if path and path.startswith(os.getcwd() + os.sep) else path


def main(arguments=None):
    """Writes the description document of a service to a file or to standard output. Returns 1 if it says an error."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m qhub.commons.describe", description=main.__doc__)
    default = os.environ.get("ENTRYPOINT", "user_code.src.program:run")
    parser.add_argument("--entrypoint", default=default, metavar="MODULE:FUNCTION", help=f"default: {default}")
    parser.add_argument("--output", metavar="FILE", help="where the document goes; default: standard output")
    options = parser.parse_args(arguments)
    answer = os.dup(1)
    os.dup2(2, 1)  # importing a service may print
    document = describe(options.entrypoint)
    sys.stdout.flush()
    os.dup2(answer, 1)
    os.close(answer)
    text = json.dumps(document, indent=2) + "\n"
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    return 1 if "error" in document else 0


if __name__ == "__main__":
    sys.exit(main())
