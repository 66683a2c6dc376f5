"""How a faulty device answers over RTSP; what ails the words alone is done here too."""

import asyncio
from typing import TYPE_CHECKING, Final

from simulators.faults import Answer
from simulators.rtsp.message import Response
from simulators.rtsp.methods import Exchange

if TYPE_CHECKING:
    from simulators.rtsp.server import Connection

DRIP_S: Final = 0.5
HALF_OPEN_BYTES: Final = 12
"""As much as `RTSP/1.0 200`."""
FOREIGN: Final = "203.0.113.77"
"""An address of TEST-NET-3 (RFC 5737): nobody's."""


def misbehave(connection: "Connection", fault: Answer, exchange: Exchange, response: Response) -> bool:
    """Answer as the fault says; False when the device answers as it should."""
    cseq = exchange.request.header("cseq")
    match fault:
        case Answer.SILENT:
            pass
        case Answer.REFUSE:
            connection.cut()
        case Answer.RESET:
            connection.reset()
        case Answer.TRUNCATED:
            encoded = response.encoded(cseq)
            connection.write(encoded[: len(encoded) // 2])
            connection.transport.close()
        case Answer.HALF_OPEN:
            connection.write(response.encoded(cseq)[:HALF_OPEN_BYTES])
        case Answer.DRIP:
            _drip(connection, response.encoded(cseq))
        case Answer.GARBAGE:
            connection.write(bytes(range(255, -1, -1)) * 4)
            connection.transport.close()
        case Answer.ENDLESS:
            connection.write(b"RTSP/1.0 200 OK\r\nX-Endless: " + b"a" * (1 << 20))
        case _:
            return _says_something_else(connection, fault, exchange, response)
    return True


def _says_something_else(connection: "Connection", fault: Answer, exchange: Exchange, response: Response) -> bool:
    cseq = exchange.request.header("cseq")
    match fault:
        case Answer.BUSY:
            connection.write(Response(401).encoded(cseq))
        case Answer.REDIRECT:
            connection.write(Response(302, (("Location", f"rtsp://{FOREIGN}/live/main"),)).encoded(cseq))
        case Answer.WRONG_OPERATION:
            connection.write(response.encoded(str(int(cseq or 0) + 7)))
        case Answer.FOREIGN_XADDR:
            connection.write(_elsewhere(response, connection.device.address).encoded(cseq))
            if exchange.after:
                exchange.after()
        case _:
            return False
    return True


def _elsewhere(response: Response, own: str) -> Response:
    """The same answer, with every URL pointing to somebody else."""
    headers = tuple((name, value.replace(own, FOREIGN)) for name, value in response.headers)
    return Response(response.status, headers, response.body.replace(own.encode(), FOREIGN.encode()))


def _drip(connection: "Connection", rest: bytes) -> None:
    if rest and not connection.transport.is_closing():
        connection.write(rest[:1])
        asyncio.get_running_loop().call_later(DRIP_S, _drip, connection, rest[1:])
