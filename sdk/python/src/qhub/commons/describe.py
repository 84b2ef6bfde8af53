"""Describes a service as one JSON document: its parameters, their schemas, its secrets, its result.

    python -m qhub.commons.describe [--entrypoint MODULE:FUNCTION] [--output FILE]

This is the only place where a signature is read; the runtime binds what is read here. The file stands alone, so that
a program may load it by its path where another build of qhub-commons is installed: it needs the standard library,
pydantic, and the names SecretValue and DataPool, which every build has.
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

from qhub.commons.datapool import DataPool
from qhub.commons.secret import SecretValue

SCHEMA_VERSION = 1
UNION_ORIGINS = (typing.Union, types.UnionType)


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
        self.name, self.annotation, self.default = name, annotation, default
        plain, self.description = strip_annotated(annotation)
        members = [strip_annotated(member)[0] for member in union_members(plain)]
        self.nullable = type(None) in members
        if SecretValue in members:
            self.kind = "secret"
        elif DataPool in members:
            self.kind = "datapool"
        else:
            self.kind = "input"
        self.has_default = default is not inspect.Parameter.empty
        self.required = not (self.has_default or self.nullable or (self.kind == "input" and all_defaults(plain)))

    @property
    def env(self):
        """The environment variable of a secret."""
        return environment_name(self.name)


# Reading a signature.


def environment_name(parameter):
    """The environment variable of a secret parameter: SECRET_ and its name in UPPER_SNAKE."""
    if parameter.isupper() or ("_" in parameter and parameter.upper() == parameter):
        return "SECRET_" + parameter
    return "SECRET_" + "".join("_" + c if i and c.isupper() else c for i, c in enumerate(parameter)).upper()


def strip_annotated(annotation):
    """The type inside Annotated, and the description that its metadata gives, if any."""
    description = None
    while typing.get_origin(annotation) is typing.Annotated:
        for metadata in annotation.__metadata__:
            text = getattr(metadata, "description", None) or getattr(metadata, "documentation", None)
            description = text if isinstance(text, str) else description
        annotation = annotation.__origin__
    return annotation, description


def union_members(annotation):
    """The members of a union; of another type the type itself."""
    if typing.get_origin(annotation) in UNION_ORIGINS:
        return typing.get_args(annotation)
    return (annotation,)


def all_defaults(annotation):
    """Whether a type is a model or dataclass that can be made of nothing."""
    if is_model(annotation):
        return not any(field.is_required() for field in annotation.model_fields.values())
    if is_class(annotation) and dataclasses.is_dataclass(annotation):
        missing = dataclasses.MISSING
        fields = [field for field in dataclasses.fields(annotation) if field.init]
        return all(field.default is not missing or field.default_factory is not missing for field in fields)
    return False


def is_model(annotation):
    """Whether a type is a pydantic model. Does not import pydantic: there is no model where it is not imported."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and is_class(annotation) and issubclass(annotation, pydantic.BaseModel)


def is_class(annotation):
    """Whether a type is a class. Python 3.10 takes list[int] for one too, until issubclass fails."""
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def read_parameters(function):
    """The parameters of a function, in order, without *args and **kwargs. Raises DescribeError."""
    scope, signature, parameters, variables = _scope(function), _signature(function), [], {}
    for name, declared in signature.parameters.items():
        if declared.kind in (declared.VAR_POSITIONAL, declared.VAR_KEYWORD):
            continue
        try:
            annotation = _resolve(declared.annotation, scope)
        except Exception as error:
            reason = f"its annotation cannot be evaluated: {error}"
            raise DescribeError("annotation", f"parameter '{name}': {reason}", name) from error
        parameter = Parameter(name, annotation, declared.default)
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
    annotation = getattr(annotation, "__supertype__", annotation)  # NewType
    if type(annotation).__name__ == "TypeAliasType":
        annotation = annotation.__value__
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
            return {}  # pydantic says what is wrong with it
    return {}


# Schemas.


def _schemas(parameters, result):
    """The schemas of the inputs by name, of the result, and the definitions that they share."""
    from pydantic import TypeAdapter

    adapters = {parameter.name: make_adapter(parameter) for parameter in parameters}
    inputs = [(name, "validation", adapter) for name, adapter in adapters.items()]
    outputs = []
    try:
        outputs = [("", "serialization", TypeAdapter(result))]
        schemas, shared = _generate(inputs + outputs)
    except Exception:  # no schema of the result is no reason not to run the service
        outputs = []
        schemas, shared = _generate_inputs(inputs)
    described = {name: schemas[name, "validation"] for name in adapters}
    for parameter in parameters:
        if parameter.has_default:
            described[parameter.name] = _with_default(described[parameter.name], adapters[parameter.name], parameter)
    return described, schemas["", "serialization"] if outputs else {}, shared.get("$defs", {})


def make_adapter(parameter):
    """The pydantic adapter of a parameter. Raises DescribeError."""
    from pydantic import PydanticSchemaGenerationError, TypeAdapter

    try:
        return TypeAdapter(parameter.annotation)
    except PydanticSchemaGenerationError as error:
        shown = inspect.formatannotation(parameter.annotation)
        message = f"parameter '{parameter.name}': nothing can be made of the type {shown}"
        hint = "; use types of the standard library, dataclasses or pydantic models"
        raise DescribeError("annotation", message + hint, parameter.name) from error
    except Exception as error:
        raise _unusable(parameter.name, error) from error


def _unusable(name, error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DescribeError("annotation", f"parameter '{name}': the type cannot be used: {lines[0]}", name)


def _generate(inputs):
    import warnings

    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        # Bodies use aliases, as validation does; results are written by field name.
        by_alias = property(lambda self: self.mode == "validation", lambda self, value: None)

        def set_schema(self, schema):  # a list with repetitions is accepted, so the schema must not refuse it
            return {k: v for k, v in super().set_schema(schema).items() if k != "uniqueItems"}

        def frozenset_schema(self, schema):
            return {k: v for k, v in super().frozenset_schema(schema).items() if k != "uniqueItems"}

    if not inputs:
        return {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TypeAdapter.json_schemas(inputs, schema_generator=Generator, ref_template="#/$defs/{model}")


def _generate_inputs(inputs):
    try:
        return _generate(inputs)
    except Exception:
        for single in inputs:
            try:
                _generate([single])
            except Exception as error:
                raise _unusable(single[0], error) from error
        raise


def _with_default(schema, adapter, parameter):
    try:
        default = adapter.dump_python(parameter.default, mode="json", by_alias=True, warnings=False)
        json.dumps(default, allow_nan=False)
    except Exception:
        return schema
    return {"allOf": [schema], "default": default} if "$ref" in schema else {**schema, "default": default}


def _result_type(annotation):
    """What a result is written as: of a generator the list of what it yields, of a coroutine what it returns."""
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
    schemas, result_schema, definitions = _schemas([p for p in parameters if p.kind == "input"], result)
    document = {"schemaVersion": SCHEMA_VERSION, "sdk": _sdk(), "entrypoint": entrypoint}
    text = getattr(function, "__doc__", None)
    if isinstance(text, str) and text.strip() and not isinstance(function, functools.partial):
        document["description"] = inspect.cleandoc(text)
    document["parameters"] = [_member(parameter, schemas) for parameter in parameters]
    document["result"] = result_schema
    if definitions:
        document["$defs"] = definitions
    return document


def _member(parameter, schemas):
    member = {"name": parameter.name, "kind": parameter.kind, "required": parameter.required}
    if parameter.kind == "input":
        member["schema"] = schemas[parameter.name]
    elif parameter.nullable:
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
    """Writes the document to a file or to standard output. Returns 0, or 1 if it is an error document."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m qhub.commons.describe", description=__doc__.splitlines()[0])
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
