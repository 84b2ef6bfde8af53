"""From the signature of a service to its OpenAPI 3.1 document.

A body that the service accepts is valid by the document, and one that it refuses is not.
"""

from __future__ import annotations

import os
from typing import Any

from qhub.commons.constants import (
    DEFAULT_ENTRYPOINT,
    ENTRYPOINT_ENV,
    SECRETS_PROPERTY_NAME,
    TAGS_PROPERTY_NAME,
)
from qhub.commons.describe import describe
from qhub.commons.openapi.template import service_api

__all__ = ["generate_openapi", "openapi_document"]

_COMPONENTS = "#/components/schemas/"
# Below these keywords names and values are the service's own, even if they read like keywords.
_NAMED_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_VALUES = frozenset({"default", "example", "examples", "enum", "const"})


def generate_openapi(
    entrypoint: str | None = None, title: str = "Service API", version: str = "1", description: str | None = None
) -> None:
    """Prints the OpenAPI document of a service as YAML. Raises ValueError where it cannot be described.

    Without an entrypoint that of the environment is taken.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True  # anchors are YAML, but few readers of OpenAPI expect them

    document = openapi_document(entrypoint, title, version, description)
    print(yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def openapi_document(
    entrypoint: str | None = None, title: str = "Service API", version: str = "1", description: str | None = None
) -> dict[str, Any]:
    """The OpenAPI document of a service. Raises ValueError where the service cannot be described."""
    signature = describe(entrypoint or os.environ.get(ENTRYPOINT_ENV, DEFAULT_ENTRYPOINT))
    if "error" in signature:
        raise ValueError(signature["error"]["message"])
    document = service_api()
    document["info"] |= {"title": title, "version": version}
    if description:
        document["info"]["description"] = description
    components = document["components"]["schemas"]
    names = _component_names(signature.get("$defs", {}), components)
    for name, schema in signature.get("$defs", {}).items():
        components[names[f"#/$defs/{name}"].removeprefix(_COMPONENTS)] = _refer(schema, names)
    body = _request_body(signature["parameters"], names)
    document["paths"]["/"]["post"]["requestBody"] = {
        "required": "required" in body,
        "content": {"application/json": {"schema": body}},
    }
    _extend_result(components, _refer(signature["result"], names))
    return document


def _component_names(definitions: dict[str, Any], taken: dict[str, Any]) -> dict[str, str]:
    """The reference that replaces that of each definition; a model with the name of one of ours gets another name."""
    names: dict[str, str] = {}
    for definition in definitions:
        name = definition
        while name in taken or (name != definition and name in definitions):
            name += "_"
        names[f"#/$defs/{definition}"] = _COMPONENTS + name
    return names


def _refer(schema: Any, names: dict[str, str]) -> Any:
    """A copy of a schema whose references point to the components."""
    if isinstance(schema, list):
        return [_refer(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _VALUES:
            copy[keyword] = value
        elif keyword == "$ref":
            copy[keyword] = names.get(value, value)
        elif keyword in _NAMED_SCHEMAS and isinstance(value, dict):
            copy[keyword] = {name: _refer(item, names) for name, item in value.items()}
        elif keyword == "discriminator" and isinstance(value, dict):
            mapping = {tag: names.get(target, target) for tag, target in value.get("mapping", {}).items()}
            copy[keyword] = {**value, "mapping": mapping}
        else:
            copy[keyword] = _refer(value, names)
    return copy


def _request_body(parameters: list[dict[str, Any]], names: dict[str, str]) -> dict[str, Any]:
    secrets = [p for p in parameters if p["kind"] == "secret"]
    others = [p for p in parameters if p["kind"] != "secret"]
    properties = {p["name"]: _parameter(p, names) for p in others}
    required = [p["name"] for p in others if p["required"]]
    if secrets:
        properties[SECRETS_PROPERTY_NAME] = _object(
            {p["name"]: _secret(p) for p in secrets}, [p["name"] for p in secrets if p["required"]]
        )
        if any(p["required"] for p in secrets):
            required.append(SECRETS_PROPERTY_NAME)
    properties[TAGS_PROPERTY_NAME] = {
        "type": "array",
        "description": "Tags of the execution, to find it by.",
        "items": {"type": "string"},
    }
    return _object(properties, required)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {**schema, "additionalProperties": False}


def _parameter(parameter: dict[str, Any], names: dict[str, str]) -> Any:
    if parameter["kind"] == "input":
        return _refer(parameter["schema"], names)
    reference = {
        "type": "object",
        "description": "A reference to a data pool.",
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "ref": {"type": "string", "enum": ["DATAPOOL", "datapool"]},
            "grant": {"type": "string"},
        },
        "required": ["id", "ref"],
        "additionalProperties": False,
    }
    return reference if parameter["required"] else {"anyOf": [reference, {"type": "null"}]}


def _secret(parameter: dict[str, Any]) -> dict[str, Any]:
    description = parameter.get("description", f"The secret {parameter['name']}, given to this execution only.")
    return {"type": "string", "format": "password", "writeOnly": True, "description": description}


def _extend_result(components: dict[str, Any], result: dict[str, Any]) -> None:
    """Gives the response the properties of what `run` returns."""
    reference = result.get("$ref", "")
    if reference.startswith(_COMPONENTS):
        result = components[reference.removeprefix(_COMPONENTS)]
    envelope = components["ResultResponse"]["properties"]
    for name, schema in result.get("properties", {}).items():
        envelope.setdefault(name, schema)
