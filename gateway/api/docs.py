"""The pages for people: the OpenAPI document, a browsable view of it, and the console once built; none of them asks another host."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.api.openapi import document
from gateway.api.routing import Routes

PAGES = frozenset({"openapi", "docs", "docs-file", "console", "console-file"})
WEB = Path(__file__).parent.parent / "web"
_OWN = Path(__file__).parent / "pages"
# Swagger UI writes styles into elements; scripts come from files alone.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(app: web.Application, tables: Sequence[Routes], *, version: str, built: Path = WEB) -> None:
    """Add `/openapi.json`, `/docs`, and `/` with the console's files from `built`: open to anybody, for they hold no data of the city."""
    body = _written(tuple(tables), version)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)

    async def docs(_request: web.Request) -> web.StreamResponse:
        swagger = (built / "docs" / "swagger-ui-bundle.js").is_file()
        return web.FileResponse(_OWN / ("swagger.html" if swagger else "docs.html"), headers=_HEADERS)

    async def docs_file(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        return _file(_OWN, name) if (_OWN / name).is_file() else _file(built / "docs", name)

    async def console(_request: web.Request) -> web.StreamResponse:
        index = built / "index.html"
        return web.FileResponse(index if index.is_file() else _OWN / "no-console.html", headers=_HEADERS)

    async def console_file(request: web.Request) -> web.StreamResponse:
        return _file(built, request.match_info["name"])

    app.router.add_get("/openapi.json", openapi, name="openapi")
    app.router.add_get("/docs", docs, name="docs")
    app.router.add_get("/docs/{name}", docs_file, name="docs-file")
    app.router.add_get("/", console, name="console")
    app.router.add_get(r"/{name:(?:assets/)?[\w.-]+\.(?:js|css|svg|png|ico|woff2|json|webmanifest)}", console_file, name="console-file")


@cache
def _written(tables: tuple[Routes, ...], version: str) -> bytes:
    """The document as it goes out. Half a second of work: a door that opens again has no need to repeat it, for its tables grow no more."""
    return json.dumps(document(tables, version=version), ensure_ascii=False).encode()


def _file(folder: Path, name: str) -> web.FileResponse:
    """The file `name` of `folder`; HTTPNotFound for anything that would lead out of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise web.HTTPNotFound
    headers: dict[str, Any] = dict(_HEADERS)
    if path.parent.name == "assets":
        headers["Cache-Control"] = "public, max-age=31536000, immutable"  # their names hold a hash of what they are
    return web.FileResponse(path, headers=headers)
