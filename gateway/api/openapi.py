"""The OpenAPI 3.1 document, made from the declared operations alone, so that what can be called is described."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.api.auth import COOKIE
from gateway.api.problems import MEDIA_TYPE, STATUS, ProblemOut
from gateway.api.routing import Media, Open, Operation, Routes
from gateway.domain.access import Permission
from gateway.errors import GatewayError

_REF = "#/components/schemas/{model}"
_ABOUT = """\
One door to the cameras, loudspeakers, recorders and switches of a city.

Every call carries `Authorization: Bearer KEY` (or the cookie of `POST /v1/session`, with `X-Requested-With` on what changes something).
Errors are RFC 9457 problems whose `type` is stable. Lists page by `cursor`. Times are RFC 3339 with an offset; naive times are refused.
Calls that act take an `Idempotency-Key`: the same key with the same body is one effect, however often it is sent.
`GET` can be asked as `HEAD`, except for the event stream and what counts as a download.
*Done*, *failed* and *unknown* are three different answers."""

_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A console's session, made from a key."},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def document(tables: Sequence[Routes], *, version: str) -> dict[str, Any]:
    """The whole document, as plain JSON values."""
    operations = [operation for table in tables for operation in table]
    schemas, references = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(_template(operation.path), {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "City gateway", "version": version, "description": _ABOUT, "license": _LICENSE},
        "tags": [{"name": table.tag, "description": table.about} for table in tables],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _SCHEMES,
        },
        "security": [{"key": []}, {"session": []}],
    }


References = Mapping[Any, dict[str, Any]]
"""How to refer to the schema of (model, "validation" or "serialization")."""


def _schemas(operations: Iterable[Operation]) -> tuple[dict[str, Any], References]:
    """The schemas of all models, and how to refer to each one (as input: "validation", as output: "serialization")."""
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemOut, "serialization"): None}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        if operation.query is not None:
            wanted[operation.query, "validation"] = None
        if isinstance(operation.answers, type):
            wanted[operation.answers, "serialization"] = None
    references, definitions = models_json_schema(list(wanted), ref_template=_REF)
    return definitions.get("$defs", {}), references


def _operation(operation: Operation, references: References) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "x-permission": operation.policy.value,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation), *_header_parameters(operation)],
        "responses": _responses(operation, references),
    }
    if operation.description:
        found["description"] = operation.description
    if operation.policy is Open.ANYBODY:
        found["security"] = []
    body = _request_body(operation, references)
    return {**found, "requestBody": body} if body else found


def _template(path: str) -> str:
    """aiohttp's `{name:regex}` is OpenAPI's `{name}`."""
    return re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", path)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", _template(path))
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(ref_template=_REF)
    required = schema.get("required", ())
    return [_query_parameter(name, part, required=name in required) for name, part in schema.get("properties", {}).items()]


def _query_parameter(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    description = schema.get("description", "")
    found: dict[str, Any] = {"name": name, "in": "query", "required": required, "schema": _not_null(schema)}
    return {**found, "description": description} if description else found


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out, never null."""
    parts = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "title", "description"}}
    if rest.get("default", "") is None:
        del rest["default"]
    if not parts:
        return rest
    return {**rest, **(parts[0] if len(parts) == 1 else {"anyOf": parts})}


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": about}
        for name, about in operation.headers.items()
    ]


def _request_body(operation: Operation, references: References) -> dict[str, Any] | None:
    if operation.body is not None:
        return {"required": True, "content": {"application/json": {"schema": references[operation.body, "validation"]}}}
    if operation.takes is not None:
        return {"required": True, "content": dict.fromkeys(operation.takes.types, _BINARY)}
    return None


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    found = {str(operation.status): _answer(operation, references)}
    for status, types in sorted(_problem_statuses(operation).items()):
        found[str(int(status))] = {
            "description": f"{status.phrase}: {types}",
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model=ProblemOut.__name__)}}},
        }
    return found


def _answer(operation: Operation, references: References) -> dict[str, Any]:
    phrase = HTTPStatus(operation.status).phrase
    if isinstance(operation.answers, Media):
        return {"description": phrase, "content": dict.fromkeys(operation.answers.types, _BINARY)}
    if operation.answers is not None:
        schema = references[operation.answers, "serialization"]
        return {"description": phrase, "content": {"application/json": {"schema": schema}}}
    return {"description": phrase}


def _problem_statuses(operation: Operation) -> dict[HTTPStatus, str]:
    """The error statuses that an operation can answer, each with the codes of its problems."""
    found: dict[HTTPStatus, list[str]] = {}

    def add(status: HTTPStatus, code: str) -> None:
        if code not in found.setdefault(status, []):
            found[status].append(code)

    if operation.policy is not Open.ANYBODY:
        add(HTTPStatus.UNAUTHORIZED, "unauthenticated")
        add(HTTPStatus.BAD_REQUEST, "key-in-url")
        add(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests")
        add(HTTPStatus.SERVICE_UNAVAILABLE, "storage-failed")
    if isinstance(operation.policy, Permission):
        add(HTTPStatus.FORBIDDEN, "forbidden")
    add(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input")
    if operation.repeatable:
        add(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused")
        add(HTTPStatus.CONFLICT, "outcome-unknown")
    if operation.body is not None:
        add(HTTPStatus.BAD_REQUEST, "malformed-json")
    if operation.body is not None or operation.takes is not None:
        add(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wrong-media-type")
        add(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large")
    for problem in operation.problems:
        add(status_of(problem), problem.code)
    return {status: ", ".join(codes) for status, codes in found.items()}


def status_of(problem: type[GatewayError]) -> HTTPStatus:
    """The status of an error class, by the table of `problems`."""
    return next(status for kind, status in STATUS.items() if issubclass(problem, kind))
