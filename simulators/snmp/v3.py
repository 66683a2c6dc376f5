"""Messages of SNMPv3 with the User-based Security Model, taken apart and put together (RFC 3412 §6, RFC 3414 §2.4)."""

from dataclasses import dataclass
from typing import Final

from simulators.snmp import ber
from simulators.snmp.ber import Malformed, Reader
from simulators.snmp.usm import User

AUTH, PRIV, REPORTABLE = 1, 2, 4
USM: Final = 3
LEAST_OCTETS: Final = 484
"""msgMaxSize is never smaller (RFC 3412 §6)."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine as a message names it: snmpEngineID, snmpEngineBoots, snmpEngineTime."""

    id: bytes = b""
    boots: int = 0
    time: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart. `tag_at`: where its authentication parameters begin in `whole`. `id`: encoded."""

    whole: bytes
    id: bytes
    room: int
    flags: int
    engine: Engine
    user: bytes
    tag: bytes
    tag_at: int
    salt: bytes
    data: bytes
    """The element of msgData, head included."""


def read(data: bytes, reader: Reader) -> Message:
    """The message of which `reader` has read the version. Raises `Malformed`."""
    head = reader.inner(ber.SEQUENCE)
    id_start = head.at
    head.integer(0)
    message_id = data[id_start : head.at]
    room, flags, model = head.integer(LEAST_OCTETS), head.content(ber.OCTETS), head.integer(1)
    head.done()
    if len(flags) != 1 or model != USM:
        raise Malformed("not the user-based security model")
    _, start, stop = reader.element()
    parameters = Reader(data, start, stop).inner(ber.SEQUENCE)
    engine = Engine(parameters.content(ber.OCTETS), parameters.integer(0), parameters.integer(0))
    user = parameters.content(ber.OCTETS)
    _, tag_at, tag_end = parameters.element()
    salt = parameters.content(ber.OCTETS)
    body = reader.at
    reader.element()
    reader.done()
    return Message(data, message_id, room, flags[0], engine, user, data[tag_at:tag_end], tag_at, salt, data[body : reader.at])


def signature(message: Message, user: User) -> bytes:
    """What its authentication parameters must be."""
    return user.tag(message.whole[: message.tag_at] + bytes(len(message.tag)) + message.whole[message.tag_at + len(message.tag) :])


def scoped_of(message: Message, user: User | None) -> bytes:
    """The scoped PDU, decrypted when it came encrypted. Raises `Malformed`."""
    if not message.flags & PRIV:
        return message.data
    encrypted = Reader(message.data).content(ber.OCTETS)
    if user is None or not user.priv_key or len(message.salt) != 8:
        raise Malformed("cannot be decrypted")
    return user.decrypt(encrypted, boots=message.engine.boots, time=message.engine.time, salt=message.salt)


def scoped(engine: bytes, context: bytes, pdu: bytes) -> bytes:
    return ber.tlv(ber.SEQUENCE, ber.octets(engine) + ber.octets(context) + pdu)


def wrap(message_id: bytes, engine: Engine, name: bytes, body: bytes, *, user: User | None, flags: int, salt: bytes) -> bytes:
    """The message around a scoped PDU, encrypted with the 8 octets of `salt` and signed as `flags` say. `message_id`: encoded."""
    encrypts = user is not None and flags & PRIV
    if user and encrypts:
        body = ber.octets(user.encrypt(body, boots=engine.boots, time=engine.time, salt=salt))
    head = ber.tlv(ber.SEQUENCE, message_id + ber.integer(65_507) + ber.octets(bytes((flags,))) + ber.integer(USM))
    before = ber.octets(engine.id) + ber.integer(engine.boots) + ber.integer(engine.time) + ber.octets(name)

    def whole(tag: bytes) -> bytes:
        parameters = ber.octets(ber.tlv(ber.SEQUENCE, before + ber.octets(tag) + ber.octets(salt if encrypts else b"")))
        return ber.tlv(ber.SEQUENCE, b"\x02\x01\x03" + head + parameters + body)

    if user and user.auth and flags & AUTH:
        return whole(user.tag(whole(bytes(user.auth.tag_bytes))))
    return whole(b"")
