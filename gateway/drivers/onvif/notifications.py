"""What a device's notifications say (ONVIF Core, 9.4): read from XML that may hold anything."""

from datetime import datetime
from itertools import islice

from lxml import etree

from gateway.drivers.base import Change, DeviceEvent
from gateway.drivers.onvif.soap import child, children, text
from gateway.drivers.onvif.times import read_datetime

MESSAGES_LIMIT = 200
"""Read of one answer, however many were asked for."""
ITEMS_LIMIT = 16
TEXT_LIMIT = 256
_CHANGES = {"Initialized": Change.INITIALIZED, "Changed": Change.CHANGED, "Deleted": Change.DELETED}
_WORDS, _DIGITS = {"true", "false"}, {"1", "0"}


def read_notifications(payload: etree._Element, *, received: datetime) -> list[DeviceEvent]:
    """The events in a PullMessagesResponse, in order; what has no topic is left out."""
    found = (read_notification(one, received=received) for one in islice(children(payload, "NotificationMessage"), MESSAGES_LIMIT))
    return [event for event in found if event is not None]


def read_notification(holder: etree._Element, *, received: datetime) -> DeviceEvent | None:
    """One wsnt:NotificationMessage; None without a topic. A time that is none is None, and what cannot be read is not there."""
    topic = "/".join(part.rpartition(":")[2] for part in text(holder, "Topic")[:TEXT_LIMIT].split("/"))
    if not topic:
        return None
    message = child(holder, "Message", "Message")
    data = _items(message, "Data")
    return DeviceEvent(
        topic=topic,
        source={**_items(message, "Source"), **_items(message, "Key")},
        data=data,
        change=_CHANGES.get(_said(message, "PropertyOperation"), Change.NONE),
        on=_state(data),
        device_time=read_datetime(_said(message, "UtcTime")),
        received=received,
    )


def _said(message: etree._Element | None, name: str) -> str:
    return "" if message is None else message.get(name, "")[:64]


def _items(message: etree._Element | None, part: str) -> dict[str, str]:
    items = islice(children(child(message, part), "SimpleItem"), ITEMS_LIMIT)
    return {item.get("Name", "")[:TEXT_LIMIT]: item.get("Value", "")[:TEXT_LIMIT] for item in items}


def _state(data: dict[str, str]) -> bool | None:
    """The truth value among the items: devices call it State, IsMotion, LogicalState and more, and write it as xs:boolean allows."""
    for name, value in data.items():
        if value.lower() in _WORDS or (value in _DIGITS and (name in ("State", "LogicalState") or name.startswith("Is"))):
            return value.lower() in ("true", "1")
    return None
