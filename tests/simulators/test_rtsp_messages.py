"""What RTSP is made of: messages, ranges, transports, log-in and RTP, without a network."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.digest import DigestGuard, Login, Verdict, response
from simulators.rtsp import ranges, rtp
from simulators.rtsp.message import HEAD_BYTES, Interleaved, Malformed, Parser, Request
from simulators.rtsp.transport import choose
from simulators.video import AccessUnit
from tests.simulators.rtsp_client import Packet, authorization, pictures

ASK = b"GET_PARAMETER rtsp://127.0.0.1/live/main RTSP/1.0\r\nCSeq: 7\r\nSession: ab;timeout=60\r\nContent-Length: 4\r\n\r\nbody"
FRAME = b"$\x02\x00\x05hello"


@given(st.lists(st.sampled_from([ASK, FRAME, b"\r\n"]), max_size=6), st.integers(1, 50))
def test_messages_are_found_however_the_stream_is_cut(parts: list[bytes], size: int) -> None:
    stream, parser, found = b"".join(parts), Parser(), []
    for at in range(0, len(stream), size):
        found += parser.feed(stream[at : at + size])
    expected = [Request if part == ASK else Interleaved for part in parts if part != b"\r\n"]
    assert [type(message) for message in found] == expected


def test_a_request_gives_its_parts() -> None:
    (request,) = Parser().feed(ASK)
    assert isinstance(request, Request)
    assert (request.method, request.path, request.session, request.body) == ("GET_PARAMETER", "live/main", "ab", b"body")


def test_feature_tags_of_several_require_headers_add_up() -> None:
    (request,) = Parser().feed(b"PLAY * RTSP/1.0\r\nCSeq: 1\r\nRequire: a, b\r\nRequire: c\r\n\r\n")
    assert isinstance(request, Request)
    assert request.required == {"a", "b", "c"}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"PLAY * RTSP/1.0\r\nno colon\r\n\r\n",
        b"PLAY * RTSP/1.0\r\nContent-Length: 9999999\r\n\r\n",
        b"PLAY * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
        b"\xff\xfe\xfd \x00 \x01\r\n\r\n",
        b"A" * (HEAD_BYTES + 1),
    ],
)
def test_what_is_not_rtsp_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Parser().feed(data)


@given(st.binary(max_size=200))
def test_garbage_never_does_more_than_be_refused(data: bytes) -> None:
    try:
        Parser().feed(data)
    except Malformed:
        pass
    rtp.parse(data)
    rtp.is_rtcp(data)


# -- ranges and transports --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("clock=20090615T114900.440Z-", (1245066540.44, None)),
        ("clock=20090615T114900Z-20090615T115000.5Z", (1245066540.0, 1245066600.5)),
        ("npt=0.000-", (100.0, None)),
        ("npt=10-20.5", (110.0, 120.5)),
        ("npt=now-", (None, None)),
        ("npt=3976214400-", (3976214400 - 2208988800, None)),
    ],
)
def test_ranges_that_clients_send(header: str, expected: tuple[float | None, float | None]) -> None:
    found = ranges.parse(header, origin=100.0)
    assert (found.start, found.end) == pytest.approx(expected)


@pytest.mark.parametrize(
    "header", ["", "clock", "clock=", "smpte=0:10:00-", "clock=2009-", "clock=20091315T114900Z-", "npt=-x", "npt=inf-"]
)
def test_ranges_that_mean_nothing_are_refused(header: str) -> None:
    with pytest.raises(ranges.InvalidRange):
        ranges.parse(header, origin=0.0)


@given(st.integers(0, 4_000_000_000_000))
def test_a_clock_range_reads_back_as_it_was_written(milliseconds: int) -> None:
    text = ranges.clock(milliseconds / 1000, milliseconds / 1000 + 1)
    found = ranges.parse(text, origin=0.0)
    assert round((found.start or 0) * 1000) == milliseconds


def test_the_first_transport_that_works_is_taken() -> None:
    offer = choose("RTP/AVP;multicast;port=4-5,RTP/SAVP;unicast,RTP/AVP/TCP;unicast;interleaved=4-5,RTP/AVP;unicast;client_port=6000-6001")
    assert offer is not None
    assert offer.channels == (4, 5)


@pytest.mark.parametrize(
    "header",
    ["", "RTP/AVP;multicast", "RAW/RAW/UDP;unicast", "RTP/AVP;unicast", "RTP/AVP;client_port=0-1", "RTP/AVP;client_port=70000-70001",
     "RTP/AVP/TCP;interleaved=300-301", "RTP/AVP;client_port=x"],
)  # fmt: skip
def test_transports_that_cannot_be_gone(header: str) -> None:
    assert choose(header) is None


# -- log-in -----------------------------------------------------------------------------------------------------------

URL = "rtsp://127.0.0.1:554/live/main"


@pytest.mark.parametrize(("algorithm", "qop"), [("MD5", False), ("MD5", True), ("SHA-256", True), ("SHA-256", False)])
def test_every_digest_variant_lets_the_right_password_in_and_no_other(algorithm: str, qop: bool) -> None:
    guard, login = DigestGuard(b"k", lambda: 1000.0), Login("Cam", "admin", "right", algorithm, qop)
    challenge = guard.challenge(login)

    def verdict(password: str, *, method: str = "PLAY", uri: str = URL) -> Verdict:
        value = authorization(challenge, "admin", password, method="PLAY", uri=uri)
        return guard.check(login, method=method, url=URL, authorization=value)

    assert verdict("right") is Verdict.GOOD
    assert verdict("wrong") is Verdict.WRONG
    assert verdict("right", method="TEARDOWN") is Verdict.WRONG
    assert verdict("right", uri="rtsp://127.0.0.1:554/live/sub") is Verdict.WRONG


def test_the_example_of_rfc_2069_without_qop() -> None:
    """RFC 2069 §2.4 as corrected by its erratum 749."""
    login = Login("testrealm@host.com", "Mufasa", "CircleOfLife")
    given = {"uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    assert response(login, method="GET", given=given) == "1949323746fe6a43ef61f9606e7febea"


def test_the_example_of_rfc_7616_with_sha_256() -> None:
    """RFC 7616 §3.9.1."""
    login = Login("http-auth@example.org", "Mufasa", "Circle of Life", "SHA-256", True)
    given = {"uri": "/dir/index.html", "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "nc": "00000001",
             "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "qop": "auth"}  # fmt: skip
    assert response(login, method="GET", given=given) == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_an_old_nonce_is_stale_and_a_foreign_one_wrong() -> None:
    now = [1000.0]
    guard, login = DigestGuard(b"k", lambda: now[0]), Login("Cam", "admin", "right")
    ours = authorization(guard.challenge(login), "admin", "right", method="PLAY", uri=URL)
    foreign = authorization(DigestGuard(b"other", lambda: 1000.0).challenge(login), "admin", "right", method="PLAY", uri=URL)
    assert guard.check(login, method="PLAY", url=URL, authorization=foreign) is Verdict.WRONG
    now[0] += 400
    assert guard.check(login, method="PLAY", url=URL, authorization=ours) is Verdict.STALE


def test_basic_is_refused() -> None:
    guard, login = DigestGuard(b"k", lambda: 0.0), Login("Cam", "admin", "right")
    assert guard.check(login, method="PLAY", url=URL, authorization="Basic YWRtaW46cmlnaHQ=") is Verdict.WRONG


@given(st.text(max_size=120))
def test_no_text_logs_in(text: str) -> None:
    guard, login = DigestGuard(b"k", lambda: 0.0), Login("Cam", "admin", "right")
    assert guard.check(login, method="PLAY", url=URL, authorization=f"Digest {text}") is not Verdict.GOOD


# -- RTP --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=4), st.integers(0, 65535))
def test_nal_units_come_back_whole_from_their_packets(lengths: list[int], sequence: int) -> None:
    nals = tuple(bytes([0x65]) + hashlib.sha256(str(length).encode()).digest() * (length // 32 + 1) for length in lengths)
    packets = rtp.Stream(1, sequence, 0).packetise(AccessUnit(nals, key=True), 90_000)
    assert max(map(len, packets)) <= 12 + 1400
    (picture,) = pictures([Packet.parse(packet) for packet in packets])
    assert tuple(picture.nals) == nals


def test_the_replay_extension_lies_on_the_first_packet_alone_and_reads_as_written() -> None:
    extension = rtp.replay_extension(
        rtp.ntp_of(1_245_066_540_440_000_000), clean=True, end=False, discontinuity=True, terminal=True, cseq=0x17B
    )
    packets = rtp.Stream(1, 0, 0).packetise(AccessUnit((b"\x65" + b"x" * 5000,), key=True), 0, extension)
    first, *others = [Packet.parse(packet) for packet in packets]
    assert (first.profile, len(first.extension), first.flags, first.extension[9]) == (0xABAC, 12, "CDT", 0x7B)
    assert first.time.isoformat() == "2009-06-15T11:49:00.440000+00:00"
    assert not any(packet.profile for packet in others)


def test_a_received_packet_is_read_past_contributors_extension_and_padding() -> None:
    header = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 2, 0x88, 5, 6, 7)
    packet = header + b"cc" * 4 + b"\x00\x01\x00\x01eeee" + b"sound" + b"\x00\x00\x03"
    received = rtp.parse(packet)
    assert received is not None
    assert (received.payload, received.payload_type) == (b"sound", 8)
