"""A device's clock over ONVIF (Device Management §8.3): read by anybody, set by its owner."""

from datetime import UTC, datetime, timedelta
from typing import Final

from simulators.onvif.soap import Call, invalid
from simulators.onvif.unit import Unit

CHINA: Final = "CST-8"
"""China Standard Time; POSIX writes its sign the other way round than everybody else."""
AHEAD: Final = timedelta(hours=8)


def system_date_and_time(unit: Unit, _call: Call) -> str:
    utc, saving = datetime.fromtimestamp(unit.now(), UTC), "false"
    if unit.odd():
        utc += timedelta(hours=unit.number("utc-is-local", "hours"))
        saving = "true" if unit.quirk("wrong-dst") is not None else saving
    kind = unit.kept.get("date-time-type", "NTP")
    return (
        f"<tds:SystemDateAndTime><tt:DateTimeType>{kind}</tt:DateTimeType>"
        f"<tt:DaylightSavings>{saving}</tt:DaylightSavings><tt:TimeZone><tt:TZ>{CHINA}</tt:TZ></tt:TimeZone>"
        f"<tt:UTCDateTime>{_date_time(utc)}</tt:UTCDateTime><tt:LocalDateTime>{_date_time(utc + AHEAD)}</tt:LocalDateTime>"
        "</tds:SystemDateAndTime>"
    )


def set_system_date_and_time(unit: Unit, call: Call) -> str:
    """`Manual` sets the clock to the UTC that comes with it; `NTP` puts it right, as the next answer of a server would."""
    kind, zone = call.text("DateTimeType"), call.text("TZ")
    if kind not in {"Manual", "NTP"}:
        raise invalid("no such date time type", "ter:InvalidDateTime")
    if zone not in {"", CHINA}:
        raise invalid("this device stands in China", "ter:InvalidTimeZone")
    unit.state.set_clock(unit.device, _asked(call) if kind == "Manual" else unit.state.now())
    unit.kept["date-time-type"] = kind
    return ""


def _asked(call: Call) -> float:
    parts = [call.text(name) for name in ("Year", "Month", "Day", "Hour", "Minute", "Second")]
    try:
        return datetime(*(int(part) for part in parts), tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]  # six of them
    except (ValueError, OverflowError) as error:
        raise invalid("no such date and time", "ter:InvalidDateTime") from error


def _date_time(moment: datetime) -> str:
    return (
        f"<tt:Time><tt:Hour>{moment.hour}</tt:Hour><tt:Minute>{moment.minute}</tt:Minute><tt:Second>{moment.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{moment.year}</tt:Year><tt:Month>{moment.month}</tt:Month><tt:Day>{moment.day}</tt:Day></tt:Date>"
    )
