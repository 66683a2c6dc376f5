"""The ways to people, one file each; `make_channel` makes the one that settings name."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.clock import Clock
from gateway.notify.channels.base import Channel, Publish
from gateway.notify.channels.dingtalk import DingTalk
from gateway.notify.channels.email import Email
from gateway.notify.channels.feishu import Feishu
from gateway.notify.channels.mqtt import Mqtt
from gateway.notify.channels.webhook import Webhook
from gateway.notify.channels.wecom import WeCom

__all__ = ["CHANNELS", "Channel", "make_channel"]

CHANNELS: Mapping[str, Callable[..., Channel]] = {
    "webhook": Webhook,
    "email": Email,
    "dingtalk": DingTalk,
    "wecom": WeCom,
    "feishu": Feishu,
    "mqtt": Mqtt,
}


def make_channel(name: str, settings: Any, *, clock: Clock, publish: Publish) -> Channel:
    """The channel of `settings`, its secrets read. InvalidInput when a secret or a certificate cannot be read."""
    return CHANNELS[settings.kind](name, settings, clock=clock, publish=publish)
