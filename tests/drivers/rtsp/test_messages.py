from collections.abc import Callable
from dataclasses import replace
from typing import Any, SupportsIndex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.drivers.rtsp import messages as reading
from gateway.drivers.rtsp.messages import BODY_LIMIT, HEAD_LIMIT, Frame, Message, Parser, Room, encode, encode_frame
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import ProtocolError

names = st.from_regex(r"[A-Za-z][A-Za-z0-9\-]{0,20}", fullmatch=True).filter(lambda name: name.lower() != "content-length")
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40)
headers = st.lists(st.tuples(names, values), max_size=6).map(Headers)
bodies = st.binary(max_size=200)
messages = st.one_of(
    st.builds(Response, st.integers(100, 599), st.from_regex(r"[A-Z][a-z]{0,10}", fullmatch=True), headers, bodies),
    st.builds(Request, st.sampled_from(["OPTIONS", "GET_PARAMETER", "TEARDOWN"]), st.just("rtsp://127.0.0.1/x"), headers, bodies),
    st.builds(Frame, st.integers(0, 255), st.binary(max_size=300)),
)


def wire(message: Request | Response | Frame) -> bytes:
    return encode_frame(message.channel, message.payload) if isinstance(message, Frame) else encode(message)


def with_length(message: Request | Response | Frame) -> Request | Response | Frame:
    """A message as the other side sees it: its length is one field more."""
    if isinstance(message, Frame) or not message.body:
        return message
    return replace(message, headers=Headers([*message.headers, ("Content-Length", str(len(message.body)))]))


@given(st.lists(messages, max_size=5), st.data())
@settings(deadline=None, max_examples=60)
def test_messages_come_out_as_they_went_in_however_the_stream_is_cut(sent: list, data: st.DataObject) -> None:
    stream = b"".join(map(wire, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser, room = Parser(), Room({})
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message for piece in pieces for message in parser.feed(piece)] == list(map(with_length, sent))
    assert [message for piece in pieces for message in received(room, piece)] == list(map(with_length, sent))
    assert not parser.held


def received(room: Room, piece: bytes) -> list[Message]:
    room.free()[: len(piece)] = piece
    return room.take(len(piece))


@given(messages, st.integers(0, 1000))
def test_what_has_come_of_a_message_goes_on_in_a_room(sent: Message, cut: int) -> None:
    parser, stream = Parser(), wire(sent)
    begun = parser.feed(stream[:cut])
    assert begun + received(Room({}, parser.held), stream[cut:]) == [with_length(sent)]


@given(st.lists(st.binary(max_size=120), max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_bytes_make_the_same_messages_or_protocol_error_wherever_they_are_received(pieces: list[bytes]) -> None:
    parser, room = Parser(), Room({})

    def told(take: Callable[[bytes], list[Message]]) -> list[Message | str]:
        found: list[Message | str] = []
        try:
            for piece in pieces:
                found += take(piece)
        except ProtocolError as error:
            found.append(str(error))
        return found

    assert told(parser.feed) == told(lambda piece: received(room, piece))


def test_a_device_that_says_much_at_once_is_read_once() -> None:
    looked: list[int] = []

    class Counted(bytes):
        def __getitem__(self, where: SupportsIndex | slice) -> Any:
            found = super().__getitem__(where)
            looked.append(len(found) if isinstance(found, bytes) else 1)
            return found

    stream = 20_000 * b"RTSP/1.0 200 OK\n\n"
    found, _, _ = reading._cut(Counted(stream), len(stream), {})
    assert len(found) == 20_000
    assert max(looked) <= HEAD_LIMIT + 1


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_true_answer_with_bytes_changed_never_crashes(data: st.DataObject) -> None:
    stream = bytearray(encode(Response(200, "OK", Headers([("CSeq", "1"), ("Session", "5;timeout=60")]), b"v=0\r\n")))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        Parser().feed(bytes(stream))
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "malformed"),
        (b"RTSP/2.0 200 OK\r\n\r\n", "malformed"),
        (b"RTSP/1.0 2000 OK\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\n: nameless\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\n folded: x\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\nSession: 1\r2\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: " + str(BODY_LIMIT + 1).encode() + b"\r\n\r\n", "too-large"),
        (b"RTSP/1.0 200 OK\r\nX: " + b"x" * HEAD_LIMIT, "too-large"),
        (b"RTSP/1.0 200 OK\r\n" + b"X: 1\r\n" * 65 + b"\r\n", "too-large"),
        (b"\x16\x03\x01\x02\x00", "malformed"),
    ],
)
def test_what_is_no_rtsp_is_refused_with_a_reason(stream: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Parser().feed(stream)
    assert caught.value.code == code


def test_lines_may_end_with_lf_alone_and_a_reason_may_be_missing() -> None:
    (answer,) = Parser().feed(b"\r\nRTSP/1.0 200\nCSeq: 4\n\n")
    assert (answer.status, answer.reason, answer.headers.get("cseq")) == (200, "", "4")


def test_a_field_with_a_line_break_is_never_sent() -> None:
    with pytest.raises(ValueError, match="line break"):
        encode(Request("OPTIONS", "*", Headers([("X", "a\r\nY: b")])))


def test_a_device_that_drips_costs_little() -> None:
    parser = Parser()
    head = b"RTSP/1.0 200 OK\r\nContent-Length: 200000\r\n\r\n"
    found = [message for octet in head + bytes(200_000) for message in parser.feed(bytes((octet,)))]
    assert len(found) == 1
