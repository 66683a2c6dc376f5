"""The one way out: whatever a device does, a conversation ends by its deadline, with a reason, and nothing goes anywhere else."""

import asyncio
import gzip
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.drivers.http import REQUEST_LIMIT, Conversation, Http, Request, path_of
from gateway.drivers.http_reader import Answer
from gateway.errors import DeadlineExceeded, DeviceError, GatewayError, InvalidInput, Overloaded, ProtocolError, Unreachable
from tests.drivers.devices import Behaviour, FakeDevice, Wire, always, answer, device

ASK = Request("GET", "/picture")
SHORT_S = 0.3
BOMB = gzip.compress(bytes(100 * 1024 * 1024))


async def ask(fake: FakeDevice, request: Request = ASK, *, timeout_s: float = 5) -> Answer:
    return await Http().ask(fake.address, fake.port, request, timeout_s=timeout_s)


# -- misbehaviour -----------------------------------------------------------------------------------------------------


async def silent(wire: Wire) -> None:
    await wire.reader.read()


async def drip(wire: Wire) -> None:
    """One byte of a good answer now and then."""
    await wire.request()
    for byte in answer(b"x" * 1000):
        await wire.send(bytes([byte]))
        await asyncio.sleep(0.02)  # the device's own pace: each byte comes in time, the whole does not


async def endless_body(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await wire.send(bytes(64 * 1024))


async def endless_header(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await wire.send(b"X-Filler: " + b"y" * 1000 + b"\r\n")


async def endless_interim(wire: Wire) -> None:
    await wire.request()
    while True:
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")


async def hang_up(wire: Wire) -> None:
    await wire.request()


async def hang_up_in_the_middle(wire: Wire) -> None:
    await wire.request()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")


async def reset(wire: Wire) -> None:
    await wire.request()
    wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def says(data: bytes) -> Behaviour:
    return always(data)


HOSTILE: dict[str, tuple[Behaviour, type[GatewayError], str]] = {
    "silent": (silent, DeadlineExceeded, "timeout"),
    "slow": (drip, DeadlineExceeded, "slow"),
    "endless in its body": (endless_body, ProtocolError, "too-large"),
    "endless in its header": (endless_header, ProtocolError, "too-large"),
    "endless in interim answers": (endless_interim, ProtocolError, "malformed"),
    "hanging up": (hang_up, Unreachable, "closed"),
    "hanging up in the middle": (hang_up_in_the_middle, Unreachable, "truncated"),
    "resetting": (reset, Unreachable, "reset"),
    "talking garbage": (says(b"\xff\xfe garbage \x00" * 100), ProtocolError, "not-http"),
    "a gzip bomb": (says(answer(BOMB, "200 OK", "Content-Encoding: gzip")), ProtocolError, "too-large"),
    "promising too much": (says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), ProtocolError, "too-large"),
    "stating two lengths": (says(answer(b"hello", "200 OK", "Content-Length: 7")), ProtocolError, "malformed"),
    "sending a bad chunk": (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n"), ProtocolError, "malformed"),
    "redirecting": (says(answer(b"", "302 Found", "Location: http://127.0.0.99:9099/admin")), ProtocolError, "redirect"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_device_that_is(case: str) -> None:
    behaviour, error, code = HOSTILE[case]
    async with device(behaviour) as fake:
        await _refused(fake, error, code)  # once before measuring: what is loaded and cached counts for no device
        tracemalloc.start()
        begun = time.monotonic()
        await _refused(fake, error, code)
        assert time.monotonic() - begun < SHORT_S + 5
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
        tracemalloc.stop()


async def _refused(fake: FakeDevice, error: type[GatewayError], code: str) -> None:
    with pytest.raises(error) as caught:
        await ask(fake, timeout_s=SHORT_S)
    assert caught.value.code == code


async def test_a_port_where_nobody_listens_is_refused() -> None:
    async with device(silent) as fake:
        pass
    with pytest.raises(Unreachable) as caught:
        await ask(fake)
    assert caught.value.code == "refused"


async def test_a_name_instead_of_an_address_is_never_looked_up() -> None:
    with pytest.raises(InvalidInput):
        await Http().ask("localhost", 80, ASK, timeout_s=1)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/a\x00", "/ü"])
async def test_a_path_that_would_break_the_request_line_is_not_sent(path: str) -> None:
    async with device(always(answer(b""))) as fake:
        with pytest.raises(InvalidInput):
            await ask(fake, Request("GET", path))
        assert fake.heard == []


# -- good manners -----------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_but_what_was_asked() -> None:
    async with device(always(answer(b"ok"))) as fake:
        reply = await ask(fake, Request("POST", "/p?q=1", b"body", (("Content-Type", "text/plain"),)))
        assert (reply.status, reply.body) == (200, b"ok")
        heard = fake.heard[0]
        assert (heard.method, heard.path, heard.body) == ("POST", "/p?q=1", b"body")
        assert heard.fields == {
            "host": f"127.0.0.1:{fake.port}",
            "content-type": "text/plain",
            "content-length": "4",
            "connection": "close",
        }


async def test_no_cookie_and_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.99:9099")
    async with device(always(answer(b"ok", "200 OK", "Set-Cookie: a=b"))) as fake:
        http = Http()
        for _ in range(2):
            await http.ask(fake.address, fake.port, ASK, timeout_s=5)
        assert len(fake.heard) == 2
        assert not any("cookie" in heard.fields for heard in fake.heard)


def both(*, repeatable: bool = True) -> Conversation[list[bytes]]:
    """Two requests that would share a connection."""
    first = yield Request("GET", "/1", last=False)
    second = yield Request("GET", "/2", repeatable=repeatable)
    return [first.body, second.body]


async def test_two_requests_share_a_connection() -> None:
    async with device(always(answer(b"ok"))) as fake:
        assert await Http().converse(fake.address, fake.port, both(), timeout_s=5) == [b"ok", b"ok"]
        assert fake.connections == 1
        assert [heard.fields["connection"] for heard in fake.heard] == ["keep-alive", "close"]


async def one_answer_a_connection(wire: Wire) -> None:
    await wire.request()
    await wire.send(answer(b"ok"))


async def test_a_device_that_closes_after_each_answer_without_saying_so_is_asked_again() -> None:
    async with device(one_answer_a_connection) as fake:
        assert await Http().converse(fake.address, fake.port, both(), timeout_s=5) == [b"ok", b"ok"]
        assert fake.connections == 2


async def close_after_reading_two(wire: Wire) -> None:
    await wire.request()
    await wire.send(answer(b"ok"))
    await wire.request()


async def test_what_must_not_happen_twice_is_not_sent_again() -> None:
    async with device(close_after_reading_two) as fake:
        with pytest.raises(Unreachable):
            await Http().converse(fake.address, fake.port, both(repeatable=False), timeout_s=5)
        assert [heard.path for heard in fake.heard] == ["/1", "/2"]


async def test_a_device_that_says_that_it_closes_gets_a_new_connection() -> None:
    async with device(always(answer(b"ok", "200 OK", "Connection: close"))) as fake:
        assert await Http().converse(fake.address, fake.port, both(), timeout_s=5) == [b"ok", b"ok"]
        assert fake.connections == 2


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    """A device that smuggles a second answer behind the first must not have it read as the answer to the second request."""
    async with device(always(answer(b"ok") + answer(b"forged"))) as fake:
        assert await Http().converse(fake.address, fake.port, both(), timeout_s=5) == [b"ok", b"ok"]


async def test_a_conversation_that_a_device_keeps_going_ends() -> None:
    def forever() -> Conversation[None]:
        while True:
            yield Request("GET", "/", last=False)

    async with device(always(answer(b"ok"))) as fake:
        with pytest.raises(ProtocolError):
            await Http().converse(fake.address, fake.port, forever(), timeout_s=5)
        assert len(fake.heard) == REQUEST_LIMIT


async def test_a_large_request_to_a_slow_reader_arrives_whole() -> None:
    async def slow_reader(wire: Wire) -> None:
        await asyncio.sleep(0.05)  # the device's own pace: the kernel's buffers fill up meanwhile
        heard = await wire.request()
        assert heard is not None
        await wire.send(answer(str(len(heard.body)).encode()))

    async with device(slow_reader) as fake:
        reply = await ask(fake, Request("POST", "/", bytes(8 * 1024 * 1024)))
        assert reply.body == str(8 * 1024 * 1024).encode()


async def test_the_deadline_covers_all_requests_of_a_conversation() -> None:
    async def slow(wire: Wire) -> None:
        while await wire.request():
            await asyncio.sleep(0.2)  # the device's own pace: each answer comes in time, the conversation does not end in time
            await wire.send(answer(b"ok"))

    async with device(slow) as fake:
        with pytest.raises(DeadlineExceeded):
            await Http().converse(fake.address, fake.port, both(), timeout_s=0.3)


async def test_a_cancelled_conversation_closes_its_connection() -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def wait_for_the_end(wire: Wire) -> None:
        await wire.request()
        asked.set()
        await wire.reader.read()
        closed.set()

    async with device(wait_for_the_end) as fake:
        asking = asyncio.create_task(ask(fake))
        await asked.wait()
        asking.cancel()
        await asyncio.wait_for(closed.wait(), 60)


async def test_over_its_bounds_it_says_overloaded_at_once_and_recovers() -> None:
    async with device(silent) as one, device(silent, "127.0.0.2") as other:
        http = Http(connections=3, per_address=2)
        waiting = [asyncio.create_task(http.ask(one.address, one.port, ASK, timeout_s=0.5)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await http.ask(one.address, one.port, ASK, timeout_s=0.5)
        third = asyncio.create_task(http.ask(other.address, other.port, ASK, timeout_s=0.5))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await http.ask(other.address, other.port, ASK, timeout_s=0.5)
        results = await asyncio.gather(*waiting, third, return_exceptions=True)
        assert all(isinstance(result, DeadlineExceeded) for result in results)
        with pytest.raises(DeadlineExceeded):
            await http.ask(one.address, one.port, ASK, timeout_s=0.05)


async def test_a_mistake_of_ours_in_a_conversation_reaches_its_caller() -> None:
    def mistaken() -> Conversation[None]:
        yield ASK
        raise KeyError("ours")

    async with device(always(answer(b"ok"))) as fake:
        with pytest.raises(KeyError):
            await Http().converse(fake.address, fake.port, mistaken(), timeout_s=5)


async def test_ipv6_addresses_are_spoken_to() -> None:
    async with device(always(answer(b"ok")), "::1") as fake:
        assert (await ask(fake)).body == b"ok"
        assert fake.heard[0].fields["host"] == f"[::1]:{fake.port}"


@pytest.fixture
async def trap() -> AsyncIterator[FakeDevice]:
    """Somebody else's address, which must never be spoken to."""
    async with device(always(answer(b"caught")), "127.0.0.99") as somebody:
        yield somebody
        assert somebody.connections == 0


async def test_no_redirect_reaches_another_address(trap: FakeDevice) -> None:
    for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
        where = f"Location: http://{trap.address}:{trap.port}/admin"
        async with device(always(answer(b"", status, where))) as fake:
            with pytest.raises(ProtocolError):
                await ask(fake)


# -- fuzz -------------------------------------------------------------------------------------------------------------


async def test_no_bytes_reach_the_loops_own_error_handler() -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    pieces = [b"", b"\x00", b"HTTP", b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 \xff\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n"]
    for piece in pieces:

        async def behave(wire: Wire, data: bytes = piece) -> None:
            await wire.request()
            await wire.send(data)

        async with device(behave) as fake:
            try:
                await ask(fake, timeout_s=1)
            except DeviceError:
                continue
    assert unhandled == []


PATHS = [
    ("http://192.168.0.19/onvif/services", "/onvif/services"),
    ("http://192.168.0.19:8106:8106/onvif/media?x=1", "/onvif/media?x=1"),
    ("http://[fe80::1]:80/onvif", "/onvif"),
    ("http://fe80::1/onvif", "/onvif"),
    ("http://user:p@ss/word@host/secret", "/word@host/secret"),
    ("192.168.0.19:8106/onvif", "/onvif"),
    ("camera.local:8106/onvif", "/onvif"),
    ("rtsp://10.10.1.65:554/Streaming/Channels/2?profile=Profile_2", "/Streaming/Channels/2?profile=Profile_2"),
    ("http://host", "/"),
    ("http://host?query", "/?query"),
    ("", "/"),
    ("/onvif/Media", "/onvif/Media"),
    ("onvif/Media", "/Media"),
    ("//evil.example/onvif", "/onvif"),
    ("http:///onvif/device_service", "/onvif/device_service"),
    ("http://host//evil.example/x", "/evil.example/x"),
    ("http:\\\\host\\path", "/"),
    ("http://host/a b\r\nHost: evil", "/a%20b%0D%0AHost:%20evil"),
    ("  http://host/path#fragment ", "/path"),
    ("http://host/%7Euser/%C3%BC?a=%20", "/%7Euser/%C3%BC?a=%20"),
    ("http://host/街道", "/%E8%A1%97%E9%81%93"),
    ("gopher://host/x", "/x"),
]


@pytest.mark.parametrize(("url", "path"), PATHS)
def test_a_url_of_a_device_is_reduced_to_its_path_and_query(url: str, path: str) -> None:
    assert path_of(url) == path


LIKELY = st.sampled_from([url for url, _ in PATHS])


@given(st.one_of(st.text(max_size=80), st.builds(str.__add__, LIKELY, st.text(max_size=5))))
@example("http://host/\ud800")
@example("x" * 100_000 + "/")
def test_whatever_a_device_calls_a_url_gives_a_path_that_can_be_sent(url: str) -> None:
    path = path_of(url)
    assert path.startswith("/")
    assert not path.startswith("//")
    assert all("!" <= character <= "~" for character in path)
    assert "#" not in path
