"""The reader of HTTP answers takes what the standard allows, however it is cut, and refuses the rest by name."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.drivers.http_reader import CHUNK_LIMIT, FIELD_LIMIT, HEAD_LIMIT, Answer, AnswerReader
from gateway.errors import ProtocolError

LIMIT = 4096


def read(data: bytes, *, limit: int = LIMIT, step: int = 0) -> Answer | None:
    """Feed `data` in pieces of `step` bytes (0: at once), then close."""
    reader = AnswerReader(limit)
    for start in range(0, len(data), step or len(data) or 1):
        answer = reader.feed(data[start : start + (step or len(data))])
        if answer is not None:
            return answer
    return reader.end()


def ok(*fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *fields, "", "")).encode() + body


GOOD = {
    "with a length": (ok("Content-Length: 5", body=b"hello"), b"hello", True),
    "with the same length twice": (ok("Content-Length: 5", "Content-Length: 5", body=b"hello"), b"hello", True),
    "empty": (ok("Content-Length: 0"), b"", True),
    "in chunks": (ok("Transfer-Encoding: chunked", body=b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"), b"hello", True),
    "until the end of the connection": (ok(body=b"hello"), b"hello", False),
    "by HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "by HTTP/1.0 that keeps alive": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "that closes": (ok("Connection: close", "Content-Length: 5", body=b"hello"), b"hello", False),
    "with bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello", True),
    "without a reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + ok("Content-Length: 5", body=b"hello"), b"hello", True),
    "without content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", b"", True),
    "packed with gzip": (ok("Content-Encoding: gzip", body=gzip.compress(b"hello")), b"hello", False),
    "packed with deflate": (ok("Content-Encoding: deflate", body=zlib.compress(b"hello")), b"hello", False),
    "with one byte too many": (ok("Content-Length: 5", body=b"hello!"), b"hello", False),
}

BAD = {
    "garbage": (b"\x00\x01\x02 what is this", "not-http"),
    "an RTSP server": (b"RTSP/1.0 200 OK\r\n\r\n", "not-http"),
    "another version": (b"HTTP/2.0 200 OK\r\n\r\n", "not-http"),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", "not-http"),
    "two lengths": (ok("Content-Length: 5", "Content-Length: 6", body=b"hello!"), "malformed"),
    "a negative length": (ok("Content-Length: -5"), "malformed"),
    "a length in words": (ok("Content-Length: five"), "malformed"),
    "a length and chunks": (ok("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "malformed"),
    "an unknown transfer coding": (ok("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), "malformed"),
    "a bad chunk size": (ok("Transfer-Encoding: chunked", body=b"zz\r\nhello\r\n"), "malformed"),
    "a chunk that runs over": (ok("Transfer-Encoding: chunked", body=b"2\r\nhello\r\n"), "malformed"),
    "a chunk size without end": (ok("Transfer-Encoding: chunked", body=b"1" * 2000), "too-large"),
    "trailers without end": (ok("Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 10_000), "too-large"),
    "a folded field": (ok("Server: one", " two"), "malformed"),
    "a field without a colon": (ok("Server"), "malformed"),
    "a space before the colon": (ok("Content-Length : 5"), "malformed"),
    "a NUL in a field": (ok("Server: \x00"), "malformed"),
    "too many fields": (ok(*(f"X-{n}: y" for n in range(FIELD_LIMIT + 1))), "too-large"),
    "a header without end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_LIMIT * 2, "too-large"),
    "a length over the limit": (ok(f"Content-Length: {LIMIT + 1}"), "too-large"),
    "chunks over the limit": (ok("Transfer-Encoding: chunked", body=b"800\r\n%b\r\n801\r\n" % bytes(2048)), "too-large"),
    "a body without end": (ok(body=b"x" * (LIMIT + 1)), "too-large"),
    "a gzip bomb": (ok("Content-Encoding: gzip", body=gzip.compress(b"x" * LIMIT * 500)), "too-large"),
    "a broken gzip": (ok("Content-Encoding: gzip", body=b"no gzip at all"), "malformed"),
    "a gzip cut short": (ok("Content-Encoding: gzip", body=gzip.compress(b"hello")[:-3]), "malformed"),
    "an unknown content coding": (ok("Content-Encoding: br", body=b"x"), "malformed"),
    "interim answers without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10, "malformed"),
    "a change of protocol": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "malformed"),
}


@pytest.mark.parametrize("step", [0, 1, 3], ids=["at once", "byte by byte", "in threes"])
@pytest.mark.parametrize("case", GOOD)
def test_an_answer_is_read_however_it_is_cut(case: str, step: int) -> None:
    data, body, reusable = GOOD[case]
    answer = read(data, step=step)
    assert answer is not None
    assert (answer.status, answer.body) == (200 if b" 204 " not in data else 204, body)
    assert answer.reusable is (reusable or (case == "with one byte too many" and step > 0 and step != 3))


@pytest.mark.parametrize("step", [0, 1], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("case", BAD)
def test_a_wrong_answer_is_refused_by_name(case: str, step: int) -> None:
    data, code = BAD[case]
    with pytest.raises(ProtocolError) as caught:
        read(data, step=step)
    assert caught.value.code == code


def test_an_answer_that_breaks_off_is_none() -> None:
    assert read(ok("Content-Length: 5", body=b"hel")) is None
    assert read(ok("Transfer-Encoding: chunked", body=b"5\r\nhel")) is None
    assert read(b"HTTP/1.1 200") is None


def test_more_chunks_than_any_device_sends_are_refused() -> None:
    data = ok("Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * (CHUNK_LIMIT + 1))
    with pytest.raises(ProtocolError):
        read(data, limit=10 * CHUNK_LIMIT)


def test_repeated_fields_keep_their_values_apart() -> None:
    answer = read(ok("WWW-Authenticate: Basic realm=a", "WWW-Authenticate: Digest realm=b", "Content-Length: 0"))
    assert answer is not None
    assert answer.fields["www-authenticate"] == "Basic realm=a\nDigest realm=b"


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    packed = gzip.compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        read(ok("Content-Encoding: gzip", body=packed), limit=256 * 1024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024


FRAGMENTS = [b"\r\n", b"\n", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"]
PIECES = st.lists(
    st.one_of(
        st.sampled_from([data for data, *_ in GOOD.values()] + [data for data, _ in BAD.values()]),
        st.sampled_from(FRAGMENTS),
        st.binary(max_size=64),
    ),
    max_size=6,
)


@given(PIECES, st.integers(1, 50))
@example([b"HTTP/1.1 200 OK\r\n", b"\r\n"], 1)
def test_whatever_comes_ends_in_an_answer_a_refusal_or_a_break(pieces: list[bytes], step: int) -> None:
    data = b"".join(pieces)
    try:
        answer = read(data, step=step)
    except ProtocolError as refusal:
        assert refusal.code in {"malformed", "too-large", "not-http"}
    else:
        assert answer is None or len(answer.body) <= LIMIT


@given(PIECES)
def test_how_an_answer_is_cut_does_not_change_what_it_says(pieces: list[bytes]) -> None:
    data = b"".join(pieces)

    def outcome(step: int) -> object:
        try:
            answer = read(data, step=step)
        except ProtocolError as refusal:
            return refusal.code
        return answer and (answer.status, answer.fields, answer.body)

    assert outcome(0) == outcome(1)
