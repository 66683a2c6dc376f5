"""What the gateway asks of an SNMP engine, so that two libraries can take the place of each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.domain.devices import SnmpCredentials
from gateway.drivers.base import Target
from gateway.errors import AuthenticationFailed, DeadlineExceeded, InvalidInput, ProtocolError, Unreachable

Oid = str
"""Numeric and dotted, without a leading dot: "1.3.6.1.2.1.1.3.0"."""

Value = int | float | str | bytes | None
"""What a device holds: integers, counters, gauges and ticks as int; octets as bytes; object ids and IPv4 addresses as str; None: absent."""

OCTETS_LIMIT = 2_048
"""Longer octet strings are cut: no sensor needs them and a device may send 64 KiB of them a second."""

ROWS_LIMIT = 10_000
"""More rows than this in one walk and the device errs: the largest switch read so far has 1,113."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one GET: every OID that was asked for, None where the device has no such object.

    `engine_id_changed`: the v3 agent came back with another engine id (RFC 3411, 5) since the last exchange: it was replaced or reset.
    """

    values: Mapping[Oid, Value]
    engine_id_changed: bool = False


class Syntax(StrEnum):
    """How a value that we write is encoded (RFC 2578, 7.1)."""

    INTEGER = "integer"
    OCTETS = "octets"
    OBJECT_ID = "object-id"
    GAUGE = "gauge"
    TICKS = "ticks"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One object to write."""

    oid: Oid
    syntax: Syntax
    value: int | str | bytes


class PollEngine(Protocol):
    """Reads objects of many devices. Every error is a child of `DeviceError`; what can be told apart has a code of its own:

    - `Unreachable`: refused.
    - `DeadlineExceeded`: `silent-or-wrong-community` (v1 and v2c: an agent never answers a wrong community), `timeout` (v3).
    - `AuthenticationFailed`: `unknown-user`, `wrong-auth-key`, `security-level` (the user may not read this way),
      `privacy-key-suspected` (the agent is alive, but silent to our encrypted requests).
    - `ProtocolError`: malformed, endless.
    - `DeviceFault`: the agent's own error status; `detail` names it.
    """

    async def get(self, target: Target, oids: Sequence[Oid], *, timeout_s: float) -> Reply:
        """Read `oids`; `timeout_s` covers retries and the search for the reason of a failure."""
        ...

    async def walk(self, target: Target, root: Oid, *, timeout_s: float) -> Sequence[tuple[Oid, Value]]:
        """All rows below `root` in order, each with its OID relative to `root`."""
        ...

    async def alive(self, target: Target, *, timeout_s: float) -> bool:
        """Whether a v3 agent answers a discovery (RFC 3414, 4), which needs no user and no key; False for v1 and v2c."""
        ...

    async def close(self) -> None: ...


class WriteEngine(Protocol):
    async def set(self, target: Target, assignments: Sequence[Assignment], *, timeout_s: float) -> None:
        """Write all or nothing (RFC 3416, 4.2.5). Never sent twice: on `DeadlineExceeded` the outcome is unknown (rule 3)."""
        ...


# -- what the engines share -------------------------------------------------------------------------------------------


def bounded(value: Value) -> Value:
    return value[:OCTETS_LIMIT] if isinstance(value, bytes | str) else value


def relative(oid: Oid, root: Oid) -> Oid | None:
    """`oid` below `root`, or None when it lies elsewhere."""
    return oid[len(root) + 1 :] if oid.startswith(root + ".") else None


def order(oid: Oid) -> tuple[int, ...]:
    """The key by which OIDs sort (RFC 3416, 2): number by number."""
    return tuple(map(int, oid.split(".")))


class Rows:
    """The rows of one walk as they come in, refusing a device that goes in circles or never ends."""

    def __init__(self, root: Oid) -> None:
        self._root = root
        self._last: tuple[int, ...] = ()
        self.found: list[tuple[Oid, Value]] = []

    def take(self, oid: Oid, value: Value) -> bool:
        """False when the walk has left its root and is over."""
        index = relative(oid, self._root)
        if index is None:
            return False
        place = order(index)
        if place <= self._last or len(self.found) >= ROWS_LIMIT:
            raise ProtocolError("the agent's table does not end", code="endless")
        self._last = place
        self.found.append((index, bounded(value)))
        return True


def snmp_credentials(target: Target) -> SnmpCredentials:
    if target.credentials.snmp is None:
        raise InvalidInput(f"{target.device} has no SNMP credentials", code="no-snmp-credentials", hint="import the device with them")
    return target.credentials.snmp


def no_such_protocol(name: str) -> InvalidInput:
    return InvalidInput(
        f"no such SNMP protocol: {name!r}",
        code="snmp-protocol",
        hint="authentication: MD5, SHA, SHA224, SHA256, SHA384, SHA512; privacy: DES, AES128, AES192, AES256",
    )


def community_silence(target: Target) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{target.address}:{target.ports.snmp} did not answer",
        code="silent-or-wrong-community",
        hint="check that SNMP is enabled on the device, that it allows this gateway's address, and the community",
    )


def silence(target: Target) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{target.address}:{target.ports.snmp} did not answer", hint="check that SNMP is enabled and allows this address"
    )


def refused(target: Target) -> Unreachable:
    return Unreachable(f"nothing listens on UDP {target.address}:{target.ports.snmp}", code="refused", hint="enable SNMP on the device")


def privacy_key_suspected(target: Target) -> AuthenticationFailed:
    return AuthenticationFailed(
        f"{target.address} is alive but silent to encrypted requests",
        code="privacy-key-suspected",
        hint="check the privacy protocol and key of the SNMP user",
    )


def unknown_user() -> AuthenticationFailed:
    return AuthenticationFailed("the agent does not know the SNMP user", code="unknown-user", hint="create the user on the device")


def wrong_auth_key() -> AuthenticationFailed:
    return AuthenticationFailed(
        "the agent refuses the authentication key", code="wrong-auth-key", hint="check the authentication protocol and key"
    )


def security_level() -> AuthenticationFailed:
    return AuthenticationFailed(
        "the agent knows the user but does not let it read this way",
        code="security-level",
        hint="the device may demand privacy, or restrict what the user may read",
    )
