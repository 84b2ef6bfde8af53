"""The JSON Schemas that a service declares: of its inputs, of its result, and the parts dropped from them."""

import math
import warnings

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema


def make_adapter(annotation):
    """The pydantic adapter of a type. Of a class that pydantic does not know it takes instances unchanged."""
    try:
        return TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        try:
            return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except Exception:
            pass  # a model has its own configuration: the first error is the one that helps
        raise


class Declared:
    """The schemas of one document. `warnings` are (parameter, text): what they do not say, and why."""

    def __init__(self, inputs, result):
        self.warnings, self.definitions = [], {}
        adapters = [(name, "validation", adapter) for name, adapter in inputs.items()]
        try:
            self.result = [("", "serialization", TypeAdapter(result))]
            schemas = self._generate(adapters + self.result)
        except Exception:  # no schema of the result is no reason not to run the service
            self.result, self.warnings = [], []
            schemas = self._each(adapters)
        self.definitions = {name: self._clean(schema, "", name) for name, schema in self.definitions.items()}
        self.inputs = {name: self._clean(schemas[name, "validation"], name, name) for name in inputs}
        self.result = self._clean(schemas["", "serialization"], "", "the result") if self.result else {}
        self.warnings = list(dict.fromkeys(self.warnings))

    def _generate(self, adapters):
        if not adapters:
            return {}
        found = []

        class Generator(GenerateJsonSchema):
            # Bodies use aliases, as validation does; results are written by field name.
            by_alias = property(lambda self: self.mode == "validation", lambda self, value: None)

            def set_schema(self, schema):  # a list with repetitions is accepted, so the schema must not refuse it
                return {k: v for k, v in super().set_schema(schema).items() if k != "uniqueItems"}

            def frozenset_schema(self, schema):
                return {k: v for k, v in super().frozenset_schema(schema).items() if k != "uniqueItems"}

            def handle_invalid_for_json_schema(self, schema, error_info):
                if self.mode == "validation":
                    found.append(_named(schema))
                return {}

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schemas, shared = TypeAdapter.json_schemas(
                adapters, schema_generator=Generator, ref_template="#/$defs/{model}"
            )
        self.definitions.update(shared.get("$defs", {}))
        where = adapters[0][0] if len(adapters) == 1 else ""
        self.warnings += [(where, f"{name} has no JSON Schema: it is described as any value") for name in found]
        return schemas

    def _each(self, adapters):
        try:
            return self._generate(adapters)
        except Exception:
            self.warnings = []
        schemas = {}
        for name, mode, adapter in adapters:
            try:
                schemas |= self._generate([(name, mode, adapter)])
            except Exception as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                schemas[name, mode] = {}
                self.warnings.append((name, f"its type has no JSON Schema: it is described as any value ({lines[0]})"))
        return schemas

    # Parts that are not JSON Schema.

    def _clean(self, schema, parameter, path):
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            self._drop(parameter, path)
            return {}
        kept = {}
        for name, value in schema.items():
            where = f"{path}.{name}"
            if not isinstance(name, str) or name in _FOREIGN or not _is_json(value):
                self._drop(parameter, where)
            elif name in _SCHEMA:
                if isinstance(value, (dict, bool)):
                    kept[name] = self._clean(value, parameter, where)
                else:
                    self._drop(parameter, where)
            elif name in _SCHEMAS_BY_NAME and isinstance(value, dict):
                kept[name] = {key: self._clean(item, parameter, f"{path}.{key}") for key, item in value.items()}
            elif name in _SCHEMAS and isinstance(value, list) and value:
                kept[name] = [self._clean(item, parameter, f"{where}[{i}]") for i, item in enumerate(value)]
            elif _RULES.get(name, _anything)(value) and (name != "$ref" or self._resolves(value)):
                kept[name] = value
            else:
                self._drop(parameter, where)
        return kept

    def _resolves(self, ref):
        return ref.startswith("#/$defs/") and ref.removeprefix("#/$defs/") in self.definitions

    def _drop(self, parameter, where):
        self.warnings.append((parameter, f"{where} is not valid JSON Schema: the description leaves it out"))


def _named(schema):
    """The schema that replaces a core schema without a JSON Schema."""
    kind = schema.get("cls") or schema.get("function")
    kind = kind.get("function") if isinstance(kind, dict) else kind
    name = getattr(kind, "__qualname__", None)
    return f"the type {name}" if name else f"a type of the kind {schema.get('type')}"


def _is_json(value):
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _anything(_value):
    return True


def _is_text(value):
    return isinstance(value, str)


def _is_flag(value):
    return isinstance(value, bool)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value):
    return _is_number(value) and value >= 0 and value == int(value)


def _is_list(value):
    return isinstance(value, list)


def _is_names(value):
    return isinstance(value, list) and all(map(_is_text, value)) and len(set(value)) == len(value)


def _is_type(value):
    names = [value] if isinstance(value, str) else value
    known = {"null", "boolean", "object", "array", "number", "string", "integer"}
    return bool(names) and _is_names(names) and known.issuperset(names)


def _are_names(value):
    return isinstance(value, dict) and all(map(_is_names, value.values()))


# Keywords that would give the references of a document another meaning.
_FOREIGN = {
    "$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "$recursiveRef", "$recursiveAnchor",
}  # fmt: skip
_SCHEMA = {
    "additionalProperties", "items", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems",
    "unevaluatedProperties", "contentSchema",
}  # fmt: skip
_SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_SCHEMAS_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_RULES = {
    **dict.fromkeys(_SCHEMAS | _SCHEMAS_BY_NAME, lambda value: False),
    **dict.fromkeys(["title", "description", "$comment", "format", "pattern", "$ref"], _is_text),
    **dict.fromkeys(["contentEncoding", "contentMediaType"], _is_text),
    **dict.fromkeys(["deprecated", "readOnly", "writeOnly", "uniqueItems"], _is_flag),
    **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], _is_number),
    **{f"{end}{what}": _is_count for end in ("min", "max") for what in ("Length", "Items", "Properties", "Contains")},
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "type": _is_type, "enum": _is_list, "examples": _is_list, "required": _is_names, "dependentRequired": _are_names,
}  # fmt: skip
