import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.drivers import sdp
from gateway.errors import ProtocolError
from tests.drivers.rtsp.peer import REPLAY_SDP, SPEAKER_SDP


def test_a_speakers_media_directions_and_payload_types_are_read() -> None:
    found = sdp.parse(SPEAKER_SDP.encode())
    assert [(media.kind, media.direction, media.control) for media in found.media] == [
        ("video", "recvonly", "video"),
        ("audio", "sendonly", "back"),
    ]
    assert [(encoding.payload_type, encoding.name) for encoding in found.media[1].encodings] == [(0, "PCMU"), (8, "PCMA")]


def test_format_parameters_keep_their_base64_padding() -> None:
    (track,) = sdp.parse(REPLAY_SDP.encode()).media[0].tracks()
    assert track.parameters["sprop-parameter-sets"].endswith("aMuMsg==")


def test_static_payload_types_need_no_rtpmap_and_unknown_ones_are_passed_over() -> None:
    found = sdp.parse(b"v=0\nm=audio 0 RTP/AVP 8 99\n")
    assert [encoding.name for encoding in found.media[0].encodings] == ["PCMA"]


@pytest.mark.parametrize(
    "other",
    ["m=image 0 udptl t38", "m=message 2855 TCP/MSRP *", "m=application/TP-LINK 0 RTP/AVP smart/1/90000", "m=audio 0 RTP/AVP (null)"],
)
def test_media_that_nobody_can_read_and_an_empty_line_ahead_are_passed_over(other: str) -> None:
    found = sdp.parse(f"\r\nv=0\r\nm=audio 5004 RTP/AVP 8\r\n{other}\r\n".encode())
    assert [[encoding.name for encoding in media.encodings] for media in found.media] == [["PCMA"], []]


def test_a_direction_of_the_session_holds_for_media_that_name_none() -> None:
    assert sdp.parse(b"v=0\na=sendonly\nm=audio 0 RTP/AVP 0\n").media[0].direction == "sendonly"


@pytest.mark.parametrize(
    ("lines", "packet_ms"),
    [
        ("", 20), ("a=ptime:40\n", 40), ("a=maxptime:60\n", 20), ("a=maxptime:10\n", 10), ("a=ptime:40\na=maxptime:30\n", 30),
        ("a=ptime:0\n", 20), ("a=ptime:99999\n", 20), ("a=ptime:-20\n", 20), ("a=ptime:12.5\n", 12.5),
    ],
)  # fmt: skip
def test_the_time_of_a_packet_is_the_descriptions_within_reason(lines: str, packet_ms: float) -> None:
    assert sdp.parse(f"v=0\nm=audio 0 RTP/AVP 0\n{lines}".encode()).media[0].packet_ms == packet_ms


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"v=0\nm=audio\n", b"v=0\na=" + b"x" * 3000, b"v=0\n" + b"m=audio 0 RTP/AVP 0\n" * 40],
)
def test_what_is_no_sdp_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        sdp.parse(body)


@given(st.text(st.sampled_from("vmao=:0123 /;ABCPM\n\r\t*") | st.characters(), max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = sdp.parse(b"v=0\n" + text.encode("utf-8", "surrogatepass"))
    except ProtocolError:
        return
    assert all(0 <= encoding.payload_type < 128 for media in found.media for encoding in media.encodings)
