"""What a device's values mean: a profile's facts and sensors evaluated over what an engine has read."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from gateway.domain.health import Outcome
from gateway.drivers.profiles.model import Decoding, Profile, Sensor
from gateway.drivers.profiles.patterns import TEXT_LIMIT
from gateway.drivers.snmp.engine import Oid, Value

_DIGITS_LIMIT = 24
ROWS_SHOWN = 64  # rows of one table in the facts; all of them are judged
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]+")
_LEADING = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,9})?(?=\s|%|$)")
_MOMENT = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_WORSE = {Outcome.OK: 0, Outcome.WARN: 1, Outcome.FAIL: 2}

Plain = int | float | str | None


@dataclass(frozen=True, slots=True)
class Readings:
    """The verdict on one device. `reason` is `sensor-` and the name of the first of the worst sensors, "" when all is well.

    `facts`: plain JSON values; `facts["sensors"]` has each sensor's value, or a table's values by row.
    """

    outcome: Outcome
    reason: str
    facts: Mapping[str, Any]


Tables = Mapping[Oid, Sequence[tuple[Oid, Value]]]


def evaluate(profile: Profile, values: Mapping[Oid, Value], tables: Tables) -> Readings:
    """Judge what was read by `profile.oids` (`values`) and `profile.walks` (`tables`, rows by root). Never raises for a device's values."""
    worst, reason = Outcome.OK, ""
    shown: dict[str, Any] = {}
    bad: list[str] = []
    for sensor in profile.sensors:
        value, outcome = _table(sensor, tables.get(sensor.oid, ())) if sensor.per_row else _single(sensor, values.get(sensor.oid))
        if value is not None:
            shown[sensor.name] = value
        if outcome is not Outcome.OK:
            bad.append(sensor.name)
            if _WORSE[outcome] > _WORSE[worst]:
                worst, reason = outcome, f"sensor-{sensor.name}"
    facts = describe(profile, values)
    facts["sensors"] = shown
    if bad:
        facts["bad"] = bad
    return Readings(worst, reason, facts)


def describe(profile: Profile, values: Mapping[Oid, Value]) -> dict[str, Any]:
    """The profile's facts as text, "" where the device has none."""
    return {name: _fact(values.get(oid), decoding) for name, (oid, decoding) in profile.facts.items()}


def _fact(raw: Value, decoding: Decoding) -> str:
    if raw is None:
        return ""
    if isinstance(raw, bytes) and decoding.encoding == "mac":
        return raw[:8].hex(":")
    if decoding.encoding == "date":
        return date(raw)
    value = text(raw, decoding)
    if decoding.pattern is None:
        return value
    found = decoding.pattern.search(value)
    return "" if found is None else (found[1] or "" if found.re.groups else found[0])


def decode(raw: Value, decoding: Decoding) -> Plain:
    """A raw value as plain JSON: octets as clean text, of it the pattern's first group, and that times the scale if it is a number."""
    if raw is None:
        return None
    if decoding.pattern is None and isinstance(raw, int | float):
        return _scaled(raw, decoding.scale)
    value = text(raw, decoding)
    if decoding.pattern is None:
        return value if decoding.scale == 1.0 else _number(value, decoding.scale)
    found = decoding.pattern.search(value)
    if found is None:
        return None
    return _number(found[1] or "" if found.re.groups else found[0], decoding.scale)


def _measured(sensor: Sensor, raw: Value) -> Plain:
    """The value of a sensor. Text where a number belongs ("62 PERCENT", "117.8 GB") is the number that it begins with."""
    value = decode(raw, sensor.decoding)
    if isinstance(value, str) and sensor.is_number and (found := _LEADING.match(value)):
        return _number(found[0], sensor.decoding.scale)
    return value


def date(raw: Value) -> str:
    """A moment as ISO 8601: DateAndTime (RFC 2579) with its zone if it has one, or text, which is local time; "" for what is neither."""
    if isinstance(raw, bytes) and len(raw) in (8, 11) and (moment := _date_and_time(raw)) is not None:
        return moment.isoformat(timespec="seconds")
    found = _MOMENT.search(text(raw))
    try:
        return datetime(*map(int, found.groups())).isoformat(timespec="seconds") if found else ""  # type: ignore[arg-type]  # noqa: DTZ001 -- it tells no zone
    except ValueError:
        return ""


def _date_and_time(raw: bytes) -> datetime | None:
    zone = None
    try:
        if len(raw) == 11:
            zone = timezone(timedelta(hours=raw[9], minutes=raw[10]) * (-1 if raw[8:9] == b"-" else 1))
        return datetime(int.from_bytes(raw[:2], "big"), raw[2], raw[3], raw[4], raw[5], min(raw[6], 59), tzinfo=zone)
    except ValueError:
        return None


def text(raw: Value, decoding: Decoding = Decoding()) -> str:  # noqa: B008 -- frozen
    """A device's string without control characters and ends, at most `TEXT_LIMIT` characters."""
    if isinstance(raw, bytes):
        raw = raw[: 4 * TEXT_LIMIT]
        if decoding.strip_nul:
            raw = raw.split(b"\0", 1)[0]
        raw = raw.decode(decoding.encoding, "replace")
    value = str(raw)[: 2 * TEXT_LIMIT]
    return (value if value.isprintable() else _CONTROL.sub(" ", value))[:TEXT_LIMIT].strip()


def _single(sensor: Sensor, raw: Value) -> tuple[Plain, Outcome]:
    value = _measured(sensor, raw)
    if value is None:
        return None, Outcome.OK if sensor.optional else Outcome.WARN
    return _judge(sensor, value)


def _table(sensor: Sensor, rows: Sequence[tuple[Oid, Value]]) -> tuple[dict[str, Plain] | None, Outcome]:
    """Each row's value by its index, and the worst of all rows; an absent table is bad unless the sensor is optional."""
    if not rows:
        return None, Outcome.OK if sensor.optional else Outcome.WARN
    worst = Outcome.OK
    shown: dict[str, Plain] = {}
    for index, raw in rows:
        value = _measured(sensor, raw)
        shown_value, outcome = (None, Outcome.OK) if value is None else _judge(sensor, value)
        if _WORSE[outcome] > _WORSE[worst]:
            worst = outcome
        if len(shown) < ROWS_SHOWN:
            shown[_row_name(sensor, index)] = shown_value
    return shown, worst


def _row_name(sensor: Sensor, index: Oid) -> str:
    """`type=1,id=2` where the profile names the parts of the index, else the index itself."""
    parts = index.split(".")
    if len(parts) != len(sensor.index):
        return index[:TEXT_LIMIT]
    return ",".join(f"{name}={part}" for name, part in zip(sensor.index, parts, strict=True))


def _judge(sensor: Sensor, value: int | float | str) -> tuple[Plain, Outcome]:
    if sensor.labels:
        label = sensor.labels.get(value) if isinstance(value, int) else None
        return (value, Outcome.OK) if label is None else (label, Outcome.FAIL if label in sensor.bad else Outcome.OK)
    if isinstance(value, str):
        return value, Outcome.OK
    if _beyond(value, sensor.crit, sensor.crit_below):
        return value, Outcome.FAIL
    return value, Outcome.WARN if _beyond(value, sensor.warn, sensor.warn_below) else Outcome.OK


def _beyond(value: float, above: float | None, below: float | None) -> bool:
    return (above is not None and value >= above) or (below is not None and value <= below)


def _number(found: str, scale: float) -> Plain:
    """`found` as a number times `scale`; as the text that it is when it is no number, or one that no sensor has."""
    if len(found) > _DIGITS_LIMIT:
        return found
    try:
        return _scaled(int(found), scale)
    except ValueError:
        pass
    try:
        return _scaled(float(found), scale)
    except ValueError:
        return found


def _scaled(value: float, scale: float) -> Plain:
    if scale == 1.0 and isinstance(value, int):
        return value
    scaled = value * scale
    return round(scaled, 6) if math.isfinite(scaled) else None
