"""Sessions: a browser trades a key for a cookie, and anybody asks what their key may do."""

from aiohttp import web
from pydantic import Field

from gateway.api.auth import COOKIE, SESSION_LIFE
from gateway.api.models import Instant, Output
from gateway.api.problems import Unauthenticated
from gateway.api.replies import json_reply
from gateway.api.routing import Call, Open, Routes
from gateway.domain.access import Permission, Role
from gateway.errors import InvalidInput

routes = Routes("session", "Who you are to the gateway.")


class SessionOut(Output):
    """Whom the gateway takes you for, and what you may do."""

    actor: str = Field(examples=["api-key:3f2a9c0d1e5b"])
    name: str
    roles: list[Role]
    permissions: list[Permission]
    scopes: list[str] = Field(description="Ids of districts, zones or groups; empty for the whole city.")
    max_speakers: int | None = Field(description="How many speakers one broadcast may reach; null for the gateway's own cap.")
    footage_hours: float | None = Field(
        description="The longest stretch of each camera that it may ask footage of; null: the configured one."
    )
    expires_at: Instant | None


def _described(call: Call) -> SessionOut:
    key = call.caller.key
    if key is None:
        raise Unauthenticated("This needs a key.")
    return SessionOut(
        actor=str(call.caller.actor),
        name=call.caller.name,
        roles=sorted(key.roles),
        permissions=sorted(call.caller.permissions),
        scopes=sorted(key.scopes),
        max_speakers=key.max_speakers,
        footage_hours=key.footage_hours,
        expires_at=key.expires_at,
    )


@routes.op("GET", "/v1/session", needs=Open.ANY_KEY)
async def read_session(call: Call) -> SessionOut:
    """What your key may do."""
    return _described(call)


@routes.op("POST", "/v1/session", needs=Open.ANY_KEY, status=201, answers=SessionOut, problems=(InvalidInput,))
async def open_session(call: Call) -> web.Response:
    """Trade the key of the Authorization header for a session cookie.

    The cookie is HttpOnly and SameSite=Strict and lasts 12 hours, or until the key is revoked or the gateway restarts. What is sent with
    it and changes something must carry the header `X-Requested-With`.
    """
    key = call.caller.key
    if key is None or "Authorization" not in call.request.headers:
        raise InvalidInput("A session is made from a key.", hint="Send Authorization: Bearer gwk_…")
    reply = json_reply(_described(call), status=201)
    reply.set_cookie(
        COOKIE,
        call.gate.sessions.open(key.id),
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=call.request.secure,
        path="/",
    )
    return reply


@routes.op("DELETE", "/v1/session", needs=Open.ANY_KEY, status=204)
async def close_session(call: Call) -> web.Response:
    """End the session of the cookie."""
    call.gate.sessions.close(call.request.cookies.get(COOKIE, ""))
    reply = web.Response(status=204)
    reply.del_cookie(COOKIE, path="/")
    return reply
