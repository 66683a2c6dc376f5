"""A Feishu (飞书) group's custom robot: a rich-text post, signed where the robot wants it, with the people on duty mentioned by open id."""

import base64
import hashlib
import hmac
from typing import Any, Final
from urllib.parse import quote

from gateway.clock import Clock
from gateway.config import read_secret
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.outbound import JSON_HEADERS, TOO_MANY_S, Outbound, to_json, trusting, verdict
from gateway.notify.channels.settings import FeishuSettings
from gateway.notify.wording import Notice, plain

TEXT_MAX: Final = 9_000  # the vendor takes 20 KB for the whole body, in which each line stands in tags of its own
TOO_FAST: Final = frozenset({11232, 9499001})
HOPELESS: Final = frozenset({9499, 19001, 19002, 19021, 19022, 19024})
"""Bad body, token or parameter, signature, address and keyword: such a message never gets through. Others may."""


class Feishu:
    """See the module."""

    kind = "feishu"

    def __init__(self, name: str, settings: FeishuSettings, *, clock: Clock, **_others: Any) -> None:
        self.name = name
        self._clock = clock
        self._secret = None if settings.secret_file is None else read_secret(settings.secret_file)
        url = f"{settings.base_url.rstrip('/')}/open-apis/bot/v2/hook/{quote(read_secret(settings.token_file), safe='')}"
        self._out = Outbound(url, settings.timeout_s, settings.proxy, trusting(settings.ca_file))
        self.where = self._out.host

    async def send(self, notice: Notice) -> str:
        lines: list[list[dict[str, str]]] = [[{"tag": "text", "text": line}] for line in notice.text(limit=TEXT_MAX).split("\n")[1:]]
        people = [user for one in notice.people if (user := one.contact(self.name, self.kind))]
        if people:
            lines.append([{"tag": "at", "user_id": user} for user in people])
        body: dict[str, Any] = {"msg_type": "post", "content": {"post": {"zh_cn": {"title": plain(notice.title, 200), "content": lines}}}}
        if self._secret is not None:
            at = str(int(self._clock.now().timestamp()))
            body |= {"timestamp": at, "sign": sign(self._secret, at)}
        answer = await self._out.post(to_json(body), headers=JSON_HEADERS)
        code, words = verdict(answer, vendor="Feishu", number="code", words="msg")
        if code in TOO_FAST:
            raise ChannelFailed(f"Feishu takes no more for now ({code})", code="channel-rate-limited", after_s=TOO_MANY_S)
        if code != 0:
            raise ChannelFailed(f"Feishu refused it: {code} {plain(words)}", code="channel-refused", again=code not in HOPELESS)
        return ""


def sign(secret: str, at: str) -> str:
    """HMAC-SHA256 of nothing, with timestamp (s), newline and secret as its key, in base64."""
    return base64.b64encode(hmac.new(f"{at}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()
