"""Asking a device that the inventory does not have who it is, with log-ins that are only being tried: few times, and never to a lock.

Over HTTP it goes the one way out, with a budget of refused requests that all log-ins share; by SNMP with one GET a log-in, which no agent
counts. Nothing is kept of a stranger but what it said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.clock import Clock
from gateway.domain.devices import Credentials, DeviceId, DeviceKind, Ports
from gateway.domain.identity import REFERENCE_CHANGES, SHARED, hardware_address
from gateway.drivers.base import Identity, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Traits
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.sensors import text
from gateway.errors import AuthenticationFailed, DeviceError, GatewayError

_DESCRIPTION, _OBJECT_ID, _NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0"
_BRIDGE_ADDRESS, _BRIDGE_PORTS = "1.3.6.1.2.1.17.1.1.0", "1.3.6.1.2.1.17.1.2.0"
_MANY_PORTS: Final = 3
_SESSIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Login:
    """A log-in with its place in the list of those that may be tried."""

    name: str
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Introduced:
    """What came of asking a stranger over ONVIF. `refused`: signed requests that it refused; `trouble`: the code of the last error.

    `serial_shared`, `reference_changes`: its model is known for a serial number that all units share, for a reference made at each boot.
    """

    identity: Identity | None = None
    macs: tuple[str, ...] = ()
    login: str = ""
    refused: int = 0
    trouble: str = ""
    serial_shared: bool = False
    reference_changes: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """What a stranger said by SNMP."""

    description: str
    object_id: str
    name: str
    login: str
    profile: str = ""
    kind: DeviceKind | None = None
    macs: tuple[str, ...] = ()


class Strangers:
    """Asks devices by their address alone."""

    def __init__(self, http: Http, clock: Clock, profiles: Profiles, *, try_s: float = 1.0) -> None:
        self._http = http
        self._clock = clock
        self._profiles = profiles
        self._snmp = GufoEngine(max_sessions=_SESSIONS, try_s=try_s)

    async def close(self) -> None:
        await self._snmp.close()

    async def by_onvif(self, address: str, port: int, logins: Sequence[Login], *, budget: int, timeout_s: float) -> Introduced:
        """Try `logins` one after the other until one is taken, or `budget` signed requests were refused, or something else is wrong."""
        refused, trouble = 0, ""
        for login in logins:
            if refused >= budget:
                break
            device = OnvifDevice(_target(address, Ports(onvif=port), login), self._http, self._clock, budget=budget - refused)
            try:
                _, identity = await device.check(timeout_s=timeout_s)
            except AuthenticationFailed as error:
                refused += device.refusals
                trouble = error.code
                if error.code in ("locked-out", "too-many-connections"):
                    break
            except GatewayError as error:
                return Introduced(refused=refused + device.refusals, trouble=error.code)
            else:
                return await self._introduced(device, identity, login, refused=refused, timeout_s=timeout_s)
        return Introduced(refused=refused, trouble=trouble)

    async def _introduced(self, device: OnvifDevice, identity: Identity, login: Login, *, refused: int, timeout_s: float) -> Introduced:
        try:
            told = (await device.hardware(fresh_s=0, timeout_s=timeout_s)).addresses
        except DeviceError:
            told = ()
        macs = tuple(dict.fromkeys(mac for address in told if (mac := hardware_address(address))))
        profile = self._profiles.match(Traits(manufacturer=identity.manufacturer, model=identity.model, firmware=identity.firmware))
        quirks = profile.quirks if profile else ()
        return Introduced(
            identity,
            macs,
            login.name,
            refused=refused,
            serial_shared=SHARED in quirks,
            reference_changes=REFERENCE_CHANGES in quirks,
        )

    async def by_snmp(self, address: str, port: int, logins: Sequence[Login], *, timeout_s: float) -> Described | None:
        """What the agent at `address` says to the first of `logins` that it answers; None when it answers none."""
        asked = (_DESCRIPTION, _OBJECT_ID, _NAME, _BRIDGE_ADDRESS, _BRIDGE_PORTS)
        for login in logins:
            try:
                reply = await self._snmp.get(_target(address, Ports(snmp=port), login), asked, timeout_s=timeout_s)
            except GatewayError:
                continue
            values = reply.values
            traits = Traits(object_id=text(values[_OBJECT_ID] or ""), description=text(values[_DESCRIPTION] or ""))
            profile, ports, mac = self._profiles.match(traits), values[_BRIDGE_PORTS], values[_BRIDGE_ADDRESS]
            own = hardware_address(mac.hex()) if isinstance(mac, bytes) else ""
            return Described(
                description=traits.description,
                object_id=traits.object_id,
                name=text(values[_NAME] or ""),
                login=login.name,
                profile=profile.name if profile else "",
                kind=DeviceKind.SWITCH if isinstance(ports, int) and ports >= _MANY_PORTS else None,
                macs=(own,) if own else (),
            )
        return None


def _target(address: str, ports: Ports, login: Login) -> Target:
    return Target(DeviceId(f"stranger:{address}:{login.name}"), address, ports, login.credentials)
