"""The broker that the gateway speaks to already: the same JSON as the webhook's, under `alerts/` and the channel's name, QoS 1."""

from typing import Any

from gateway.errors import GatewayError
from gateway.notify.channels.base import ChannelFailed, Publish
from gateway.notify.channels.outbound import to_json
from gateway.notify.wording import Notice

TEXT_MAX = 20_000


class Mqtt:
    """See the module."""

    kind = "mqtt"

    def __init__(self, name: str, _settings: Any, *, publish: Publish, **_others: Any) -> None:
        self.name = name
        self._publish = publish
        self.where = f"alerts/{name}"

    async def send(self, notice: Notice) -> str:
        body = {"version": 1, "title": notice.title, "text": notice.text(limit=TEXT_MAX), **notice.data}
        try:
            await self._publish(self.where, to_json(body))
        except ChannelFailed:
            raise
        except GatewayError as error:
            raise ChannelFailed(str(error), code="channel-unreachable") from error
        return ""
