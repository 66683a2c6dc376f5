"""A WeCom (企业微信) group's robot: Markdown of at most 4,096 bytes, with the people on duty mentioned by user id."""

from typing import Any, Final

from gateway.config import read_secret
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.outbound import JSON_HEADERS, TOO_MANY_S, Outbound, to_json, trusting, verdict
from gateway.notify.channels.settings import WeComSettings
from gateway.notify.wording import Notice, plain, unmarked

TEXT_MAX: Final = 4_096
TOO_FAST: Final = frozenset({45009, 45033})
HOPELESS: Final = frozenset({40008, 40058, 44004, 45002, 93000, 93004, 93008})
"""Kind of message, parameter, text, key, and a robot that is not in the group: such a message never gets through. Others may."""


class WeCom:
    """See the module."""

    kind = "wecom"

    def __init__(self, name: str, settings: WeComSettings, **_others: Any) -> None:
        self.name = name
        self._key = read_secret(settings.key_file)
        url = settings.base_url.rstrip("/") + "/cgi-bin/webhook/send"
        self._out = Outbound(url, settings.timeout_s, settings.proxy, trusting(settings.ca_file))
        self.where = self._out.host

    async def send(self, notice: Notice) -> str:
        users = [user for one in notice.people if (user := one.contact(self.name, self.kind))]
        mentions = "".join(f"\n<@{unmarked(user)}>" for user in users)
        reserve = len(mentions.encode())
        content = notice.text(limit=TEXT_MAX, safe=unmarked, titled="**{}**", reserve=reserve) + mentions
        body = {"msgtype": "markdown", "markdown": {"content": content}}
        answer = await self._out.post(to_json(body), headers=JSON_HEADERS, query={"key": self._key})
        code, words = verdict(answer, vendor="WeCom", number="errcode", words="errmsg")
        if code in TOO_FAST:
            raise ChannelFailed(f"WeCom takes no more for now ({code})", code="channel-rate-limited", after_s=TOO_MANY_S)
        if code != 0:
            raise ChannelFailed(f"WeCom refused it: {code} {plain(words)}", code="channel-refused", again=code not in HOPELESS)
        return ""
