from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.drivers.sip.messages import (
    BODY_LIMIT,
    HEAD_LIMIT,
    Message,
    StreamParser,
    answer,
    branch_of,
    encode,
    listed,
    parameters,
    parse,
    seconds,
    sequence_of,
    tag_of,
    uri_of,
)
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import ProtocolError

names = st.from_regex(r"X-[A-Za-z0-9\-]{1,20}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=40)
headers = st.lists(st.tuples(names, values), max_size=6).map(Headers)
bodies = st.binary(max_size=200)
messages = st.one_of(
    st.builds(Response, st.integers(100, 699), st.from_regex(r"[A-Z][a-z]{0,10}", fullmatch=True), headers, bodies),
    st.builds(Request, st.sampled_from(["OPTIONS", "BYE", "INVITE"]), st.just("sip:horn@127.0.0.1"), headers, bodies),
)


def received(message: Message) -> Message:
    """A message as the other side sees it: its length is one field more."""
    return replace(message, headers=Headers([*message.headers, ("Content-Length", str(len(message.body)))]))


@given(messages)
@settings(deadline=None, max_examples=100)
def test_a_datagram_comes_out_as_it_went_in(message: Message) -> None:
    assert parse(encode(message)) == received(message)


@given(st.lists(messages, max_size=4), st.data())
@settings(deadline=None, max_examples=60)
def test_messages_come_out_of_a_stream_however_it_is_cut(sent: list[Message], data: st.DataObject) -> None:
    stream = b"\r\n\r\n".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser = StreamParser()
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message for piece in pieces for message in parser.feed(piece)] == list(map(received, sent))


@given(
    st.binary(max_size=300) | st.lists(st.binary(max_size=40), max_size=8).map(b"\r\n".join).map(lambda rest: b"SIP/2.0 200 OK\r\n" + rest)
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_make_a_message_or_a_protocol_error(data: bytes) -> None:
    for read in (parse, StreamParser().feed):
        try:
            read(data)
        except ProtocolError:
            pass


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_true_answer_with_bytes_changed_never_crashes(data: st.DataObject) -> None:
    whole = Response(
        200, "OK", Headers([("Via", "SIP/2.0/UDP h;branch=1"), ("To", '"a, b" <sip:x@y>;tag=7'), ("CSeq", "1 INVITE")]), b"v=0\r\n"
    )
    stream = bytearray(encode(whole))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = parse(bytes(stream))
    except ProtocolError:
        return
    if message is not None:
        for name in ("Via", "To", "CSeq"):
            listed(message.headers, name)
        tag_of(message.headers, "To"), sequence_of(message.headers), branch_of(message.headers), uri_of(message.headers.get("To"))


@given(st.text(max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_text_can_stand_in_a_field(text: str) -> None:
    fields = Headers([("X", text)])
    assert len(listed(fields, "X")) <= 32
    parameters(text), seconds(text)
    assert not any(octet <= 0x20 or octet in b'<>"' for octet in uri_of(text).encode())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"SIP/3.0 200 OK\r\n\r\n", "malformed"),
        (b"SIP/2.0 700 OK\r\n\r\n", "malformed"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "malformed"),
        (b"INVITE sip:x@y z SIP/2.0\r\n\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\nTo: x\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\nno colon\r\n\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\nVia: a\rInjected: b\r\n\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\n folded from nothing\r\n\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\nContent-Length: 1\r\nl: 2\r\n\r\nab", "malformed"),
        (b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed"),
        (b"SIP/2.0 200 OK\r\nContent-Length: 9\r\n\r\ncut", "malformed"),
        (b"SIP/2.0 200 OK\r\nContent-Length: " + str(BODY_LIMIT + 1).encode() + b"\r\n\r\n", "too-large"),
        (b"SIP/2.0 200 OK\r\n\r\n" + b"x" * (BODY_LIMIT + 1), "too-large"),
        (b"SIP/2.0 200 OK\r\nX: " + b"x" * HEAD_LIMIT + b"\r\n\r\n", "too-large"),
        (b"SIP/2.0 200 OK\r\n" + b"X: 1\r\n" * 97 + b"\r\n", "too-large"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(data: bytes, code: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse(data)
    assert refused.value.code == code


def test_short_names_folded_lines_and_lone_line_feeds_are_read() -> None:
    data = b"sip/2.0 183 Progress\nv: SIP/2.0/UDP a;branch=z9hG4bK1,\n SIP/2.0/UDP b\nf: <sip:a@b>;tag=1\nT: x\ni: 7\nl: 2\n\nok and more"
    message = parse(data)
    assert isinstance(message, Response)
    assert (message.status, message.body) == (183, b"ok")
    assert listed(message.headers, "Via") == ["SIP/2.0/UDP a;branch=z9hG4bK1", "SIP/2.0/UDP b"]
    assert (branch_of(message.headers), tag_of(message.headers, "From"), message.headers.get("call-id")) == ("z9hG4bK1", "1", "7")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\r\n", b"\0\0\0\0"])
def test_a_keep_alive_is_no_message(data: bytes) -> None:
    assert parse(data) is None


def test_names_in_chinese_come_through_and_latin_ones_do_no_harm() -> None:
    assert parse(encode(Response(200, "好", Headers([("Server", "广播喇叭")])))) == received(
        Response(200, "好", Headers([("Server", "广播喇叭")]))
    )
    message = parse(b"SIP/2.0 200 OK\r\nServer: Lautspr\xe4cher\r\n\r\n")
    assert message is not None
    assert message.headers.get("Server") == "Lautspr\ufffdcher"


def test_commas_in_quotes_and_brackets_do_not_part_a_list() -> None:
    fields = Headers([("Contact", '"Horn, \\"north\\"" <sip:h@1.2.3.4;x=a,b>;q=1, <sip:other@h>'), ("Contact", "sip:third@h")])
    assert [uri_of(entry) for entry in listed(fields, "Contact")] == ["sip:h@1.2.3.4;x=a,b", "sip:other@h", "sip:third@h"]
    assert parameters(listed(fields, "Contact")[0]) == {"q": "1"}


@pytest.mark.parametrize("text", ["<sip:a b@h>", "<http://evil/>", "<sip:a@h\r\nX: y>", "", "<sip:>", "<sip:" + "a" * 600 + ">"])
def test_what_is_no_sip_uri_is_not_sent_again(text: str) -> None:
    assert uri_of(text) == ""


def test_a_line_break_in_a_field_is_not_sent() -> None:
    with pytest.raises(ValueError, match="line break"):
        encode(Response(200, "OK", Headers([("Server", "x\r\nInjected: y")])))


def test_an_answer_copies_what_belongs_to_the_request() -> None:
    fields = [("Via", "one"), ("Via", "two"), ("From", "<sip:a@b>;tag=1"), ("To", "<sip:c@d>"), ("Call-ID", "7"), ("CSeq", "3 BYE")]
    made = answer(Request("BYE", "sip:c@d", Headers(fields)), 200, "OK", tag="9")
    assert made.headers.all("Via") == ["one", "two"]
    assert (tag_of(made.headers, "To"), tag_of(made.headers, "From"), sequence_of(made.headers)) == ("9", "1", (3, "BYE"))
