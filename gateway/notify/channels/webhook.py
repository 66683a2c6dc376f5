"""JSON to an address of one's own.

Headers: `X-Gateway-Id` is the message's id, the same however often it comes; `X-Gateway-Timestamp` the second in which it was sent;
with a secret, `X-Gateway-Signature: v1=` and the HMAC-SHA256, in hexadecimal, of the timestamp, a full stop and the body.
A receiver compares it in constant time, refuses timestamps that are minutes off, and takes each id once.
"""

import hashlib
import hmac
from typing import Any

from gateway.clock import Clock
from gateway.config import read_secret
from gateway.notify.channels.outbound import JSON_HEADERS, Outbound, to_json, trusting
from gateway.notify.channels.settings import WebhookSettings
from gateway.notify.wording import Notice

TEXT_MAX = 20_000


class Webhook:
    """See the module."""

    kind = "webhook"

    def __init__(self, name: str, settings: WebhookSettings, *, clock: Clock, **_others: Any) -> None:
        self.name = name
        self._clock = clock
        self._secret = b"" if settings.secret_file is None else read_secret(settings.secret_file).encode()
        self._out = Outbound(settings.url, settings.timeout_s, settings.proxy, trusting(settings.ca_file))
        self.where = self._out.host

    async def send(self, notice: Notice) -> str:
        body = to_json({"version": 1, "title": notice.title, "text": notice.text(limit=TEXT_MAX), **notice.data})
        at = str(int(self._clock.now().timestamp()))
        headers = {**JSON_HEADERS, "X-Gateway-Id": notice.id, "X-Gateway-Timestamp": at}
        if self._secret:
            headers["X-Gateway-Signature"] = "v1=" + signature(self._secret, at, body)
        await self._out.post(body, headers=headers)
        return ""


def signature(secret: bytes, at: str, body: bytes) -> str:
    """HMAC-SHA256 over timestamp, full stop and body, in hexadecimal."""
    return hmac.new(secret, at.encode() + b"." + body, hashlib.sha256).hexdigest()
