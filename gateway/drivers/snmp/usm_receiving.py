"""What USM makes of a v3 message that comes unasked (RFC 3414, 3.2): who signed it, whether it is new, and what it tells.

Of a trap its sender is the authoritative engine, of an inform we are: a sender of informs first asks who we are and what our clock
shows, which reports tell it. A message that is reportable is meant for our engine; a trap never is (RFC 3412, 6.4).
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from typing import Final

from gateway.drivers.snmp import ber
from gateway.drivers.snmp.ber import Malformed
from gateway.drivers.snmp.notifications import RESPONSE, V3, Notification, read_pdu
from gateway.drivers.snmp.usm_keys import DecryptionFailed, User

_USM: Final = 3
_REPORT: Final = 0xA8
_WINDOW_S: Final = 150  # RFC 3414, 2.2.3
_LAST_BOOT: Final = 2**31 - 1
_MAX_SIZE: Final = 65_507
_ENGINES: Final = 20_000
_STATISTICS: Final = "1.3.6.1.6.3.15.1.1"  # usmStats
_ENGINE_ID_LIMIT: Final = 32


class Level(IntFlag):
    """msgFlags (RFC 3412, 6.4)."""

    NONE = 0
    AUTH = 1
    PRIV = 2
    REPORTABLE = 4


class Refusal(StrEnum):
    """Why a message is not believed; those of usmStats, which a report tells."""

    SECURITY_LEVEL = "security-level"
    NOT_IN_TIME = "not-in-time"
    UNKNOWN_USER = "unknown-user"
    UNKNOWN_ENGINE = "unknown-engine"
    WRONG_DIGEST = "wrong-digest"
    DECRYPTION = "decryption"


_NUMBER = {refusal: number for number, refusal in enumerate(Refusal, 1)}


@dataclass(frozen=True, slots=True)
class Ourselves:
    """Our own engine: its id, how often it has started, and what its clock shows (snmpEngineTime)."""

    engine_id: bytes
    boots: int
    time_s: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message: what it tells, or why it is not believed; and what is to be answered, when it is, b"" for nothing.

    The answer to a notification says that we have it: it is sent when we do. That to a refused message is a report.
    """

    notification: Notification | None = None
    refusal: Refusal | None = None
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class _Message:
    data: bytes
    id: int
    flags: Level
    engine_id: bytes
    boots: int
    time_s: int
    user: bytes
    digest: tuple[int, int]
    salt: bytes
    body: tuple[int, int]
    """Where the scoped PDU is, or the octets that it is encrypted in."""


@dataclass(slots=True)
class _Seen:
    """How far an engine's clock was when we last believed it, by ours."""

    boots: int
    time_s: int
    at: float


class UsmReceiver:
    """Judges v3 messages for `ourselves`. `monotonic`: our clock for the senders' engines, of which the latest are remembered."""

    def __init__(self, ourselves: Ourselves, monotonic: Callable[[], float]) -> None:
        self._us = ourselves
        self._monotonic = monotonic
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._reports = 0
        self._salt = secrets.randbits(63)

    def receive(self, data: bytes, user: User, *, lenient: bool = False) -> Verdict:
        """Judge a message that came from where `user` is expected. Raises Malformed.

        `lenient`: a trap may be old; for agents that start anew without counting it.
        """
        message = _read(data)
        for_us = bool(message.flags & Level.REPORTABLE)
        refusal = self._refusal(message, user, for_us=for_us)
        if refusal is None and message.flags & Level.AUTH:
            refusal = self._stale(message, for_us=for_us, lenient=lenient)
        if refusal is not None:
            return self._refused(message, user, refusal) if for_us else Verdict(refusal=refusal)
        try:
            scoped = self._plain(message, user)
        except DecryptionFailed:
            return self._refused(message, user, Refusal.DECRYPTION) if for_us else Verdict(refusal=Refusal.DECRYPTION)
        try:
            at, stop, end = _pdu_of(scoped)
            notification = read_pdu(scoped, at, stop)
        except Malformed:
            if message.flags & Level.PRIV:  # what a wrong key makes of it is no BER
                return Verdict(refusal=Refusal.DECRYPTION)
            raise
        if not notification.inform:
            return Verdict(notification)
        response = scoped[:at] + bytes((RESPONSE,)) + scoped[at + 1 : end]
        return Verdict(notification, answer=self._wrapped(message.id, response, user, message.flags & ~Level.REPORTABLE))

    # -- is it believed

    def _refusal(self, message: _Message, user: User, *, for_us: bool) -> Refusal | None:
        """RFC 3414, 3.2, steps 3 to 6."""
        if for_us and message.engine_id != self._us.engine_id:
            return Refusal.UNKNOWN_ENGINE
        if not message.engine_id or len(message.engine_id) > _ENGINE_ID_LIMIT:
            return Refusal.UNKNOWN_ENGINE
        if not hmac.compare_digest(message.user, user.name):
            return Refusal.UNKNOWN_USER
        if bool(message.flags & Level.AUTH) != user.authenticates or bool(message.flags & Level.PRIV) != user.encrypts:
            return Refusal.SECURITY_LEVEL
        return None if not user.authenticates or _is_signed(message, user) else Refusal.WRONG_DIGEST

    def _stale(self, message: _Message, *, for_us: bool, lenient: bool) -> Refusal | None:
        """RFC 3414, 3.2, step 7: whether it may be a copy of an old message."""
        if for_us:
            near = abs(message.time_s - self._us.time_s()) <= _WINDOW_S
            return None if near and message.boots == self._us.boots < _LAST_BOOT else Refusal.NOT_IN_TIME
        now, seen = self._monotonic(), self._seen.get(message.engine_id)
        if seen is not None and not lenient:
            expected = seen.time_s + now - seen.at
            behind = message.boots == seen.boots and message.time_s < expected - _WINDOW_S
            if message.boots < seen.boots or behind or message.boots == _LAST_BOOT:
                return Refusal.NOT_IN_TIME
        if seen is None or (message.boots, message.time_s) > (seen.boots, seen.time_s):
            self._seen[message.engine_id] = _Seen(message.boots, message.time_s, now)
            self._seen.move_to_end(message.engine_id)
            if len(self._seen) > _ENGINES:
                self._seen.popitem(last=False)
        return None

    def _plain(self, message: _Message, user: User) -> bytes:
        start, stop = message.body
        content = message.data[start:stop]
        if not message.flags & Level.PRIV:
            return content
        return user.decrypt(content, engine_id=message.engine_id, boots=message.boots, time_s=message.time_s, salt=message.salt)

    # -- what is answered

    def _refused(self, message: _Message, user: User, refusal: Refusal) -> Verdict:
        """A report of what is wrong; signed only where the sender has proved who it is (RFC 3414, 3.2, step 7a)."""
        self._reports = self._reports + 1 & 0x7FFF_FFFF
        row = ber.write_object_id(f"{_STATISTICS}.{_NUMBER[refusal]}.0") + ber.write_integer(self._reports, ber.COUNTER32)
        rows = ber.tlv(ber.SEQUENCE, ber.tlv(ber.SEQUENCE, row))
        pdu = ber.tlv(_REPORT, ber.write_integer(_request_id(message)) + ber.write_integer(0) * 2 + rows)
        scoped = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OCTETS, self._us.engine_id) + ber.tlv(ber.OCTETS, b"") + pdu)
        level = Level.AUTH if refusal is Refusal.NOT_IN_TIME else Level.NONE
        return Verdict(refusal=refusal, answer=self._wrapped(message.id, scoped, user, level, named=message.user))

    def _wrapped(self, message_id: int, scoped: bytes, user: User, level: Level, *, named: bytes | None = None) -> bytes:
        """A message of ours, signed and encrypted as `level` says."""
        boots, time_s, salt = self._us.boots, self._us.time_s(), b""
        if level & Level.PRIV:
            self._salt = self._salt + 1 & 0x7FFF_FFFF_FFFF_FFFF
            salt = boots.to_bytes(4, "big") + self._salt.to_bytes(8, "big")[4:]
            body = ber.tlv(ber.OCTETS, user.encrypt(scoped, engine_id=self._us.engine_id, boots=boots, time_s=time_s, salt=salt))
        else:
            body = scoped
        header = b"".join((ber.write_integer(message_id), ber.write_integer(_MAX_SIZE), ber.tlv(ber.OCTETS, bytes((level,)))))
        header = ber.tlv(ber.SEQUENCE, header + ber.write_integer(_USM))
        engine = ber.tlv(ber.OCTETS, self._us.engine_id) + ber.write_integer(boots) + ber.write_integer(time_s)
        engine += ber.tlv(ber.OCTETS, user.name if named is None else named)

        def whole(digest: bytes) -> bytes:
            security = ber.tlv(ber.SEQUENCE, engine + ber.tlv(ber.OCTETS, digest) + ber.tlv(ber.OCTETS, salt))
            return ber.tlv(ber.SEQUENCE, ber.write_integer(V3) + header + ber.tlv(ber.OCTETS, security) + body)

        if not level & Level.AUTH:
            return whole(b"")
        return whole(user.digest(whole(bytes(user.digest_octets)), self._us.engine_id))


def _read(data: bytes) -> _Message:
    start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
    version, at = ber.integer(data, start, end)
    header, body = ber.expect(data, at, end, ber.SEQUENCE)
    message_id, header = ber.integer(data, header, body)
    _, header = ber.integer(data, header, body)
    flags, header = ber.octets(data, header, body)
    model, _ = ber.integer(data, header, body)
    at, body = ber.expect(data, body, end, ber.OCTETS)
    at, stop = ber.expect(data, at, body, ber.SEQUENCE)
    engine_id, at = ber.octets(data, at, stop)
    boots, at = ber.integer(data, at, stop)
    time_s, at = ber.integer(data, at, stop)
    user, at = ber.octets(data, at, stop)
    digest, at = ber.expect(data, at, stop, ber.OCTETS)
    salt, _ = ber.octets(data, at, stop)
    if version != V3 or model != _USM or len(flags) != 1 or not 0 <= message_id < 2**31:
        raise Malformed("no message of v3 and USM")
    level = Level(flags[0] & 7)
    if level & Level.PRIV and not level & Level.AUTH:
        raise Malformed("encrypted and not signed")
    tag, start, stop = ber.element(data, body, end)
    if tag != (ber.OCTETS if level & Level.PRIV else ber.SEQUENCE):
        raise Malformed("not encrypted as it says")
    whole = (start, stop) if level & Level.PRIV else (body, stop)
    return _Message(data[:end], message_id, level, engine_id, boots, time_s, user, (digest, at), salt, whole)


def _is_signed(message: _Message, user: User) -> bool:
    start, stop = message.digest
    if stop - start != user.digest_octets:
        return False
    zeroed = message.data[:start] + bytes(stop - start) + message.data[stop:]
    return hmac.compare_digest(message.data[start:stop], user.digest(zeroed, message.engine_id))


def _pdu_of(scoped: bytes) -> tuple[int, int, int]:
    """Where the PDU is in a scoped PDU, and where that ends; padding may follow."""
    start, end = ber.expect(scoped, 0, len(scoped), ber.SEQUENCE)
    _, at = ber.octets(scoped, start, end)
    _, at = ber.octets(scoped, at, end)
    _, _, stop = ber.element(scoped, at, end)
    return at, stop, end


def _request_id(message: _Message) -> int:
    """That of the PDU where it can be read, else 0 (RFC 3412, 7.1, step 3)."""
    if message.flags & Level.PRIV:
        return 0
    try:
        at, _, end = _pdu_of(message.data[message.body[0] : message.body[1]])
        scoped = message.data[message.body[0] : message.body[1]]
        _, start, stop = ber.element(scoped, at, end)
        return max(0, ber.integer(scoped, start, stop)[0])
    except Malformed:
        return 0
