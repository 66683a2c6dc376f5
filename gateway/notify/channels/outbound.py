"""The one way out to people's services over HTTP: a fixed address, a deadline, no redirect, a bounded answer, and no secret in an error."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.errors import InvalidInput
from gateway.notify.channels.base import ChannelFailed

ANSWER_MAX = 64 * 1024
TOO_MANY_S = 60.0
_WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Outbound:
    """Where messages go and by which relay. Nothing of `url` but its host is ever shown."""

    url: str = field(repr=False)
    timeout_s: float
    proxy: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    async def post(self, body: bytes, *, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> bytes:
        """POST `body`, and give the answer of a 2xx. Raises ChannelFailed for everything else."""
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        connector = aiohttp.TCPConnector(limit=1, force_close=True, ssl=True if self.tls is None else self.tls)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as http,
                http.post(self.url, data=body, headers=headers, params=query, proxy=self.proxy, allow_redirects=False) as answer,
            ):
                content = await _bounded(answer)
        except TimeoutError:
            raise ChannelFailed(f"{self.host} did not answer within {self.timeout_s:g} s", code="channel-timeout") from None
        except aiohttp.ClientConnectorCertificateError:
            raise ChannelFailed(f"the certificate of {self.host} is not trusted", code="channel-certificate") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # its own words may hold the URL
            by = f" by {urlsplit(self.proxy).netloc}" if self.proxy else ""
            raise ChannelFailed(f"{self.host} cannot be reached{by}: {_kind_of(error)}", code="channel-unreachable") from None
        _judge(self.host, answer)
        return content


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    content = await answer.content.read(ANSWER_MAX)
    while chunk := await answer.content.read(ANSWER_MAX - len(content) + 1):
        content += chunk
        if len(content) > ANSWER_MAX:
            raise ChannelFailed(f"the answer is longer than {ANSWER_MAX} bytes", code="channel-answer")
    return content


def _judge(host: str, answer: aiohttp.ClientResponse) -> None:
    if 200 <= answer.status < 300:
        return
    if 300 <= answer.status < 400:
        raise ChannelFailed(f"{host} points to another place, which is not followed", code="channel-redirect", again=False)
    if answer.status == 429:
        raise ChannelFailed(f"{host} takes no more for now", code="channel-rate-limited", after_s=_retry_after(answer))
    again = answer.status >= 500 or answer.status in {408, 425}
    raise ChannelFailed(f"{host} answered {answer.status}", code="channel-refused", again=again)


def _retry_after(answer: aiohttp.ClientResponse) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(600.0, float(told)) if told.isascii() and told.isdigit() else TOO_MANY_S


def _kind_of(error: BaseException) -> str:
    """An error's kind in words, never its text."""
    reason = getattr(error, "os_error", error)
    return getattr(reason, "strerror", None) or type(error).__name__


def trusting(ca_file: Path | None) -> ssl.SSLContext | None:
    """TLS that trusts `ca_file`; None for what the system trusts. InvalidInput when it cannot be used."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"the certificates in {ca_file} cannot be used", code="bad-certificate") from error


def to_json(value: Mapping[str, Any]) -> bytes:
    """`value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "city-gateway"}


def verdict(content: bytes, *, vendor: str, number: str, words: str) -> tuple[int, str]:
    """A vendor's own number and words, which come with a 200 whatever happened. ChannelFailed for an answer that has none."""
    try:
        told = json.loads(content)
        return int(told[number]), str(told.get(words, ""))[:_WORDS_MAX]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ChannelFailed(f"{vendor} answered something that is not its own", code="channel-answer") from None


async def never(_topic: str, _payload: bytes) -> None:
    """Publishes nowhere: for who has no broker."""
    await asyncio.sleep(0)
    raise ChannelFailed("no broker is configured", code="channel-unreachable")
