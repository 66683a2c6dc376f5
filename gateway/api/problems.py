"""Errors as the outside sees them: RFC 9457 problems with a stable `type`, every fault of an input at once, never a traceback."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from gateway.errors import (
    AuthenticationFailed,
    Busy,
    Conflict,
    DeadlineExceeded,
    DeviceError,
    Fault,
    Forbidden,
    GatewayError,
    InvalidInput,
    NotFound,
    NotSupported,
    Overloaded,
    StorageFailed,
)

TYPE_PREFIX = "urn:city-gateway:problem:"
MEDIA_TYPE = "application/problem+json"
_FAULTS_SHOWN = 200
_RETRY_AFTER_S = "1"

log = structlog.get_logger(__name__)

# The first class that matches gives the status; a code of its own (see gateway/errors.py) gives the `type`.
STATUS: Mapping[type[GatewayError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Forbidden: HTTPStatus.FORBIDDEN,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    StorageFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    NotSupported: HTTPStatus.CONFLICT,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    AuthenticationFailed: HTTPStatus.BAD_GATEWAY,
    DeviceError: HTTPStatus.BAD_GATEWAY,
    GatewayError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# Codes whose status is not their class's.
STATUS_OF_CODE: Mapping[str, HTTPStatus] = {
    "cursor-too-old": HTTPStatus.GONE,
    "malformed-request": HTTPStatus.BAD_REQUEST,
    "malformed-json": HTTPStatus.BAD_REQUEST,
    "key-in-url": HTTPStatus.BAD_REQUEST,
    "body-too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "wrong-media-type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "body-too-slow": HTTPStatus.REQUEST_TIMEOUT,
    "too-many-requests": HTTPStatus.TOO_MANY_REQUESTS,
    "id-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency-key-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "range-not-satisfiable": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}

_RETRY_LATER = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}

# What aiohttp itself refuses, in our words.
_CODE_OF_STATUS: Mapping[int, str] = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large", 400: "malformed-request"}


class Unauthenticated(GatewayError):
    """No key, or one that is not known, revoked or expired."""

    code = "unauthenticated"


class FaultOut(BaseModel):
    """One thing wrong with what was sent."""

    pointer: str = Field(description="Where it stands: a JSON pointer into the body, `?name` for a query parameter, or a place in a file.")
    detail: str


class ProblemOut(BaseModel):
    """An error (RFC 9457). `type` is stable; `hint` says what to do about it."""

    type: str = Field(description=f"`{TYPE_PREFIX}` and a stable code", examples=[TYPE_PREFIX + "not-found"])
    title: str
    status: int
    detail: str
    hint: str | None = None
    errors: list[FaultOut] | None = None
    instance: str | None = Field(default=None, description="Names this occurrence in the gateway's own log.")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer, before it is JSON."""

    status: HTTPStatus
    code: str
    detail: str
    hint: str = ""
    faults: Sequence[Fault] = ()
    instance: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The problem as a JSON object, the same by every door."""
        body: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": _title(self.code),
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.hint:
            body["hint"] = self.hint
        if self.faults:
            body["errors"] = [{"pointer": fault.where, "detail": fault.why} for fault in self.faults[:_FAULTS_SHOWN]]
        if self.instance:
            body["instance"] = self.instance
        return body

    def response(self) -> web.Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **self.headers}
        return web.Response(
            body=json.dumps(self.body(), ensure_ascii=False).encode(), status=self.status, content_type=MEDIA_TYPE, headers=headers
        )


def problem_of(error: GatewayError) -> Problem:
    """The problem that an error of ours becomes."""
    if isinstance(error, Unauthenticated):
        challenge = {"WWW-Authenticate": 'Bearer realm="city-gateway"'}
        return Problem(HTTPStatus.UNAUTHORIZED, error.code, str(error), error.hint, headers=challenge)
    status = STATUS_OF_CODE.get(error.code) or next(status for kind, status in STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": _RETRY_AFTER_S} if status in _RETRY_LATER else {}
    faults = error.faults if isinstance(error, InvalidInput) else ()
    return Problem(status, error.code, str(error), error.hint, faults, headers=headers)


def problem_of_http(error: web.HTTPException) -> Problem:
    """The problem that a refusal by aiohttp itself becomes (no such route, wrong method, too large a body)."""
    status = HTTPStatus(error.status)
    code = _CODE_OF_STATUS.get(error.status, status.phrase.lower().replace(" ", "-"))
    allow = error.headers.get("Allow")
    hint = "What there is: /openapi.json, or /docs in a browser." if error.status in {404, 405} else ""
    return Problem(status, code, status.description or status.phrase, hint, headers={"Allow": allow} if allow else {})


def problem_of_crash(error: Exception, *, where: str) -> Problem:
    """The problem that a mistake of ours becomes: the log has the traceback, the caller a name to quote."""
    instance = uuid.uuid4().urn
    log.error("api.crash", where=where, instance=instance, exc_info=error)
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-error",
        "The gateway made a mistake; whether anything was done is unknown.",
        "Look up what happened before you try again; quote `instance` when you report this.",
        instance=instance,
    )


def faults_of(error: ValidationError, *, place: str = "") -> Iterable[Fault]:
    """What pydantic found wrong, as faults; values are left out, for they may be secrets. `place` comes before each pointer."""
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        pointer = place + "".join(("" if place == "?" and not i else "/") + _escaped(part) for i, part in enumerate(item["loc"]))
        yield Fault(pointer or "/", item["msg"])


def _escaped(part: int | str) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _title(code: str) -> str:
    return re.sub(r"-", " ", code).capitalize()
