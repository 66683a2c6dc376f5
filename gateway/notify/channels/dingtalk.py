"""A DingTalk (钉钉) group's custom robot: Markdown, signed where it wants that, with the people on duty mentioned by telephone number."""

import base64
import hashlib
import hmac
from typing import Any, Final

from gateway.clock import Clock
from gateway.config import read_secret
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.outbound import JSON_HEADERS, TOO_MANY_S, Outbound, to_json, trusting, verdict
from gateway.notify.channels.settings import DingTalkSettings
from gateway.notify.wording import Notice, plain, unmarked

TEXT_MAX: Final = 18_000  # the vendor takes 20,000 bytes for the whole body
TITLE_MAX: Final = 60
TOO_FAST: Final = frozenset({130101, 90030, 410100})
HOPELESS: Final = frozenset({300001, 300005, 310000, 400013, 400101, 400102, 400105, 400106})
"""Token, robot, group, kind of message, keyword, signature and address: such a message never gets through. Others may."""


class DingTalk:
    """See the module."""

    kind = "dingtalk"

    def __init__(self, name: str, settings: DingTalkSettings, *, clock: Clock, **_others: Any) -> None:
        self.name = name
        self._clock = clock
        self._token = read_secret(settings.token_file)
        self._secret = None if settings.secret_file is None else read_secret(settings.secret_file)
        url = settings.base_url.rstrip("/") + "/robot/send"
        self._out = Outbound(url, settings.timeout_s, settings.proxy, trusting(settings.ca_file))
        self.where = self._out.host

    async def send(self, notice: Notice) -> str:
        phones = [phone for one in notice.people if (phone := one.contact(self.name, self.kind))]
        mentions = "".join(f"\n\n@{phone}" for phone in phones)
        text = notice.text(limit=TEXT_MAX, safe=unmarked, newline="\n\n", titled="### {}", reserve=len(mentions)) + mentions
        body = {
            "msgtype": "markdown",
            "markdown": {"title": plain(notice.title, TITLE_MAX), "text": text},
            "at": {"atMobiles": phones, "isAtAll": False},
        }
        answer = await self._out.post(to_json(body), headers=JSON_HEADERS, query=self._query())
        code, words = verdict(answer, vendor="DingTalk", number="errcode", words="errmsg")
        if code in TOO_FAST:
            raise ChannelFailed(f"DingTalk takes no more for now ({code})", code="channel-rate-limited", after_s=TOO_MANY_S)
        if code != 0:
            raise ChannelFailed(f"DingTalk refused it: {code} {plain(words)}", code="channel-refused", again=code not in HOPELESS)
        return ""

    def _query(self) -> dict[str, str]:
        query = {"access_token": self._token}
        if self._secret is not None:
            at = str(int(self._clock.now().timestamp() * 1000))
            query |= {"timestamp": at, "sign": sign(self._secret, at)}
        return query


def sign(secret: str, at: str) -> str:
    """HMAC-SHA256 with the secret over timestamp (ms), newline and secret, in base64."""
    return base64.b64encode(hmac.new(secret.encode(), f"{at}\n{secret}".encode(), hashlib.sha256).digest()).decode()
