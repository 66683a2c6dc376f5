"""How a faulty device answers over HTTP: one small function per fault."""

import asyncio
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from simulators.faults import Answer
from simulators.http import Behaviour, Response, Wire

DRIP_S: Final = 0.5
"""Between two bytes, when the fault does not say."""
HALF_OPEN_BYTES: Final = 12
"""As much as `HTTP/1.1 200`."""
FOREIGN: Final = b"203.0.113.77"
"""An address of TEST-NET-3 (RFC 5737): nobody's."""
ENDLESS_BYTES: Final = 1 << 30
"""Even an endless answer ends, should its reader never hang up."""


def of(answer: Answer, delay_s: float, *, address: str) -> Behaviour | None:
    """How the device at `address` sends its next answer; None when nothing ails its HTTP."""
    if answer is Answer.NORMAL and not delay_s:
        return None

    async def behave(wire: Wire, response: Response) -> None:
        if answer is Answer.DRIP:
            await _drip(wire, response, delay_s or DRIP_S)
            return
        await asyncio.sleep(delay_s)
        await _BEHAVIOURS.get(answer, _whole)(wire, _altered(answer, response, address.encode()))

    return behave


def _altered(answer: Answer, response: Response, address: bytes) -> Response:
    """The answer that a healthy wire would carry; the faults of the second kind are in its words alone."""
    match answer:
        case Answer.NOT_XML:
            return Response(200, b"<html><body><form>Please log in<br></form></body></html>", b"text/html")
        case Answer.WRONG_OPERATION:
            return Response(200, _OTHER_OPERATION)
        case Answer.REDIRECT:
            return Response(302, headers=(b"Location: http://%s/onvif/device_service" % FOREIGN,))
        case Answer.DTD:
            return Response(200, _DTD)
        case Answer.BUSY:
            return Response(401, content_type=b"text/plain")
        case Answer.FOREIGN_XADDR:
            return Response(response.status, response.body.replace(address, FOREIGN), response.content_type, response.headers)
        case _:
            return response


async def _whole(wire: Wire, response: Response) -> None:
    wire.write(response.encoded(close=False))


async def silent(_wire: Wire, _response: Response) -> None:
    await asyncio.get_running_loop().create_future()


async def _half_open(wire: Wire, response: Response) -> None:
    wire.write(response.encoded(close=False)[:HALF_OPEN_BYTES])
    await asyncio.get_running_loop().create_future()


async def _reset(wire: Wire, _response: Response) -> None:
    wire.reset()


async def _truncated(wire: Wire, response: Response) -> None:
    encoded = response.encoded(close=False)
    wire.write(encoded[: len(encoded) - len(response.body) // 2 - 1])
    wire.close()


async def _drip(wire: Wire, response: Response, pause_s: float) -> None:
    for byte in response.encoded(close=False):
        wire.write(bytes((byte,)))
        await asyncio.sleep(pause_s)


async def _garbage(wire: Wire, _response: Response) -> None:
    wire.write(bytes(range(255, -1, -1)) * 4)
    wire.close()


async def _endless(wire: Wire, _response: Response) -> None:
    wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n<?xml version='1.0'?>")
    block = b"<endless/>" * 1600
    for _ in range(ENDLESS_BYTES // len(block)):
        wire.write(block)
        await wire.drain()
    wire.close()


async def _gzip_bomb(wire: Wire, _response: Response) -> None:
    bomb = _bomb()
    wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb))
    wire.write(bomb)


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """256 KiB of gzip for 256 MiB of blanks: a full flush makes each part independent of what came before, so one part is enough."""
    packer = zlib.compressobj(9, wbits=31)
    blanks = b" " * (1 << 20)
    first = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + (packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)) * 255


_BEHAVIOURS: Final[Mapping[Answer, Behaviour]] = {
    Answer.SILENT: silent,
    Answer.HALF_OPEN: _half_open,
    Answer.RESET: _reset,
    Answer.TRUNCATED: _truncated,
    Answer.GARBAGE: _garbage,
    Answer.ENDLESS: _endless,
    Answer.GZIP_BOMB: _gzip_bomb,
}
_OTHER_OPERATION: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    b'<tds:GetWsdlUrlResponse xmlns:tds="http://www.onvif.org/ver10/device/wsdl"><tds:WsdlUrl>http://www.onvif.org/</tds:WsdlUrl>'
    b"</tds:GetWsdlUrlResponse></s:Body></s:Envelope>"
)
_DTD: Final = (
    b'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY a "aaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]><e>&d;</e>'
)
