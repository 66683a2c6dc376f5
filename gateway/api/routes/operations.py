"""What the machine room asks: is it alive, is it ready, and its figures."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.api.meter import METERS
from gateway.api.models import Output
from gateway.api.replies import json_reply
from gateway.api.routing import Call, Media, Open, Routes
from gateway.domain.access import Permission

routes = Routes("operations", "For those who keep the gateway running.")


class AliveOut(Output):
    """The daemon answers."""

    version: str


class ReadyOut(Output):
    """Whether every part of the daemon does its work."""

    ready: bool
    parts: list[str]


class UnreadyPartsOut(Output):
    """What keeps the daemon from its work, by part."""

    parts: dict[str, str]


@routes.op("GET", "/healthz", needs=Open.ANYBODY)
async def read_liveness(call: Call) -> AliveOut:
    """The loop turns and answers."""
    return AliveOut(version=call.services.version)


@routes.op("GET", "/readyz", needs=Open.ANYBODY, answers=ReadyOut)
async def read_readiness(call: Call) -> web.Response:
    """200 when every part works, 503 with the names of those that do not."""
    unready = call.services.readiness()
    return json_reply(ReadyOut(ready=not unready, parts=sorted(unready)), status=503 if unready else 200)


@routes.op("GET", "/v1/readiness", needs=Permission.HEALTH_READ)
async def explain_readiness(call: Call) -> UnreadyPartsOut:
    """What keeps which part from its work."""
    return UnreadyPartsOut(parts=dict(call.services.readiness()))


@routes.op("GET", "/metrics", needs=Permission.HEALTH_READ, answers=Media(("text/plain",)))
async def read_metrics(call: Call) -> web.Response:
    """All figures in Prometheus' text format; the scraper sends a key as its bearer token."""
    text = b"".join(generate_latest(registry) for registry in (call.request.app[METERS].registry, call.services.metrics))
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})
