"""Declares what the API can do: one `Operation` a route, from which come its dispatch, its policy and its page in the OpenAPI document.

    routes = Routes("devices", "What hangs in the street")

    @routes.op("GET", "/v1/devices/{device_id}", needs=Permission.VIEW, problems=(NotFound,))
    async def read_device(call: Call) -> DeviceOut: ...

The handler's own annotations declare the rest: its parameters `query` and `body` are pydantic models that are filled from the request
(so `extra="forbid"` refuses what is not declared), `content` is a body of other media (`takes`), the return annotation is the model of
the answer. A handler that writes its answer itself returns `web.Response` and names the model, or the media type, with `answers`.
"""

import asyncio
import inspect
import json
import typing
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from gateway.api.auth import Gate
from gateway.api.models import PageQuery
from gateway.api.problems import escaped, faults_of
from gateway.api.services import Caller, Services
from gateway.config import Limits
from gateway.domain.access import Permission
from gateway.errors import Fault, Forbidden, GatewayError, InvalidInput

BODY_TIMEOUT_S = 60.0


class Open(Enum):
    """Policies that are no permission, for the few routes that name them."""

    ANYBODY = "anybody"
    ANY_KEY = "any-key"


_REPEATABLE = {"Idempotency-Key": "1 to 255 characters of your own: sent again with the same request, there is still one effect."}
Policy = Permission | Open
Handler = Callable[..., Awaitable[BaseModel | web.StreamResponse | None]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through a handler: who asks, and what the house can do for them."""

    request: web.Request
    services: Services
    caller: Caller
    gate: Gate

    def path(self, name: str) -> str:
        """A parameter of the path, decoded."""
        return self.request.match_info[name]


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is not JSON, in or out: its media types, and for one that comes in the name of its limit in the configuration."""

    types: tuple[str, ...]
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, declared: everything that dispatch and documentation need to know of it."""

    method: str
    path: str
    policy: Policy
    handler: Handler
    tag: str
    status: int = 200
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    takes: Media | None = None
    answers: type[BaseModel] | Media | None = None
    problems: tuple[type[GatewayError], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    told_once: tuple[str, ...] = ()
    head: bool = True

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.handler) or self.name).split("\n", 1)[0]

    @property
    def description(self) -> str:
        return (inspect.getdoc(self.handler) or "").partition("\n")[2].strip()

    async def arguments(self, request: web.Request, limits: Limits) -> dict[str, Any]:
        """What the handler is called with, read from the request and checked."""
        found: dict[str, Any] = {}
        if self.query is not None:
            found["query"] = read_query(request, self.query)
        elif request.query_string:
            raise InvalidInput(
                "This route takes no query parameters.", faults=[Fault(f"?{name}", "is not known here") for name in request.query]
            )
        if self.body is not None:
            found["body"] = await read_body(request, self.body, limit=limits.body_bytes)
        if self.takes is not None:
            found["content"] = await read_content(request, self.takes, limit=getattr(limits, self.takes.limit))
        return found


class Routes:
    """The operations of one noun, in the order in which they were declared."""

    def __init__(self, tag: str, about: str) -> None:
        self.tag = tag
        self.about = about
        self._operations: list[Operation] = []

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations)

    def op(
        self,
        method: str,
        path: str,
        *,
        needs: Policy,
        status: int = 200,
        takes: Media | None = None,
        answers: type[BaseModel] | Media | None = None,
        problems: Sequence[type[GatewayError]] = (),
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        told_once: Sequence[str] = (),
        head: bool = True,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as the handler of `method path`.

        `problems`: the errors that it raises by itself; `headers`: the request headers that it reads, with their meaning; `repeatable`: it
        acts, and an Idempotency-Key makes it one effect however often it is sent; `told_once`: secrets of its answer, null when it is
        answered again; `head`: a GET may be asked as HEAD as well, which costs the same and answers the same without a body. False where
        being asked already is something: it counts, or has no end.
        """

        def declare(handler: Handler) -> Handler:
            hints = typing.get_type_hints(handler)
            answer = answers or _model(hints.get("return"))
            operation = Operation(
                method=method,
                path=path,
                policy=needs,
                handler=handler,
                tag=self.tag,
                status=status,
                query=_model(hints.get("query")),
                body=_model(hints.get("body")),
                takes=takes,
                answers=answer,
                problems=tuple(problems),
                headers={**(headers or {}), **(_REPEATABLE if repeatable else {})},
                repeatable=repeatable,
                told_once=tuple(told_once),
                head=head and method == "GET",
            )
            self._operations.append(operation)
            return handler

        return declare


def allowed(caller: Caller, policy: Policy) -> None:
    """Raise `Forbidden` unless `policy` lets `caller` in."""
    if isinstance(policy, Permission) and policy not in caller.permissions:
        raise Forbidden(
            f"Your key may not do this: it lacks the permission {policy.value!r}.",
            hint="Ask an administrator for a key with a role that has it (GET /v1/session shows what yours may do).",
        )


def read_query(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """The query string as a `model`; a parameter may be repeated only where the model has a list."""
    values: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        wanted = model.model_fields.get(name)
        many = wanted is not None and typing.get_origin(wanted.annotation) in {list, tuple, frozenset}
        if not many and len(given) > 1:
            raise InvalidInput("A query parameter is given twice.", faults=[Fault(f"?{name}", "may be given once")])
        values[name] = given if many else given[0]
    try:
        found = model.model_validate(values)
    except ValidationError as error:
        raise InvalidInput("The query parameters are not right.", faults=list(faults_of(error, model, place="?"))) from None
    return found.asked_at(request.path) if isinstance(found, PageQuery) else found


async def read_body(request: web.Request, model: type[BaseModel], *, limit: int) -> BaseModel:
    """The JSON body as a `model`."""
    raw = await read_content(request, _JSON, limit=limit)
    try:
        found = model.model_validate_json(raw)
    except ValidationError as error:
        faults = list(faults_of(error, model))
        broken = any(item["type"] == "json_invalid" for item in error.errors(include_url=False, include_input=False, include_context=False))
        if broken:
            raise InvalidInput("The body is not JSON.", code="malformed-json", faults=faults) from None
        raise InvalidInput("The body is not right.", faults=faults) from None
    if twice := list(_named_twice(json.loads(raw, object_pairs_hook=_Pairs))):
        raise InvalidInput("The body names a field twice.", faults=[Fault(place, "may stand once") for place in twice])
    return found


async def read_content(request: web.Request, media: Media, *, limit: int) -> bytes:
    """The whole body, of one of the types of `media`, at most `limit` bytes, within `BODY_TIMEOUT_S`. InvalidInput, DeadlineExceeded."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        hint = "Send it as it is, without Content-Encoding."
        raise InvalidInput("The body is compressed (Content-Encoding), which is not taken.", code="wrong-media-type", hint=hint)
    if request.content_type not in media.types:
        wanted = " or ".join(media.types)
        hint = f"Send Content-Type: {media.types[0]}."
        raise InvalidInput(f"The body must be plain {wanted}, not {request.content_type}.", code="wrong-media-type", hint=hint)
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.content.iter_any():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise InvalidInput(f"The body took more than {BODY_TIMEOUT_S:g} s to arrive.", code="body-too-slow") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise InvalidInput("The body is not framed as HTTP has it, or ends too early.", code="malformed-request") from None
    return b"".join(parts)


_JSON = Media(("application/json",))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its fields, also those that stand twice."""


def _named_twice(value: Any, place: str = "") -> Iterator[str]:
    """JSON pointers to the fields that stand more than once: two readers would not agree on what they mean (RFC 8259, section 4)."""
    if isinstance(value, _Pairs):
        counts = Counter(name for name, _ in value)
        yield from (f"{place}/{escaped(name)}" for name, count in counts.items() if count > 1)
        for name, part in value:
            yield from _named_twice(part, f"{place}/{escaped(name)}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _named_twice(part, f"{place}/{number}")


def _too_large(limit: int) -> InvalidInput:
    return InvalidInput(f"The body is larger than {limit} bytes.", code="body-too-large", hint="The limits stand in the configuration.")


def _model(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
