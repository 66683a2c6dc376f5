"""One device's SNMP agent: a request in, an answer or silence out (RFC 3412 and RFC 3414 for v3, RFC 1901 for communities)."""

import hmac
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from simulators.city import Snmp
from simulators.snmp import ber, pdu
from simulators.snmp.ber import Malformed, Reader
from simulators.snmp.managed import Managed
from simulators.snmp.pdu import Pdu, Status
from simulators.snmp.tree import View
from simulators.snmp.usm import User, user_of

MOST_OCTETS: Final = 1472
"""An answer fits into one Ethernet frame, as many devices have it."""
LEAST_OCTETS: Final = 484
"""msgMaxSize is never smaller (RFC 3412 §6)."""
WINDOW_S: Final = 150
"""How far a message's time may be from the engine's (RFC 3414 §3.2, 7a)."""
V3_OVERHEAD: Final = 140
AUTH, PRIV, REPORTABLE = 1, 2, 4
USM: Final = 3

_STATS: Final = {
    "unsupported_level": 1,
    "not_in_window": 2,
    "unknown_user": 3,
    "unknown_engine": 4,
    "wrong_digest": 5,
    "decryption_error": 6,
}
"""usmStats: the last number of each counter, 1.3.6.1.6.3.15.1.1.N."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`authentic`: the asker knew the community or the user's keys. `note`: what is to be counted, when anything."""

    data: bytes | None
    authentic: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Message:
    """A v3 message taken apart. `tag_at`: where its authentication parameters begin in `whole`."""

    whole: bytes
    id: bytes
    room: int
    flags: int
    engine: bytes
    boots: int
    time: int
    user: bytes
    tag: bytes
    tag_at: int
    salt: bytes
    data: bytes
    """The element of msgData, head included."""


class _Reported(Exception):
    """Answered by a report PDU; `level`: the flags that it carries."""

    def __init__(self, what: str, *, level: int = 0) -> None:
        super().__init__(what)
        self.what, self.level = what, level


class Agent:
    """Answers for one device. `view`: its objects; other than its own when it plays a recording."""

    def __init__(self, managed: Managed, settings: Snmp, view: View[Any]) -> None:
        self._managed, self._view = managed, view
        self._community = settings.community.encode() if settings.version != "v3" else b""
        self._versions = {"v1": {0}, "v2c": {0, 1}}.get(settings.version, set())
        self._engine = bytes.fromhex(settings.engine_id)
        self._settings = settings
        self._user: User | None = None
        self._stats: Counter[str] = Counter()
        self._salt = managed.number("salt", 1 << 32) << 32

    def answer(self, data: bytes) -> Answer:
        """What comes back for one datagram; nothing for what cannot be understood or is not allowed."""
        try:
            outer = Reader(data)
            message = outer.inner(ber.SEQUENCE)
            outer.done()
            version = message.integer()
            return self._answer_v3(data, message) if version == 3 else self._answer_community(version, data, message)
        except Malformed:
            return Answer(None, note="malformed")

    # -- communities --------------------------------------------------------------------------------------------------

    def _answer_community(self, version: int, data: bytes, message: Reader) -> Answer:
        community = message.content(ber.OCTETS)
        if version not in self._versions or not hmac.compare_digest(community, self._community):
            return Answer(None, note="bad_community")
        request = _read_pdu(data, message)
        head = b"\x02\x01" + bytes((version,)) + ber.octets(community)
        room = MOST_OCTETS - len(head) - len(request.request_id) - 20
        made = pdu.answer(request, self._view, v1=version == 0, room=room)
        return Answer(None if made is None else ber.tlv(ber.SEQUENCE, head + made), authentic=True)

    # -- version 3 ----------------------------------------------------------------------------------------------------

    def _answer_v3(self, data: bytes, reader: Reader) -> Answer:
        if not self._engine:
            return Answer(None, note="no_v3")
        message = _read_v3(data, reader)
        try:
            return self._answer_known(message)
        except _Reported as report:
            self._stats[report.what] += 1
            reportable = message.flags & REPORTABLE
            return Answer(self._report(message, report) if reportable else None, note=report.what)

    def _answer_known(self, message: _Message) -> Answer:
        """RFC 3414 §3.2, in its order. Raises `_Reported`."""
        if message.engine != self._engine:
            raise _Reported("unknown_engine")
        user = self._known_user()
        if user is None or message.user != user.name:
            raise _Reported("unknown_user")
        level = message.flags & (AUTH | PRIV)
        if level == PRIV or level & ~user.level:
            raise _Reported("unsupported_level")
        if level & AUTH:
            self._authenticate(message, user)
        scoped = self._decrypted(message, user) if level & PRIV else message.data
        context, request = _read_scoped(scoped)
        if level != user.level:
            made: bytes | None = pdu.failed(request, Status.AUTHORIZATION_ERROR, 0)
        else:
            room = (
                max(LEAST_OCTETS, min(MOST_OCTETS, message.room)) - V3_OVERHEAD - len(message.user) - len(self._engine) * 2 - len(context)
            )
            made = pdu.answer(request, self._view, v1=False, room=room)
        assert made is not None
        return Answer(self._wrap(message, user, level, self._scoped(context, made)), authentic=level == user.level)

    def _known_user(self) -> User | None:
        """The user with localised keys, which take a moment to compute: at the first message."""
        if self._user is None:
            self._user = user_of(self._settings)
        return self._user

    def _authenticate(self, message: _Message, user: User) -> None:
        zeroed = message.whole[: message.tag_at] + bytes(len(message.tag)) + message.whole[message.tag_at + len(message.tag) :]
        if not hmac.compare_digest(user.tag(zeroed), message.tag):
            raise _Reported("wrong_digest")
        if message.boots != self._managed.boots or abs(message.time - int(self._managed.uptime_s)) > WINDOW_S:
            raise _Reported("not_in_window", level=AUTH)

    def _decrypted(self, message: _Message, user: User) -> bytes:
        encrypted = Reader(message.data).content(ber.OCTETS)
        if len(message.salt) != 8:
            raise _Reported("decryption_error")
        return user.decrypt(encrypted, boots=message.boots, time=message.time, salt=message.salt)

    def _report(self, message: _Message, report: _Reported) -> bytes:
        name = ber.oid((1, 3, 6, 1, 6, 3, 15, 1, 1, _STATS[report.what], 0))
        counter = ber.unsigned(ber.COUNTER32, self._stats[report.what])
        made = pdu.response(_request_id(message), pdu.binding(name, counter), tag=pdu.REPORT)
        user = self._user if report.level & AUTH else None
        return self._wrap(message, user, report.level, self._scoped(b"", made))

    def _scoped(self, context: bytes, made: bytes) -> bytes:
        return ber.tlv(ber.SEQUENCE, ber.octets(self._engine) + ber.octets(context) + made)

    def _wrap(self, message: _Message, user: User | None, level: int, scoped: bytes) -> bytes:
        """The outgoing message, encrypted and signed as `level` says."""
        boots, time = self._managed.boots, int(self._managed.uptime_s)
        salt = b""
        if user and level & PRIV:
            self._salt = self._salt + 1 & 0xFFFF_FFFF_FFFF_FFFF
            salt = self._salt.to_bytes(8, "big")
            scoped = ber.octets(user.encrypt(scoped, boots=boots, time=time, salt=salt))
        head = ber.tlv(ber.SEQUENCE, message.id + ber.integer(65_507) + ber.octets(bytes((level,))) + ber.integer(USM))
        before = ber.octets(self._engine) + ber.integer(boots) + ber.integer(time) + ber.octets(message.user)

        def whole(tag: bytes) -> bytes:
            parameters = ber.octets(ber.tlv(ber.SEQUENCE, before + ber.octets(tag) + ber.octets(salt)))
            return ber.tlv(ber.SEQUENCE, b"\x02\x01\x03" + head + parameters + scoped)

        if user and user.auth and level & AUTH:
            return whole(user.tag(whole(bytes(user.auth.tag_bytes))))
        return whole(b"")


# -- reading, every one of these raises `Malformed` --------------------------------------------------------------------


def _read_pdu(data: bytes, reader: Reader) -> Pdu:
    start = reader.at
    reader.element()
    reader.done()
    return pdu.read(data, start, reader.at)


def _read_v3(data: bytes, reader: Reader) -> _Message:
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
    engine, boots, time, user = parameters.content(ber.OCTETS), parameters.integer(0), parameters.integer(0), parameters.content(ber.OCTETS)
    _, tag_at, tag_end = parameters.element()
    salt = parameters.content(ber.OCTETS)
    body = reader.at
    reader.element()
    reader.done()
    return _Message(data, message_id, room, flags[0], engine, boots, time, user, data[tag_at:tag_end], tag_at, salt, data[body : reader.at])


def _read_scoped(scoped: bytes) -> tuple[bytes, Pdu]:
    """The context's name and the request."""
    reader = Reader(scoped).inner(ber.SEQUENCE)
    reader.content(ber.OCTETS)
    context = reader.content(ber.OCTETS)
    return context, _read_pdu(scoped, reader)


def _request_id(message: _Message) -> bytes:
    """The request's id when it can be read, else zero (RFC 3412 §7.1, 3c)."""
    if not message.flags & PRIV:
        try:
            return _read_scoped(message.data)[1].request_id
        except Malformed:
            pass
    return b"\x02\x01\x00"
