"""The gateway's HTTP API as commands use it: JSON calls, all pages of a list, uploads, downloads, and the event stream.

Plain urllib: it costs a command nothing to load. No proxy and no redirection is followed: the key goes to the named server or nowhere.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from gateway.ctl.contexts import Target
from gateway.ctl.failure import Exit, Failed

TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 45.0  # three heartbeats: a stream that is silent for longer is dead
AWAY_S = 120.0
"""For so long a gateway whose events were followed may be away; who begins to follow them hears at once that it is."""
_PAUSE_S = 1.0
PAGE = 1000
_EXITS = {400: Exit.USAGE, 401: Exit.REFUSED, 403: Exit.REFUSED, 404: Exit.REFUSED, 413: Exit.USAGE, 415: Exit.USAGE, 422: Exit.USAGE}


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class _BrokeOff(Failed):
    """The connection ended amid an answer, or before it."""


class _Unreachable(Failed):
    """There is no connection."""


class Client:
    """One gateway and one key. `pause` waits so many seconds."""

    def __init__(self, target: Target, *, pause: Callable[[float], object] = time.sleep) -> None:
        self.server = target.server
        self._key = target.key
        self._pause = pause
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), _NoRedirect())

    def get(self, path: str, **query: object) -> Any:
        return self.call("GET", path, query=query)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Any = None,
        data: bytes | None = None,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer (None for an empty one). Failed, with the problem's own words, for everything else."""
        payload = json.dumps(body).encode() if body is not None else data
        sent = dict(headers or {})
        if payload is not None:
            sent["Content-Type"] = kind
        with self.open(method, path, query=query, data=payload, headers=sent) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def now(self) -> datetime:
        """The server's time, to the second: what the server is told shall not depend on this machine's clock. Failed if it tells none."""
        with self.open("GET", "/healthz") as answer:
            told = answer.headers.get("Date", "")
        try:
            return parsedate_to_datetime(told).astimezone(UTC)
        except ValueError:
            hint = "Is it the gateway that answers there? gatewayctl doctor"
            raise Failed(f"{self.server} does not tell the time.", exit_code=Exit.ENVIRONMENT, hint=hint) from None

    def every(self, path: str, *, most: int = 0, **query: object) -> Iterator[Any]:
        """All items of a list, page by page; at most `most` when that is not 0."""
        cursor: str | None = None
        left = most or 1 << 60
        while left > 0:
            page = self.get(path, **query, limit=min(PAGE, left), cursor=cursor)
            yield from page["items"]
            left -= len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def events(self, *, after: int | None = None, types: str | None = None) -> Iterator[dict[str, Any]]:
        """The events, live, without end; after a break on from the last one, if the gateway is back within `AWAY_S`, as after a restart."""
        cursor, away_s = after, AWAY_S
        while True:
            came = False
            try:
                for event in self._stream(cursor, types):
                    cursor, came = event.get("cursor", cursor), True
                    yield event
            except _Unreachable:
                if away_s >= AWAY_S:
                    raise
            except _BrokeOff:
                if cursor is None:
                    raise Failed("The event stream broke.", exit_code=Exit.ENVIRONMENT, hint="gatewayctl doctor") from None
                away_s = 0.0
            else:
                away_s = 0.0
            if not came:
                self._pause(_PAUSE_S)
                away_s += _PAUSE_S

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Iterator[HTTPResponse]:
        """The answer itself, to be read piece by piece. Failed for an error, and (ENVIRONMENT) where the connection breaks off."""
        asked = urlencode({name: _worded(value) for name, value in (query or {}).items() if value is not None}, doseq=True)
        url = f"{self.server}{quote(path, safe='/:@')}{'?' + asked if asked else ''}"
        request = Request(url, data=data, method=method, headers={"Authorization": f"Bearer {self._key}", **(headers or {})})  # noqa: S310 -- http or https, as `contexts` has checked
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                yield cast("HTTPResponse", answer)
        except HTTPError as error:
            raise _refusal(error) from None
        except URLError as error:
            hint = "Is it running, and is the address right? gatewayctl doctor tells more."
            raise _Unreachable(f"{self.server} cannot be reached: {error.reason}", exit_code=Exit.ENVIRONMENT, hint=hint) from None
        except BrokenPipeError:  # of whoever reads our standard output; what the gateway no longer takes is a URLError
            raise
        except (ConnectionError, TimeoutError, HTTPException):
            hint = "What was asked for may be done all the same: look before you ask again. gatewayctl doctor tells how the gateway is."
            raise _BrokeOff(f"{self.server} broke off before it had answered.", exit_code=Exit.ENVIRONMENT, hint=hint) from None

    def _stream(self, after: int | None, types: str | None) -> Iterator[dict[str, Any]]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after is not None else {})
        with self.open("GET", "/v1/events", query={"types": types}, headers=headers, timeout_s=STREAM_TIMEOUT_S) as answer:
            fields: dict[str, str] = {}
            for raw in answer:
                name, _, value = raw.decode().rstrip("\r\n").partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                    continue
                if "data" in fields:
                    yield {"type": fields.get("event", ""), **json.loads(fields["data"])}
                fields = {}


def _worded(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _refusal(error: HTTPError) -> Failed:
    """What the gateway said, in its own words."""
    try:
        problem = json.loads(error.read(1 << 20))
    except (ValueError, OSError):
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or f"The server answered {error.code} {error.reason}.")
    faults = [f"{fault.get('pointer', '')}: {fault.get('detail', '')}" for fault in problem.get("errors") or () if isinstance(fault, dict)]
    code = str(problem.get("type") or "").rpartition(":")[2]
    exit_code = _EXITS.get(error.code, Exit.FAILED)
    return Failed(message, exit_code=exit_code, hint=str(problem.get("hint") or ""), faults=faults, status=error.code, code=code)
