"""What is no request at all: a problem that echoes nothing, and one line of log however often it comes."""

import asyncio
import io
import json
import logging
from urllib.parse import urlsplit

import pytest
import structlog

from gateway import log
from gateway.api.serving import NOTED_EVERY_S
from tests.api.house import House

SECRET = b"gwk_aaaa_SECRETSECRET"
LONG = b"GET /v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SECRET + b"x" * 9000 + b"\r\n\r\n"
UNREADABLE = {
    "control character in a header": b"GET /v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SECRET + b"\x01\r\n\r\n",
    "header too long": LONG,
    "control character in the target": b"GET /v1/devices?key=" + SECRET + b"\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no known method": b"FOO /v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SECRET + b"\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00" + SECRET + b"\r\n\r\n",
    "no such version": b"GET / HTTP/9.9\r\nHost: " + SECRET + b"\r\n\r\n",
}


@pytest.fixture
def told():
    """What the log says during a test."""
    out = io.StringIO()
    root = logging.getLogger()
    before = (root.handlers, root.level)
    log.configure(stream=out)
    structlog.configure(cache_logger_on_first_use=False)  # or the gateway's loggers would keep writing here after this test
    yield out
    root.handlers, root.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


async def send(house: House, raw: bytes) -> tuple[bytes, bytes]:
    """The head and the body that come back for `raw`."""
    address = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    body = await reader.readexactly(length)
    writer.close()
    return head, body


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_a_problem_that_echoes_nothing(
    house: House, raw: bytes, told: io.StringIO, capfd: pytest.CaptureFixture[str]
):
    head, body = await send(house, raw)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head and b"aiohttp" not in head
    assert json.loads(body)["type"] == "urn:city-gateway:problem:malformed-request"
    everything = head + body + told.getvalue().encode() + capfd.readouterr().err.encode()
    assert b"SECRET" not in everything and b"Traceback" not in everything
    assert [json.loads(line)["event"] for line in told.getvalue().splitlines()] == ["api.malformed_request"]


async def test_many_unreadable_requests_are_one_line_and_a_number(house: House, told: io.StringIO):
    for _ in range(50):
        await send(house, LONG)
    await house.advance(NOTED_EVERY_S)
    await send(house, LONG)
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert [line["left_out"] for line in lines] == [0, 49]


@pytest.mark.parametrize("path", ["/v1/devices", "/v1/nothing", "/docs"])
async def test_an_expectation_that_nobody_meets_is_a_problem(house: House, path: str):
    head, body = await send(house, f"GET {path} HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n".encode())
    assert head.startswith(b"HTTP/1.1 417 ") and b"application/problem+json" in head and b"aiohttp" not in head
    assert json.loads(body)["type"] == "urn:city-gateway:problem:expectation-failed"
    assert b"foo" not in body


async def test_a_body_that_is_chunked_wrongly_is_the_callers_mistake(house: House, told: io.StringIO):
    key = next(iter(house.keys.values())).encode()
    head, body = await send(
        house,
        b"POST /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key
        + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nx",
    )  # fmt: skip
    assert head.startswith(b"HTTP/1.1 400 "), body
    assert "Traceback" not in told.getvalue()


async def test_the_server_does_not_say_what_it_is_made_of(house: House):
    for path in ("/v1/devices", "/v1/nothing", "/docs", "/openapi.json"):
        async with house.call("GET", path) as answer:
            assert answer.headers["Server"] == "city-gateway"
