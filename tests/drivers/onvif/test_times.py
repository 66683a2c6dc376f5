"""Times as devices write them: plain meaning is understood, impossible dates are not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.http_reader import Answer
from gateway.drivers.onvif.answers import read_clock
from gateway.drivers.onvif.caller import GET_CLOCK
from gateway.drivers.onvif.soap import open_answer
from gateway.drivers.onvif.times import read_datetime, write_datetime, zone_offset
from gateway.errors import ProtocolError
from tests.drivers.devices import soap
from tests.drivers.onvif.camera import date_and_time

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
HALF = timedelta(seconds=0.5)


def clock(body: bytes, now: datetime = NOW):
    return read_clock(open_answer(Answer(200, {}, body), GET_CLOCK.answer), answered_at=now)


def parts(date: str, time: str, zone: str = "") -> bytes:
    (year, month, day), (hour, minute, second) = date.split("-"), time.split(":")
    return soap(
        f"<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>{zone}<tt:UTCDateTime>"
        f"<tt:Time><tt:Hour>{hour}</tt:Hour><tt:Minute>{minute}</tt:Minute><tt:Second>{second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{year}</tt:Year><tt:Month>{month}</tt:Month><tt:Day>{day}</tt:Day></tt:Date>"
        "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


@pytest.mark.parametrize(
    ("date", "time", "meant"),
    [
        ("2026-3-1", "12:30:0", NOW),
        ("2024-8-17", "0:61:16", datetime(2024, 8, 17, 1, 1, 16, tzinfo=UTC)),
        ("2024-12-31", "24:0:0", datetime(2025, 1, 1, tzinfo=UTC)),
        ("2016-12-31", "23:59:60", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-3-1", "-7:10:0", datetime(2026, 2, 28, 17, 10, tzinfo=UTC)),
        ("1970-1-1", "0:0:0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("9999-12-31", "23:59:59", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - HALF),
    ],
)
def test_a_clock_is_read_and_what_overflows_is_carried(date: str, time: str, meant: datetime) -> None:
    told = clock(parts(date, time))
    assert told.utc == meant + HALF
    assert told.offset == told.utc - NOW


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("0-0-0", "0:0:0"),
        ("2026-2-30", "0:0:0"),
        ("2026-13-1", "0:0:0"),
        ("2026-1-1", "99:0:0"),
        ("2026-1-1", "x:0:0"),
        ("9999-12-31", "47:0:0"),
    ],
)
def test_an_impossible_clock_is_refused(date: str, time: str) -> None:
    with pytest.raises(ProtocolError):
        clock(parts(date, time))


def test_a_clock_that_tells_nothing_is_refused() -> None:
    for inner in ("", "<tds:SystemDateAndTime/>", "<tds:SystemDateAndTime><tt:UTCDateTime/></tds:SystemDateAndTime>"):
        with pytest.raises(ProtocolError):
            clock(soap(f"<tds:GetSystemDateAndTimeResponse>{inner}</tds:GetSystemDateAndTimeResponse>"))


def test_a_clock_that_tells_local_time_only_has_its_zone_undone() -> None:
    assert clock(date_and_time(NOW + timedelta(hours=8), "CST-8", local=True)).offset == HALF


def test_a_clock_that_tells_local_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ProtocolError):
        clock(date_and_time(NOW, "", local=True))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-01T12:30:00Z", NOW),
        ("2026-03-01T12:30:00", NOW),
        ("2026-03-01 12:30:00", NOW),
        ("2026-03-01-12:30:00", NOW),
        ("2026-03-01T-12:30:00Z", NOW),
        ("2026-03-01T20:30:00+08:00", NOW),
        ("2026-03-01T07:00:00-0530", NOW),
        ("2026-03-01T12:29:60.0000000000Z", NOW),
        ("2026-03-01T12:30:00.25Z", NOW + timedelta(milliseconds=250)),
        ("2024-08-17T00:61:16Z", datetime(2024, 8, 17, 1, 1, 16, tzinfo=UTC)),
        ("0000-00-00T00:00:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-03-01", None),
        ("2026-03-01T12:30:00+99:00", None),
        ("9999-12-31T47:00:00Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_and_time_is_read_or_not(text: str, meant: datetime | None) -> None:
    assert read_datetime(text) == meant


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_we_write_we_read(moment: datetime) -> None:
    assert read_datetime(write_datetime(moment)) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"),
    )
)
def test_no_text_breaks_the_reader(text: str) -> None:
    moment = read_datetime(text)
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("CST-8", 8),
        ("CST-8:00:00", 8),
        ("CST7:00:00", -7),
        ("MST7MDT,M3.2.0,M11.1.0", -7),
        ("EST+5:00:00EDT04:00:00,M3.5.0/01:00:00,M10.5.0/02:00:00", -5),
        ("<+08>-8", 8),
        ("IST-5:30", 5.5),
        ("UTC0", 0),
        ("CST-99", None),
        ("Asia/Shanghai", None),
        ("", None),
    ],
)
def test_a_posix_zone_tells_how_far_ahead_it_is(zone: str, hours: float | None) -> None:
    assert zone_offset(zone) == (None if hours is None else timedelta(hours=hours))
