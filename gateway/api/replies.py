"""Answers on their way out: JSON that nobody keeps or guesses the type of."""

from aiohttp import web
from pydantic import BaseModel

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_reply(answer: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """`answer` as application/json."""
    return json_bytes(answer.model_dump_json().encode(), status=status, headers=headers)


def json_bytes(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON that has been written already."""
    return web.Response(body=body, status=status, content_type="application/json", headers={**_HEADERS, **(headers or {})})
