"""The HTTP door, put together: each declared operation behind the gate, problems for every error, and no route without a policy."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from gateway.api import docs
from gateway.api.auth import Gate, KeyRing, Pace, Sessions
from gateway.api.footage_reach import must_be_allowed
from gateway.api.gathering import Gathering
from gateway.api.meter import METERS, Meters
from gateway.api.once import Once, fingerprint
from gateway.api.problems import problem_of, problem_of_crash
from gateway.api.refusal_page import HTML, refusal_page, wants_page
from gateway.api.replies import json_reply
from gateway.api.routes import TABLES
from gateway.api.routes.events import STREAMS, EventStreams
from gateway.api.routes.talk import GATHERING
from gateway.api.routing import Call, Media, Open, Operation, Routes
from gateway.api.services import NOBODY, SERVICES, Services
from gateway.api.serving import Runner
from gateway.domain.access import Permission
from gateway.errors import GatewayError

SHUTDOWN_S = 5.0
BACKLOG = 256
KEYS: web.AppKey[KeyRing] = web.AppKey("keys", KeyRing)

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_api(services: Services, *, tables: Sequence[Routes] = TABLES) -> web.Application:
    """The whole door. It reads the keys when it starts; `HttpDoor` keeps them fresh."""
    app = web.Application(client_max_size=services.limits.body_bytes)
    pace = Pace(services.clock, per_second=services.limits.requests_per_s)
    gate = Gate(KeyRing(services.store, services.clock), Sessions(services.clock), pace)
    once = Once(services.store, services.clock)
    app[SERVICES] = services
    app[KEYS] = gate.keys
    app[STREAMS] = EventStreams()
    app[GATHERING] = Gathering()
    meters = app[METERS] = Meters(services)
    for table in tables:
        for operation in table:
            endpoint = _endpoint(operation, services, gate, once, meters)
            for method in (operation.method, "HEAD") if operation.head else (operation.method,):
                app.router.add_route(method, operation.path, endpoint, name=operation.name)
    docs.add_pages(app, tables, version=services.version)
    must_have_policies(app, tables)
    app.on_startup.append(_read_keys)
    app.on_shutdown.append(_end_streams)
    return app


class HttpDoor:
    """The listening part: serves an application on one address until cancelled, and keeps its keys fresh meanwhile.

    Each `run` builds the application anew, since one that was closed cannot be opened again.
    """

    def __init__(
        self,
        build: Callable[[], web.Application],
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        shutdown_s: float = SHUTDOWN_S,
    ) -> None:
        """`shutdown_s`: how long calls that are under way may go on when it ends."""
        self._build = build
        self._host = host
        self._port = port
        self._tls = tls
        self._shutdown_s = shutdown_s
        self._listening = asyncio.Event()
        self.address: tuple[str, int] = (host, port)

    async def listening(self) -> tuple[str, int]:
        """The address that is listened on, once it is: with port 0 the system chooses."""
        await self._listening.wait()
        return self.address

    async def run(self) -> None:
        """Listen and answer until cancelled; then end the event streams, let calls finish, and close."""
        # No access log (paths hold ids; metrics and audit say what is needed), and no body is inflated for a caller.
        app = self._build()
        runner = Runner(app, clock=app[SERVICES].clock, access_log=None, auto_decompress=False, shutdown_timeout=self._shutdown_s)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._tls, backlog=BACKLOG).start()
            self.address = runner.addresses[0][:2]
            self._listening.set()
            await app[KEYS].run()
        finally:
            self._listening.clear()
            await runner.cleanup()


def _endpoint(operation: Operation, services: Services, gate: Gate, once: Once, meters: Meters) -> Endpoint:
    count = meters.of(operation.name)
    clock = services.clock
    guarded = operation.policy is not Open.ANYBODY
    is_page = operation.answers == Media((HTML,))

    async def endpoint(request: web.Request) -> web.StreamResponse:
        started = clock.monotonic()
        response = await _answered(request, guarded=guarded)
        count(response.status, clock.monotonic() - started)
        return response

    async def _answered(request: web.Request, *, guarded: bool) -> web.StreamResponse:
        try:
            caller = gate.admit(request, paced=operation.policy is not Permission.BROADCAST_STOP) if guarded else NOBODY
            call = Call(request, services, caller, gate)
            await must_be_allowed(call, operation.policy)
            arguments = await operation.arguments(request, services.limits)
            act = partial(_act, operation, call, arguments)
            key = request.headers.get("Idempotency-Key") if operation.repeatable else None
            if key is None:
                return await act()
            return await once.do(caller, key, fingerprint(request, arguments), act, told_once=operation.told_once)
        except GatewayError as error:
            problem = problem_of(error)
            return refusal_page(problem) if is_page and wants_page(request) else problem.response()
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # our mistake: the log gets it, the caller gets a problem
            return problem_of_crash(error, where=operation.name).response()

    return endpoint


async def _act(operation: Operation, call: Call, arguments: dict[str, Any]) -> web.StreamResponse:
    answer = await operation.handler(call, **arguments)
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.Response(status=operation.status) if answer is None else json_reply(answer, status=operation.status)


def must_have_policies(app: web.Application, tables: Sequence[Routes]) -> None:
    """Refuse to start with a route that no declared operation or page stands behind."""
    declared = {operation.name for table in tables for operation in table} | docs.PAGES
    for route in app.router.routes():
        if route.resource is None or route.resource.name not in declared:
            raise RuntimeError(f"{route.method} {route.resource} has no declared policy")


async def _read_keys(app: web.Application) -> None:
    await app[KEYS].refresh()


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].closing.set()
