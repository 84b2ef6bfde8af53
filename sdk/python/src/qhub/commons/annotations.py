"""Reading annotations: behind aliases, Annotated, unions and Field()."""

import copy
import inspect
import sys
import types
import typing

UNION_ORIGINS = (typing.Union, types.UnionType)


def is_model(annotation):
    """Whether a type is a pydantic model. Does not import pydantic: there is no model where it is not imported."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and is_class(annotation) and issubclass(annotation, pydantic.BaseModel)


def is_class(annotation):
    """Whether a type is a class. Python 3.10 takes list[int] for one too, until issubclass fails."""
    return isinstance(annotation, type) and typing.get_origin(annotation) is None


def strip_annotated(annotation):
    """The type inside Annotated, and the description that its metadata gives, if any."""
    description = None
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            for metadata in reversed(annotation.__metadata__):
                text = getattr(metadata, "description", None) or getattr(metadata, "documentation", None)
                description = description or (text if isinstance(text, str) else None)
            annotation = annotation.__origin__
        elif _is_alias(annotation):
            annotation = _aliased(annotation)
        else:
            return annotation, description


def _is_alias(annotation):
    """Whether a type has been given another name: by `type X = …`, with or without parameters, or by NewType."""
    alias = typing.get_origin(annotation) or annotation
    return type(alias).__name__ == "TypeAliasType" or (callable(alias) and hasattr(alias, "__supertype__"))


def _aliased(annotation):
    """The type of an alias. Raises the errors of its evaluation."""
    alias = typing.get_origin(annotation) or annotation
    if hasattr(alias, "__supertype__"):
        return alias.__supertype__
    value, arguments = alias.__value__, typing.get_args(annotation)
    return value[arguments] if arguments and getattr(value, "__parameters__", ()) else value


def union_members(annotation):
    """The members of a union; of another type the type itself."""
    if typing.get_origin(annotation) in UNION_ORIGINS:
        return typing.get_args(annotation)
    return (annotation,)


def flat_members(annotation):
    """The members of a union, and of the unions that these are aliases of; of another type the type itself."""
    plain = strip_annotated(annotation)[0]
    members = union_members(plain)
    return [plain] if members == (plain,) else [flat for member in members for flat in flat_members(member)]


def field_default(annotation, default):
    """An annotation with what `Field(5, ge=1)` says, as a default or inside Annotated; its default and its factory."""
    fields = sys.modules.get("pydantic.fields")
    if fields is None:  # so there is no Field()
        return annotation, default, None
    field_info = fields.FieldInfo
    empty, stated = inspect.Parameter.empty, []
    if isinstance(default, field_info):
        annotation = typing.Annotated[annotation, default]
        default = empty
    if typing.get_origin(annotation) is not typing.Annotated:
        return annotation, default, None
    metadata = []
    for item in annotation.__metadata__:
        if isinstance(item, field_info) and not item.is_required():
            stated, item = [item], _without_default(item)
        metadata.append(item)
    annotation = typing.Annotated[(annotation.__origin__, *metadata)]
    if not stated or default is not empty:
        return annotation, default, None
    factory = stated[0].default_factory
    return annotation, empty if factory else stated[0].default, factory


def _without_default(field):
    """A copy of what Field() made that has all but the default: for pydantic, that would make it a field of a model."""
    from pydantic_core import PydanticUndefined

    bare = copy.copy(field)
    bare.default, bare.default_factory = PydanticUndefined, None
    stated = getattr(field, "_attributes_set", {})
    bare._attributes_set = {name: value for name, value in stated.items() if name not in ("default", "default_factory")}
    return bare
