"""What the health check reads out of answers: the clock and the identity of a device."""

from datetime import UTC, datetime, timedelta

from lxml import etree

from gateway.drivers.base import DeviceClock, Identity
from gateway.drivers.onvif.soap import child, local, text
from gateway.drivers.onvif.times import read_components, zone_offset
from gateway.errors import ProtocolError

IMPOSSIBLE_TIME = "impossible-time"
TEXT_LIMIT = 256
"""Characters that are kept of a name that a device gives itself."""


def read_clock(payload: etree._Element, *, answered_at: datetime) -> DeviceClock:
    """GetSystemDateAndTimeResponse (Device Management, 8.3.3). `answered_at` is our time in the middle of the exchange.

    Devices tell whole seconds, so half of one is added. A device that tells local time only has its zone undone.
    Raises ProtocolError when it tells no possible time.
    """
    stated = child(payload, "SystemDateAndTime")
    zone = text(stated, "TimeZone", "TZ")[:TEXT_LIMIT]
    saving = text(stated, "DaylightSavings").lower() in ("true", "1")
    utc = read_components(child(stated, "UTCDateTime")) or _from_local(stated, zone, saving=saving)
    if utc is None:
        raise ProtocolError("the device tells no possible time", code=IMPOSSIBLE_TIME)
    utc += timedelta(milliseconds=500) if utc < _LATEST else timedelta()
    source = text(stated, "DateTimeType")
    return DeviceClock(utc, utc - answered_at, zone, saving, source if source in ("NTP", "Manual") else "")


def read_identity(payload: etree._Element) -> Identity:
    """GetDeviceInformationResponse (Device Management, 8.3.7); missing fields are ""."""
    values = {local(one): (one.text or "").strip()[:TEXT_LIMIT] for one in payload}
    return Identity(
        values.get("Manufacturer", ""),
        values.get("Model", ""),
        values.get("FirmwareVersion", ""),
        values.get("SerialNumber", ""),
        values.get("HardwareId", ""),
    )


_LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def _from_local(stated: etree._Element | None, zone: str, *, saving: bool) -> datetime | None:
    there, ahead = read_components(child(stated, "LocalDateTime")), zone_offset(zone)
    if there is None or ahead is None or not 1900 < there.year < 9000:
        return None
    return there - ahead - timedelta(hours=1 if saving else 0)
