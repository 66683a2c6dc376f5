"""The engine that polls the city: gufo-snmp, one kept session a device, with the reasons that the library does not give.

Measured at 0.03 ms a poll; a first contact over v3 costs two round trips and the localisation of the keys. What gufo-snmp says too little
about is found out here: which part of a v3 login failed, whether a silent agent is alive, whether it changed its engine id.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    User,
)
from gufo.snmp import SnmpVersion as GufoVersion
from gufo.snmp.user import KeyType

from gateway.domain.devices import DeviceId, SnmpCredentials, SnmpVersion
from gateway.drivers.base import Target
from gateway.drivers.snmp import usm
from gateway.drivers.snmp.engine import (
    Oid,
    Reply,
    Rows,
    Value,
    bounded,
    community_silence,
    no_such_protocol,
    privacy_key_suspected,
    refused,
    security_level,
    silence,
    snmp_credentials,
)
from gateway.drivers.snmp.kept import KeptSession
from gateway.drivers.snmp.reference import PysnmpEngine
from gateway.errors import DeviceError, ProtocolError, Unreachable

T = TypeVar("T")
Operation = Callable[[KeptSession], Awaitable[T]]

AUTH_KEYS: dict[str, type[BaseAuthKey]] = {
    "MD5": Md5Key,
    "SHA": Sha1Key,
    "SHA224": Sha224Key,
    "SHA256": Sha256Key,
    "SHA384": Sha384Key,
    "SHA512": Sha512Key,
}
PRIV_KEYS: dict[str, type[BasePrivKey]] = {
    "DES": DesKey,
    "AES": Aes128Key,
    "AES128": Aes128Key,
    "AES192": Aes192Key,
    "AES256": Aes256Key,
}
_VERSIONS = {SnmpVersion.V1: GufoVersion.v1, SnmpVersion.V2C: GufoVersion.v2c, SnmpVersion.V3: GufoVersion.v3}
TRIES = 3  # of each datagram, within the caller's deadline: where 2 % are lost each way, one exchange in 16,000 fails
_TRIES_V3 = 2  # a silent agent is asked anew from the beginning, which is as many again
_MASTER_KEYS = 1_024
_EXPLANATION_S = 10.0  # within the caller's deadline; the first one loads pysnmp's MIBs
_BULKS_TO_LOSE = 2  # one may be a bad line; after two, the device is walked by GETNEXT alone
_SYS_UPTIME = "1.3.6.1.2.1.1.3.0"


class GufoEngine:
    """A `PollEngine` over gufo-snmp. Opens one socket a device and keeps at most `max_sessions`, closing the longest unused.

    `try_s`: how long one datagram waits for its answer. Requests to one device go one after the other.
    """

    def __init__(self, *, max_sessions: int = 4_096, try_s: float = 1.0) -> None:
        self._max_sessions = max_sessions
        self._try_s = try_s
        self._lines: OrderedDict[DeviceId, _Line] = OrderedDict()
        self._reference: PysnmpEngine | None = None
        self._master_key = lru_cache(_MASTER_KEYS)(_derive)

    async def get(self, target: Target, oids: Sequence[Oid], *, timeout_s: float) -> Reply:
        names = list(oids)

        async def read(session: KeptSession) -> dict[Oid, Value]:
            found = await _get_many(session, names)
            return {oid: value if isinstance(value := found.get(oid), int) else bounded(value) for oid in names}

        values, changed = await self._exchange(target, read, timeout_s)
        return Reply(values, engine_id_changed=changed)

    async def walk(self, target: Target, root: Oid, *, timeout_s: float) -> Sequence[tuple[Oid, Value]]:
        line = self._line(target)
        found, _ = await self._exchange(target, lambda session: _walk(session, root, line), timeout_s)
        return found

    async def alive(self, target: Target, *, timeout_s: float) -> bool:
        if snmp_credentials(target).version is not SnmpVersion.V3:
            return False
        return await usm.discover(target, try_s=min(self._try_s, timeout_s / 2)) is not None

    async def close(self) -> None:
        for line in self._lines.values():
            line.hang_up()
        self._lines.clear()
        if self._reference is not None:
            await self._reference.close()

    # -- one exchange: deadline, turn-taking, and the search for the reason of a failure

    async def _exchange(self, target: Target, operation: Operation[T], timeout_s: float) -> tuple[T, bool]:
        line = self._line(target)
        try:
            async with asyncio.timeout(timeout_s), line.turn:
                if line.community:
                    return await operation(await line.session()), False
                return await self._ask_v3(line, operation)
        except TimeoutError as error:
            if _was_refused(error):
                raise refused(target) from error
            raise (community_silence(target) if line.community else silence(target)) from error
        except SnmpAuthError as error:
            raise security_level() from error
        except SnmpError as error:
            raise ProtocolError(f"{target.address} sent what is not SNMP: {error}") from error
        except OSError as error:
            raise Unreachable(f"{target.address}: {error.strerror or error}", code="no-route") from error

    async def _ask_v3(self, line: "_Line", operation: Operation[T]) -> tuple[T, bool]:
        """Ask by the kept session, then by a new one: an agent that changed its engine id, or lost its boots and time, never
        answers the old one again. The second value says whether the engine id changed."""
        known = line.engine_id
        try:
            return await operation(await line.session()), False
        except SnmpAuthError:
            await self._name_refusal(line.target)
        except TimeoutError as error:
            if _was_refused(error) or await usm.discover(line.target, try_s=self._try_s) is None:
                raise
        line.hang_up()
        try:
            return await operation(await line.session()), known not in (b"", line.engine_id)
        except TimeoutError as error:
            raise _silent_but_alive(line) from error

    async def _name_refusal(self, target: Target) -> None:
        """gufo-snmp says no more than "authentication failed": let the reference engine hear it by name. Returns if that gets in."""
        self._reference = self._reference or PysnmpEngine(try_s=self._try_s)
        await self._reference.get(target, (_SYS_UPTIME,), timeout_s=_EXPLANATION_S)

    def _line(self, target: Target) -> "_Line":
        line = self._lines.get(target.device)
        if line is not None and (line.target is target or line.target == target):
            self._lines.move_to_end(target.device)
            return line
        if line is not None:
            line.hang_up()
        elif len(self._lines) >= self._max_sessions:
            self._make_room()
        line = self._lines[target.device] = _Line(target, self._user, self._try_s)
        self._lines.move_to_end(target.device)
        return line

    def _make_room(self) -> None:
        """Hang up the line that was idle longest; when all are in use, the bound gives way until one is not."""
        idle = next((device for device, line in self._lines.items() if not line.turn.locked()), None)
        if idle is not None:
            self._lines.pop(idle).hang_up()

    def _user(self, credentials: SnmpCredentials) -> User:
        auth, priv = _protocols(credentials)
        if auth is None:
            return User(credentials.user)
        name = credentials.auth_protocol.upper()
        auth_key = auth(self._master_key(name, credentials.auth_key), key_type=KeyType.Master)
        if priv is None:
            return User(credentials.user, auth_key=auth_key)
        priv_key = priv(self._master_key(name, credentials.priv_key), key_type=KeyType.Master)
        return User(credentials.user, auth_key=auth_key, priv_key=priv_key)


class _Line:
    """What is kept for one device: its session once it is open, and the engine id that it was last known by.

    `bulks_lost`: how often in a row GETBULK brought nothing where GETNEXT did.
    """

    def __init__(self, target: Target, user_of: Callable[[SnmpCredentials], User], try_s: float) -> None:
        self.target = target
        self.credentials = snmp_credentials(target)
        self.community = self.credentials.version is not SnmpVersion.V3
        self.turn = asyncio.Lock()
        self.engine_id = b""
        self.bulks_lost = _BULKS_TO_LOSE if "drops-bulk" in target.quirks else 0
        self._user = None if self.community else user_of(self.credentials)
        self._try_s = try_s
        self._session: KeptSession | None = None

    async def session(self) -> KeptSession:
        """The open session. Over v3 a new one first learns the agent's engine id, boots and time, signing the question."""
        if self._session is None:
            session = self._session = self._open()
            try:
                await session.refresh()
            except BaseException:
                self.hang_up()
                raise
            if not self.community:
                self.engine_id = session.get_engine_id()
        return self._session

    def hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _open(self) -> KeptSession:
        return KeptSession(
            self.target.address,
            self.target.ports.snmp,
            community=self.credentials.community,
            user=self._user,
            version=_VERSIONS[self.credentials.version],
            timeout=self._try_s,
            tries=TRIES if self.community else _TRIES_V3,
        )


def _was_refused(error: TimeoutError) -> bool:
    """gufo-snmp reports an ICMP "port unreachable" as a timeout of that name."""
    return "refused" in str(error)


async def _get_many(session: KeptSession, oids: list[Oid]) -> dict[Oid, Value]:
    """Read `oids`, leaving out the absent. On an error status (v1 noSuchName, tooBig) gufo-snmp returns nothing: halve and ask again."""
    found: dict[Oid, Value] = await session.get_many(oids)
    if found or len(oids) == 1:
        return found
    half = len(oids) // 2
    return await _get_many(session, oids[:half]) | await _get_many(session, oids[half:])


async def _walk(session: KeptSession, root: Oid, line: _Line) -> list[tuple[Oid, Value]]:
    """The rows below `root`, by GETBULK; by GETNEXT for a device that does not answer that (quirk drops-bulk)."""
    if line.bulks_lost < _BULKS_TO_LOSE:
        try:
            found = await _rows(session.fetch(root), root)
        except TimeoutError as error:
            if _was_refused(error):
                raise
        else:
            line.bulks_lost = 0
            return found
    found = await _rows(session.getnext(root), root)
    line.bulks_lost += 1
    return found


async def _rows(steps: AsyncIterator[tuple[Oid, Value]], root: Oid) -> list[tuple[Oid, Value]]:
    rows = Rows(root)
    async for oid, value in steps:
        if not rows.take(oid, value):
            break
    return rows.found


def _silent_but_alive(line: _Line) -> DeviceError:
    """The agent answers strangers and says nothing to us: with privacy, its key is to blame; without, we know no more than that."""
    return privacy_key_suspected(line.target) if line.credentials.priv_protocol else silence(line.target)


def _protocols(credentials: SnmpCredentials) -> tuple[type[BaseAuthKey] | None, type[BasePrivKey] | None]:
    try:
        return (
            AUTH_KEYS[credentials.auth_protocol.upper()] if credentials.auth_protocol else None,
            PRIV_KEYS[credentials.priv_protocol.upper()] if credentials.priv_protocol else None,
        )
    except KeyError as error:
        raise no_such_protocol(str(error.args[0])) from error


def _derive(auth_protocol: str, passphrase: str) -> bytes:
    """The user's master key (RFC 3414, A.2): one MiB of hashing, so derived once for all devices that share the passphrase."""
    return AUTH_KEYS[auth_protocol].get_master_key(passphrase.encode())
