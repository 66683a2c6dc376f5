"""What stands between a socket and the routes: whatever is no request that a route can see is refused as a problem that echoes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.api.problems import Problem, problem_of_crash, problem_of_http
from gateway.clock import Clock

SERVER = "city-gateway"
NOTED_EVERY_S = 10.0

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Runner(web.AppRunner):
    """An application's runner whose connections are of this module."""

    __slots__ = ("_clock",)

    def __init__(self, app: web.Application, *, clock: Clock, **options: Any) -> None:
        super().__init__(app, **options)
        self._clock = clock

    async def _make_server(self) -> web.Server:
        self.app.on_response_prepare.append(_name_server)
        made = await super()._make_server()
        return _Server(made, Grumbles(self._clock), self._kwargs)


class Grumbles:
    """Tells the log of callers that do not speak HTTP: at most one line in 10 seconds, for anybody can make them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = 0.0
        self._unsaid = 0

    def note(self, peer: str | None, error: BaseException | None) -> None:
        """One caller's bytes made no request. Neither they nor the parser's words, which quote them, are told."""
        now = self._clock.monotonic()
        if now < self._next:
            self._unsaid += 1
            return
        log.warning("api.malformed_request", peer=peer, error=type(error).__name__, left_out=self._unsaid)
        self._next, self._unsaid = now + NOTED_EVERY_S, 0


class _Server(web.Server):
    """Makes a `_Connection` for each socket."""

    def __init__(self, made: web.Server, grumbles: Grumbles, options: dict[str, Any]) -> None:
        super().__init__(_refusals_as_problems(made.request_handler), request_factory=_speaking_http_11(made.request_factory))
        self._grumbles = grumbles
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self._grumbles, loop=asyncio.get_running_loop(), **self._options)


class _Connection(web.RequestHandler):
    """One socket. aiohttp would answer bytes that it cannot parse with those bytes, and log them with a traceback."""

    __slots__ = ("_grumbles",)

    def __init__(self, manager: web.Server, grumbles: Grumbles, **options: Any) -> None:
        super().__init__(manager, **options)
        self._grumbles = grumbles

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 -- aiohttp's signature
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it quotes what was sent
    ) -> web.StreamResponse:
        if isinstance(exc, HttpProcessingError):
            self._grumbles.note(request.remote, exc)
            problem = _malformed()
        else:
            problem = problem_of_crash(exc if isinstance(exc, Exception) else TimeoutError(), where="connection")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = problem.response()
        response.headers["Server"] = SERVER
        response.force_close()
        return response


def _malformed() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "malformed-request",
        "This is no HTTP request that the gateway can read.",
        "A known method, no control characters, and at most 8190 bytes in the request line and in each header.",
    )


def _refusals_as_problems(handler: Handler) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            if refusal.status < 400:  # a redirection is no error
                raise
            response = problem_of_http(refusal).response()
            response.headers["Server"] = SERVER
            return response

    return handle


def _speaking_http_11(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """aiohttp gives what it could not parse a place-holder of HTTP/1.0; the answer is one of HTTP/1.1 all the same."""

    def request(message: Any, *rest: Any) -> web.BaseRequest:
        return make(message._replace(version=HttpVersion11) if message.method == "UNKNOWN" else message, *rest)

    return request


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
