"""From a datagram to what a device told: only from an address of the inventory, only with that device's own community or user."""

import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.domain.devices import SnmpCredentials, SnmpVersion
from gateway.drivers.snmp import notifications
from gateway.drivers.snmp.ber import Malformed
from gateway.drivers.snmp.notifications import Notification
from gateway.drivers.snmp.usm_keys import User
from gateway.drivers.snmp.usm_receiving import Refusal, UsmReceiver


class Datagram(NamedTuple):
    """One datagram: who sent it, to which of our addresses ("" where the system does not tell), and what it holds."""

    address: str
    port: int
    local: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """A device that may tell us something. `lenient`: it starts anew without counting that, so its messages may look old."""

    device: str
    version: str
    community: bytes = b""
    user: User | None = None
    lenient: bool = False

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Source":
        """From what the daemon says of it. Raises KeyError for a protocol that there is not."""
        credentials = SnmpCredentials(**entry["snmp"]) if entry.get("snmp") else None
        if credentials is None:
            return cls(entry["device"], "")
        user = User(credentials) if credentials.version == SnmpVersion.V3 else None
        return cls(entry["device"], str(credentials.version), credentials.community.encode(), user, bool(entry.get("lenient")))


@dataclass(frozen=True, slots=True)
class Opened:
    """What a datagram turned out to be; `answer` acknowledges it once it has been taken."""

    device: str
    version: str
    notification: Notification
    answer: bytes


class Opener:
    """Opens datagrams; what it does not believe it counts. `reply` sends a report to the sender of a v3 inform."""

    def __init__(self, usm: UsmReceiver, counts: Counter[str], reply: Callable[[Datagram, bytes], None]) -> None:
        self._usm = usm
        self._counts = counts
        self._reply = reply
        self._sources: dict[str, list[Source]] = {}

    def introduce(self, sources: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Believe these from now on, by address, and nobody else."""
        known: dict[str, list[Source]] = {}
        for address, entries in sources.items():
            for entry in entries:
                try:
                    known.setdefault(address, []).append(Source.of(entry))
                except KeyError:  # a protocol that we do not have: counted as a refusal when it speaks
                    known.setdefault(address, []).append(Source(entry["device"], ""))
        self._sources = known

    def knows(self, address: str) -> bool:
        return address in self._sources

    def open(self, datagram: Datagram) -> Opened | None:
        """What it tells; None, and counted, when it is not to be believed."""
        try:
            if notifications.version_of(datagram.data) == notifications.V3:
                return self._open_v3(datagram)
            return self._open_community(datagram)
        except Malformed:
            self._counts["malformed"] += 1
            return None

    def _open_community(self, datagram: Datagram) -> Opened | None:
        message = notifications.read_message(datagram.data)
        for source in self._sources.get(datagram.address, ()):
            if source.community and source.user is None and hmac.compare_digest(source.community, message.community):
                told = message.notification()
                version = SnmpVersion.V1 if message.version == notifications.V1 else SnmpVersion.V2C
                return Opened(source.device, version, told, message.acknowledgement() if told.inform else b"")
        self._counts["wrong_community"] += 1
        return None

    def _open_v3(self, datagram: Datagram) -> Opened | None:
        users = [source for source in self._sources.get(datagram.address, ()) if source.user is not None]
        verdict, source = None, None
        for source in users:
            assert source.user is not None
            verdict = self._usm.receive(datagram.data, source.user, lenient=source.lenient)
            if verdict.refusal is not Refusal.UNKNOWN_USER:
                break
        if verdict is None or source is None:
            self._counts["unknown_user"] += 1
            return None
        if verdict.notification is not None:
            return Opened(source.device, SnmpVersion.V3, verdict.notification, verdict.answer)
        discovery = verdict.refusal is Refusal.UNKNOWN_ENGINE or verdict.refusal is Refusal.NOT_IN_TIME
        if verdict.answer:
            self._reply(datagram, verdict.answer)
        self._counts["introductions" if discovery and verdict.answer else str(verdict.refusal).replace("-", "_")] += 1
        return None
