"""Errors as the outside sees them: RFC 9457 problems with a stable `type`, every fault of an input at once, never a traceback."""

import difflib
import json
import re
import typing
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

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
_NAMED = 20
_RETRY_AFTER_S = "1"

log = structlog.get_logger(__name__)


class Unauthenticated(GatewayError):
    """No key, or one that is not known, revoked or expired."""

    code = "unauthenticated"


# The first class that matches gives the status; a code of its own (see gateway/errors.py) gives the `type`.
STATUS: Mapping[type[GatewayError], HTTPStatus] = {
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
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
    "too-many-broadcasts": HTTPStatus.TOO_MANY_REQUESTS,
    "id-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency-key-reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "range-not-satisfiable": HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}

_RETRY_LATER = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}

# What aiohttp itself refuses, in our words.
_CODE_OF_STATUS: Mapping[int, str] = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large", 400: "malformed-request"}


class FaultOut(BaseModel):
    """One thing wrong with what was sent."""

    pointer: str = Field(description="Where it stands: a JSON pointer into the body, `?name` for a query parameter, or a place in a file.")
    detail: str
    code: str | None = Field(default=None, description="What is wrong, for programs; stable. Left out where there is none yet.")
    values: dict[str, str | float] | None = Field(default=None, description="The figures and names that belong to `code`.")


class ProblemOut(BaseModel):
    """An error (RFC 9457). `type` is stable; `hint` says what to do about it."""

    type: str = Field(description=f"`{TYPE_PREFIX}` and a stable code", examples=[TYPE_PREFIX + "not-found"])
    title: str
    status: int
    detail: str
    hint: str | None = None
    values: dict[str, str | float] | None = Field(default=None, description="The figures and names that belong to `type`.")
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
    values: Mapping[str, str | float] = field(default_factory=dict)
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
        if self.values:
            body["values"] = dict(self.values)
        if self.faults:
            body["errors"] = [fault_body(fault) for fault in self.faults[:_FAULTS_SHOWN]]
        if self.instance:
            body["instance"] = self.instance
        return body

    def response(self) -> web.Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **self.headers}
        return web.Response(
            body=json.dumps(self.body(), ensure_ascii=False).encode(), status=self.status, content_type=MEDIA_TYPE, headers=headers
        )


def fault_body(fault: Fault) -> dict[str, Any]:
    """One fault as a JSON object, as `FaultOut` describes it."""
    body: dict[str, Any] = {"pointer": fault.where, "detail": fault.why}
    if fault.code:
        body["code"] = fault.code
    if fault.values:
        body["values"] = dict(fault.values)
    return body


def problem_of(error: GatewayError) -> Problem:
    """The problem that an error of ours becomes."""
    status = STATUS_OF_CODE.get(error.code) or next(status for kind, status in STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": _RETRY_AFTER_S} if status in _RETRY_LATER else {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": 'Bearer realm="city-gateway"'}
    faults = error.faults if isinstance(error, InvalidInput) else ()
    return Problem(status, error.code, str(error), error.hint, faults, error.values, headers=headers)


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


def faults_of(error: ValidationError, model: type[BaseModel], *, place: str = "") -> Iterable[Fault]:
    """What pydantic found wrong with a `model`, in our words; values are left out, for they may be secrets.

    `place` comes before each pointer.
    """
    for item in error.errors(include_url=False, include_input=False):
        pointer = place + "".join(("" if place == "?" and not i else "/") + escaped(part) for i, part in enumerate(item["loc"]))
        why = _plain(item["type"], item["msg"]) + _nearest(item["type"], item["loc"], model)
        values = {name: value for name, value in item.get("ctx", {}).items() if name in _BOUNDS and isinstance(value, str | int | float)}
        yield Fault(pointer or "/", why, "" if item["type"] == "value_error" else item["type"].replace("_", "-"), values)


_BOUNDS = frozenset({"min_length", "max_length", "ge", "gt", "le", "lt", "expected"})
"""What of pydantic's context comes from our models; the rest may be what was sent."""
_WORDS = {
    "extra_forbidden": "is not known here",
    "missing": "is missing",
    "frozen_set_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_type": "must be a text",
    "string_unicode": "must be a text of Unicode characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
_PATTERNS: Final = {
    r"'^[^\x00-\x1f\x7f]*$'": "must be one line, without control characters",
    r"'^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$'": "must be without control characters",
}
_THEIR_WORDS = re.compile(
    r"^(?:Value error, |Invalid JSON: |(?:Input|String|List|Frozenset|Set|Dictionary|Value|Tuple) should (?=be|have|match))"
)


def _plain(kind: str, message: str) -> str:
    """pydantic's words, as we would say them."""
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "string_pattern_mismatch" and (plain := next((ours for theirs, ours in _PATTERNS.items() if theirs in message), "")):
        return plain
    theirs = _THEIR_WORDS.match(message)
    if theirs is None:
        return message
    ours = "must " if "should" in theirs[0] else "is no JSON: " if "JSON" in theirs[0] else ""
    return ours + message[theirs.end() :].replace(" after validation, not", ", not")


def _nearest(kind: str, place: Sequence[int | str], model: type[BaseModel]) -> str:
    """What may have been meant by a field that is not known, or what there is, when that is little."""
    if kind != "extra_forbidden":
        return ""
    known = list(_model_at(place[:-1], model).model_fields)
    close = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}" if 0 < len(known) <= _NAMED else ""


def _model_at(place: Sequence[int | str], model: type[BaseModel]) -> type[BaseModel]:
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def escaped(part: int | str) -> str:
    """A part of a JSON pointer (RFC 6901, section 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")


# RFC 9457 wants a title that people understand and that stays the same for its type; a code that says enough by itself is its own title.
_TITLES: Mapping[str, str] = {
    "malformed-request": "The request is no HTTP that can be read",
    "malformed-json": "The body is not JSON",
    "key-in-url": "A key stands in the URL",
    "invalid-input": "What was sent is not right",
    "bad-request": "The footage request is not complete",
    "not-found": "There is no such thing",
    "method-not-allowed": "This cannot be done here",
    "body-too-large": "The body is too large",
    "body-too-slow": "The body took too long to arrive",
    "wrong-media-type": "The body is of a type that is not taken here",
    "unauthenticated": "A valid key is needed",
    "forbidden": "The key may not do this",
    "out-of-scope": "The key does not reach there",
    "cross-site": "Another site may have sent this",
    "id-reused": "The id was used for another order",
    "idempotency-key-reused": "The Idempotency-Key was used for another request",
    "outcome-unknown": "What came of the first call is not known",
    "cursor-too-old": "The events after the cursor are gone",
    "cursor-ahead": "The cursor is of a later log",
    "storage-failed": "The store did not take the change",
    "internal-error": "The gateway made a mistake",
}


def _title(code: str) -> str:
    return _TITLES.get(code) or code.replace("-", " ").capitalize()
