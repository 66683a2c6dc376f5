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


def content_reply(body: bytes, *, content_type: str, headers: dict[str, str] | None = None) -> web.Response:
    """Bytes of another type."""
    return web.Response(body=body, content_type=content_type, headers={**_HEADERS, **(headers or {})})


def attachment(body: bytes, *, name: str, content_type: str) -> web.Response:
    """A file to be saved. `name` is one that the gateway made, in ASCII."""
    return content_reply(body, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
