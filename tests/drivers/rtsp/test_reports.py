"""What devices say to have missed (RTCP)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.rtsp import rtp
from gateway.drivers.rtsp.backchannel import SpeakerRtsp, open_audio
from gateway.drivers.rtsp.messages import encode_frame
from gateway.drivers.rtsp.session import Transport
from tests.drivers.rtsp.peer import Peer, listening
from tests.waiting import until


def report(lost: int, kind: int = 201) -> bytes:
    """A report with one block, by an SR (200) or an RR (201)."""
    block = struct.pack("!IIIIII", 7, lost & 0xFFFFFF, 0, 0, 0, 0)
    head = struct.pack("!II", 1, 0) + bytes(16) if kind == 200 else struct.pack("!I", 1)
    return struct.pack("!BBH", 0x81, kind, (len(head) + len(block)) // 4) + head + block


@pytest.mark.parametrize("kind", [200, 201])
@pytest.mark.parametrize("lost", [0, 1, 300, 0x7FFFFF])
def test_the_first_report_counts(kind: int, lost: int) -> None:
    said = report(lost, kind)
    assert rtp.missed(said) == lost
    assert rtp.missed(struct.pack("!BBH", 0x80, 202, 0) + said) == lost


def test_more_packets_than_were_sent_are_none_that_were_missed() -> None:
    assert rtp.missed(report(-3)) == 0


@pytest.mark.parametrize("data", [b"", b"\x81\xc9", report(1)[:-1], b"\x80\xc9\x00\x01\x00\x00\x00\x01", b"\x41" + report(1)[1:]])
def test_what_reports_nothing_says_nothing(data: bytes) -> None:
    assert rtp.missed(data) is None
    assert rtp.latest_missed([report(2), data], None) == 2
    assert rtp.latest_missed([data], 5) == 5


@given(st.binary(max_size=120))
def test_any_bytes_say_a_number_or_nothing(data: bytes) -> None:
    said = rtp.missed(data)
    assert said is None or 0 <= said < 1 << 23


async def test_a_report_between_the_frames_of_a_connection_is_heard() -> None:
    peer = Peer()
    async with listening(peer):
        manner = SpeakerRtsp(transports=(Transport.TCP,), all_tracks=False)
        session = await open_audio(peer.target, prefer=["PCMA"], timeout_s=5, manner=manner)
        channel = session.line.channel
        assert channel is not None
        for place, lost in ((channel, 9), (channel + 1, 4)):
            peer.writer.write(encode_frame(place, report(lost)))
        await until(lambda: session.missed == 4)
        await session.close()
