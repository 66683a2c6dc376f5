"""The keyless question to a v3 agent (RFC 3414, 4): who are you? It tells silence from a wrong key.

A message without engine id, user and authentication is answered by every conforming agent with a Report, whatever its users are.
"""

import asyncio
import secrets
from dataclasses import dataclass

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pysnmp.proto import api
from pysnmp.proto.mpmod.rfc3412 import SNMPv3Message
from pysnmp.proto.secmod.rfc3414.service import UsmSecurityParameters

from gateway.drivers.base import Target

_REPORTABLE = b"\x04"  # RFC 3412, 6.4: reportable, neither authenticated nor encrypted
_USM = 3
_MAX_SIZE = 65_507
_ENGINE_ID_LIMIT = 32  # RFC 3411, 5: SnmpEngineID
_v2 = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an agent says of itself to a stranger: its engine id, how often it has restarted, and since when it runs."""

    engine_id: bytes
    boots: int
    time_s: int


async def discover(target: Target, *, try_s: float) -> Introduction | None:
    """Ask who is there, twice at most; None when nobody answers within `try_s` each. Never raises for what the agent sends."""
    return await _ask(target, try_s) or await _ask(target, try_s)


async def _ask(target: Target, try_s: float) -> Introduction | None:
    loop = asyncio.get_running_loop()
    message_id = secrets.randbelow(2**31)
    answer: asyncio.Future[Introduction] = loop.create_future()
    try:
        address = (target.address, target.ports.snmp)
        transport, _ = await loop.create_datagram_endpoint(lambda: _Listener(message_id, answer), remote_addr=address)
    except OSError:
        return None
    try:
        transport.sendto(_question(message_id))
        return await asyncio.wait_for(answer, try_s)
    except (TimeoutError, OSError):
        return None
    finally:
        transport.close()


class _Listener(asyncio.DatagramProtocol):
    """Waits on a connected socket, which only its one peer can reach, for the answer to one message; all else is dropped."""

    def __init__(self, message_id: int, answer: asyncio.Future[Introduction]) -> None:
        self._message_id = message_id
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 -- the socket is connected
        found = _understand(data, self._message_id)
        if found is not None and not self._answer.done():
            self._answer.set_result(found)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _question(message_id: int) -> bytes:
    pdu = _v2.GetRequestPDU()
    _v2.apiPDU.set_defaults(pdu)
    message = SNMPv3Message()
    message.setComponentByPosition(0, 3)
    header = message.setComponentByPosition(1).getComponentByPosition(1)
    for place, value in enumerate((message_id, _MAX_SIZE, _REPORTABLE, _USM)):
        header.setComponentByPosition(place, value)
    message.setComponentByPosition(2, encoder.encode(_stranger()))
    scoped = message.setComponentByPosition(3).getComponentByPosition(3).setComponentByPosition(0).getComponentByPosition(0)
    scoped.setComponentByPosition(0, b"")
    scoped.setComponentByPosition(1, b"")
    scoped.setComponentByPosition(2).getComponentByPosition(2).setComponentByType(
        pdu.tagSet, pdu, verifyConstraints=False, matchTags=False, matchConstraints=False, innerFlag=True
    )
    return bytes(encoder.encode(message))


def _stranger() -> UsmSecurityParameters:
    """Security parameters of nobody: empty engine id, boots, time, user and keys."""
    security = UsmSecurityParameters()
    for place, value in enumerate((b"", 0, 0, b"", b"", b"")):
        security.setComponentByPosition(place, value)
    return security


def _understand(data: bytes, message_id: int) -> Introduction | None:
    try:
        message, _ = decoder.decode(data, asn1Spec=SNMPv3Message())
        security, _ = decoder.decode(bytes(message[2]), asn1Spec=UsmSecurityParameters())
        found = Introduction(bytes(security[0])[:_ENGINE_ID_LIMIT], int(security[1]), int(security[2]))
    except (PyAsn1Error, RecursionError, ValueError, TypeError):
        return None
    return found if int(message[1][0]) == message_id and found.engine_id else None
