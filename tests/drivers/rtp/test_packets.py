from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.rtp.packets import from_ntp, parse


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 -- made aware below
def test_ntp_times_are_exact_to_the_microsecond_beyond_2036(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1900, 1, 1, tzinfo=UTC)
    seconds = since // timedelta(seconds=1)
    fraction = ((since % timedelta(seconds=1)) // timedelta(microseconds=1) << 32) // 1_000_000
    assert from_ntp(seconds & 0xFFFFFFFF, fraction) == moment


@given(st.binary(max_size=80))
def test_any_packet_is_parsed_or_passed_over(packet: bytes) -> None:
    for candidate in (packet, b"\x90" + packet, b"\xb3" + packet):
        found = parse(candidate)
        assert found is None or len(found.payload) <= len(candidate)
