"""The parts that the OpenAPI documents of all services share: paths, envelope, login."""

from __future__ import annotations

from typing import Any

__all__ = ["service_api"]

_PROBLEM = {"$ref": "#/components/responses/Problem"}
_TIMESTAMP = {
    "type": ["string", "null"],
    "description": "UTC; null until then.",
    "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$",
}
_NULLABLE_ID = {"type": ["string", "null"], "format": "uuid"}


def service_api() -> dict[str, Any]:
    """A new document without what the signature of a service says."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Service API", "version": "1"},
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "parameters": {
                "Id": _path_parameter("id", "The id of an execution.", {"type": "string", "format": "uuid"})
            },
            "responses": {
                "Problem": {
                    "description": "What went wrong.",
                    "content": {"application/problem+json": {"schema": _schema("Problem")}},
                }
            },
            "schemas": _schemas(),
            "securitySchemes": {
                "ApplicationCredentials": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {}}},
                }
            },
        },
        "security": [{"ApplicationCredentials": []}],
    }


def _paths() -> dict[str, Any]:
    execution = _schema("ServiceExecution")
    executions = {"type": "array", "items": execution}
    entries = {"type": "array", "items": _schema("LogEntry")}
    location = {"description": "Where to ask for its state.", "schema": {"type": "string"}}
    start = _operation("startExecution", "Start an execution", {"201": _json("The execution is accepted.", execution)})
    start["responses"]["201"]["headers"] = {"Location": location}
    log = {"200": _json("The log so far, the oldest entry first.", entries), "204": {"description": "No log yet."}}
    file = {"description": "The content of the file.", "content": {"application/octet-stream": {"schema": {}}}}
    cancelled = {"204": {"description": "The execution is cancelled, or had ended."}}
    return {
        "/": {
            "get": _operation("getServiceExecutions", "List executions", {"200": _json("The executions.", executions)}),
            "post": start,
        },
        "/{id}": _item(get=_operation("getStatus", "The state of an execution", {"200": _json("State.", execution)})),
        "/{id}/result": _item(
            get=_operation("getResult", "The result", {"200": _json("The result.", _schema("ResultResponse"))})
        ),
        "/{id}/result/{file}": _item(
            _path_parameter("file", "The name of a result file.", {"type": "string"}),
            get=_operation("getResultFile", "Download a result file", {"200": file}),
        ),
        "/{id}/log": _item(get=_operation("getLogs", "What an execution has logged", log)),
        "/{id}/cancel": _item(put=_operation("cancelExecution", "Cancel an execution", cancelled)),
    }


def _schemas() -> dict[str, Any]:
    status = ["UNKNOWN", "PENDING", "RUNNING", "SUCCEEDED", "CANCELLED", "FAILED"]
    links = {"type": "object", "properties": {"status": _schema("HALLink")}, "additionalProperties": _schema("HALLink")}
    problem = {"type": {"type": "string"}, "status": {"type": "integer"}}
    return {
        "ServiceExecution": {
            "type": "object",
            "required": ["id", "createdAt", "status"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "createdAt": dict(_TIMESTAMP),
                "startedAt": dict(_TIMESTAMP),
                "endedAt": dict(_TIMESTAMP),
                "status": {"type": "string", "enum": status},
                "type": {"type": "string", "enum": ["MANAGED", "WORKFLOW"]},
                "serviceId": dict(_NULLABLE_ID),
                "serviceDefinitionId": dict(_NULLABLE_ID),
                "applicationId": dict(_NULLABLE_ID),
                "tags": {"type": "array", "items": {"type": "string"}},
            },
        },
        "ResultResponse": {
            "type": "object",
            "properties": {
                "_links": links,
                "_embedded": {"type": "object", "properties": {"status": _schema("ServiceExecution")}},
            },
        },
        "LogEntry": {
            "type": "object",
            "required": ["message", "timestamp"],
            "properties": {
                "message": {"type": "string"},
                "severity": {"type": "string", "enum": ["DEBUG", "NOTICE", "INFO", "WARNING", "ERROR"]},
                "timestamp": {"type": "string", "format": "date-time"},
            },
        },
        "HALLink": {"type": "object", "required": ["href"], "properties": {"href": {"type": "string"}}},
        "Problem": {
            "type": "object",
            "description": "A problem document, RFC 9457.",
            "properties": {**problem, "title": {"type": "string"}, "detail": {"type": "string"}},
        },
    }


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _path_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _operation(identifier: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": identifier,
        "summary": summary,
        "tags": ["Service API"],
        "responses": {**responses, "default": dict(_PROBLEM)},
    }


def _item(*parameters: dict[str, Any], **operations: dict[str, Any]) -> dict[str, Any]:
    return {"parameters": [{"$ref": "#/components/parameters/Id"}, *parameters], **operations}
