"""What devices say to have missed (RTCP)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.rtp.reports import latest_missed, missed, says_goodbye


def report(lost: int, kind: int = 201) -> bytes:
    """A report with one block, by an SR (200) or an RR (201)."""
    block = struct.pack("!IIIIII", 7, lost & 0xFFFFFF, 0, 0, 0, 0)
    head = struct.pack("!II", 1, 0) + bytes(16) if kind == 200 else struct.pack("!I", 1)
    return struct.pack("!BBH", 0x81, kind, (len(head) + len(block)) // 4) + head + block


@pytest.mark.parametrize("kind", [200, 201])
@pytest.mark.parametrize("lost", [0, 1, 300, 0x7FFFFF])
def test_the_first_report_counts(kind: int, lost: int) -> None:
    said = report(lost, kind)
    assert missed(said) == lost
    assert missed(struct.pack("!BBH", 0x80, 202, 0) + said) == lost


def test_more_packets_than_were_sent_are_none_that_were_missed() -> None:
    assert missed(report(-3)) == 0


@pytest.mark.parametrize("data", [b"", b"\x81\xc9", report(1)[:-1], b"\x80\xc9\x00\x01\x00\x00\x00\x01", b"\x41" + report(1)[1:]])
def test_what_reports_nothing_says_nothing(data: bytes) -> None:
    assert missed(data) is None
    assert latest_missed([report(2), data], None) == 2
    assert latest_missed([data], 5) == 5


@given(st.binary(max_size=120))
def test_any_bytes_say_a_number_or_nothing(data: bytes) -> None:
    for candidate in (data, b"\x90" + data):
        said = missed(candidate)
        assert said is None or 0 <= said < 1 << 23
        says_goodbye(candidate)
