"""One device's SNMP agent: a request in, an answer or silence out (RFC 3412 and RFC 3414 for v3, RFC 1901 for communities)."""

import hmac
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

from simulators.city import Snmp
from simulators.snmp import ber, pdu, v3
from simulators.snmp.ber import Malformed, Reader
from simulators.snmp.managed import Managed
from simulators.snmp.pdu import Pdu, Status
from simulators.snmp.tree import View
from simulators.snmp.usm import User, user_of
from simulators.snmp.v3 import AUTH, LEAST_OCTETS, PRIV, REPORTABLE, Engine, Message

MOST_OCTETS: Final = 1472
"""An answer fits into one Ethernet frame, as many devices have it."""
WINDOW_S: Final = 150
"""How far a message's time may be from the engine's (RFC 3414 §3.2, 7a)."""
V3_OVERHEAD: Final = 140

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
        self._write_community = settings.write_community.encode()
        self._settings = settings
        self._user: User | None = None
        self._user_engine = b""
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
        writes = bool(self._write_community) and hmac.compare_digest(community, self._write_community)
        if version not in self._versions or not (writes or hmac.compare_digest(community, self._community)):
            return Answer(None, note="bad_community")
        request = _read_pdu(data, message)
        if writes and request.tag == pdu.SET:
            request = replace(request, writes=True)
        if self._drops(request):
            return Answer(None, authentic=True, note="bulk_dropped")
        head = b"\x02\x01" + bytes((version,)) + ber.octets(community)
        room = MOST_OCTETS - len(head) - len(request.request_id) - 20
        made = pdu.answer(request, self._view, v1=version == 0, room=room)
        return Answer(None if made is None else ber.tlv(ber.SEQUENCE, head + made), authentic=True)

    def _drops(self, request: Pdu) -> bool:
        return request.tag == pdu.GETBULK and self._managed.quirk("drops-bulk") is not None

    # -- version 3 ----------------------------------------------------------------------------------------------------

    def _answer_v3(self, data: bytes, reader: Reader) -> Answer:
        if not self._managed.engine_id:
            return Answer(None, note="no_v3")
        message = v3.read(data, reader)
        try:
            return self._answer_known(message)
        except _Reported as report:
            self._stats[report.what] += 1
            reportable = message.flags & REPORTABLE
            return Answer(self._report(message, report) if reportable else None, note=report.what)

    def _answer_known(self, message: Message) -> Answer:
        """RFC 3414 §3.2, in its order. Raises `_Reported`."""
        engine = self._managed.engine_id
        if message.engine.id != engine:
            raise _Reported("unknown_engine")
        user = self._known_user(engine)
        if user is None or message.user != user.name:
            raise _Reported("unknown_user")
        level = message.flags & (AUTH | PRIV)
        if level == PRIV or level & ~user.level:
            raise _Reported("unsupported_level")
        if level & AUTH:
            self._authenticate(message, user)
        context, request = _read_scoped(self._decrypted(message, user) if level & PRIV else message.data)
        if request.tag == pdu.SET:
            request = replace(request, writes=self._managed.device.kind == "switch")
        if self._drops(request):
            return Answer(None, authentic=True, note="bulk_dropped")
        if level != user.level:
            made: bytes | None = pdu.failed(request, Status.AUTHORIZATION_ERROR, 0)
        else:
            room = max(LEAST_OCTETS, min(MOST_OCTETS, message.room)) - V3_OVERHEAD - len(message.user) - len(engine) * 2 - len(context)
            made = pdu.answer(request, self._view, v1=False, room=room)
        assert made is not None
        return Answer(self._wrap(message, user, level, v3.scoped(engine, context, made)), authentic=level == user.level)

    def _known_user(self, engine: bytes) -> User | None:
        """The user with keys localised to the engine, which take a moment to compute: at the first message."""
        if self._user_engine != engine:
            self._user, self._user_engine = user_of(self._settings, engine), engine
        return self._user

    def _authenticate(self, message: Message, user: User) -> None:
        if not hmac.compare_digest(v3.signature(message, user), message.tag):
            raise _Reported("wrong_digest")
        if message.engine.boots != self._managed.boots or abs(message.engine.time - int(self._managed.agent_s)) > WINDOW_S:
            raise _Reported("not_in_window", level=AUTH)

    def _decrypted(self, message: Message, user: User) -> bytes:
        if len(message.salt) != 8:
            raise _Reported("decryption_error")
        return v3.scoped_of(message, user)

    def _report(self, message: Message, report: _Reported) -> bytes:
        name = ber.oid((1, 3, 6, 1, 6, 3, 15, 1, 1, _STATS[report.what], 0))
        counter = ber.unsigned(ber.COUNTER32, self._stats[report.what])
        made = pdu.response(_request_id(message), pdu.binding(name, counter), tag=pdu.REPORT)
        user = self._user if report.level & AUTH else None
        return self._wrap(message, user, report.level, v3.scoped(self._managed.engine_id, b"", made))

    def _wrap(self, message: Message, user: User | None, flags: int, scoped: bytes) -> bytes:
        engine = Engine(self._managed.engine_id, self._managed.boots, int(self._managed.agent_s))
        self._salt = self._salt + 1 & 0xFFFF_FFFF_FFFF_FFFF
        return v3.wrap(message.id, engine, message.user, scoped, user=user, flags=flags, salt=self._salt.to_bytes(8, "big"))


# -- reading, every one of these raises `Malformed` --------------------------------------------------------------------


def _read_pdu(data: bytes, reader: Reader) -> Pdu:
    start = reader.at
    reader.element()
    reader.done()
    return pdu.read(data, start, reader.at)


def _read_scoped(scoped: bytes) -> tuple[bytes, Pdu]:
    """The context's name and the request."""
    reader = Reader(scoped).inner(ber.SEQUENCE)
    reader.content(ber.OCTETS)
    context = reader.content(ber.OCTETS)
    return context, _read_pdu(scoped, reader)


def _request_id(message: Message) -> bytes:
    """The request's id when it can be read, else zero (RFC 3412 §7.1, 3c)."""
    if not message.flags & PRIV:
        try:
            return _read_scoped(message.data)[1].request_id
        except Malformed:
            pass
    return b"\x02\x01\x00"
