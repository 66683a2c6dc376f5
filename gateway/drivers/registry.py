"""The drivers of all devices: one object a device, made when it is first needed and kept with what it has learnt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import NamedTuple

from gateway.clock import Clock
from gateway.domain.alarms import TrapRule
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId
from gateway.domain.quirks import NONE as NO_QUIRKS
from gateway.domain.quirks import Quirks
from gateway.domain.speaking import USUAL as USUAL_WAYS
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import Descriptor, Heir, Identity, IdentitySource, LastWord, Target, no_heir
from gateway.drivers.echo import Echoes
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.events import Subscriber
from gateway.drivers.onvif.onboarding import DeviceDescription, onboard
from gateway.drivers.onvif.soap import MEDIA
from gateway.drivers.onvif.volume import Volumes
from gateway.drivers.onvif.wsdl import WSDLS
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Profile, Traits
from gateway.drivers.refusals import Refusals
from gateway.drivers.sip.agent import Outbound, SipAgent
from gateway.drivers.sip.exchange import ExchangeBooks
from gateway.drivers.sip.speaker import SipSpeaker
from gateway.drivers.snmp.neighbours import SwitchTables, read_neighbours
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.power import PortPower
from gateway.drivers.snmp.reader import SensorReader
from gateway.drivers.snmp.reference import PysnmpEngine
from gateway.drivers.speaker import BackchannelPath, Loudspeaker, StreamPath
from gateway.drivers.strangers import Strangers
from gateway.errors import NotFound

DESCRIBE_S = 20.0
WALK_S = 20.0
ADDRESSES_S, ADDRESSES_FRESH_S = 5.0, 3_600.0
WALKED = 32
"""Switches whose tables are walked, with sessions of their own: a long walk takes no check's turn."""
SUBSCRIPTIONS = 4096
"""Pulls that may wait at a time, apart from all other conversations; one a device."""
NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """What the gateway takes a device for: its profile ("" for none), those that it inherits from, its quirks, and what it taught us."""

    profile: str
    lineage: tuple[str, ...]
    quirks: Quirks
    learned: Mapping[str, str]


class _Met(NamedTuple):
    """A device of the inventory with what it is taken for."""

    device: Device
    profile: Profile | None
    target: Target


class Drivers:
    """How every device of `city` is spoken to. `renew` after each change of the inventory.

    The `…_of` methods raise NotFound for a device that the inventory does not have.
    """

    def __init__(self, city: City, clock: Clock, profiles: Profiles, *, walk_every_s: float, outbound: Outbound | None = None) -> None:
        """`outbound`: by way of whom telephones are called."""
        self._city = city
        self._clock = clock
        self._http = Http()
        self._patient = Http(connections=SUBSCRIPTIONS, per_address=1)
        self._snmp = GufoEngine()
        self.echoes = Echoes()
        self._writer: PysnmpEngine | None = None
        self.port_power = PortPower(self._snmp, self._writes)
        self._walker = GufoEngine(max_sessions=WALKED)
        self.sensors = SensorReader(self._snmp, profiles, clock=clock, walk_every_s=walk_every_s)
        self._profiles = profiles
        self.strangers = Strangers(self._http, clock, profiles)
        self._identities: dict[DeviceId, Traits] = {}
        self._credentials: Mapping[DeviceId, Credentials] = {}
        self._met: dict[DeviceId, _Met] = {}
        self._onvif: dict[DeviceId, OnvifDevice] = {}
        self._speakers: dict[DeviceId, Loudspeaker] = {}
        self._sip = SipAgent(outbound=outbound)
        self._exchange = ExchangeBooks(clock) if outbound is not None else None
        self._heir: Heir = no_heir
        self._telephones: dict[DeviceId, SipSpeaker] = {}
        self._refusals: dict[DeviceId, Refusals] = {}
        self._volumes: dict[DeviceId, Volumes] = {}
        self._subscribers: dict[DeviceId, Subscriber] = {}

    async def __aenter__(self) -> "Drivers":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.echoes.close()
        self._sip.close()
        await self._snmp.close()
        await self._walker.close()
        await self.strangers.close()
        if self._writer is not None:
            await self._writer.close()

    def bequeath_to(self, heir: Heir) -> None:
        """Let `heir` end the calls and sessions that the daemon, if it dies, leaves behind."""
        self._sip.heir = self._heir = heir

    def _bequeath(self, farewell: LastWord, signalling: Descriptor) -> Callable[[], None]:
        return self._heir(farewell, signalling)

    def _writes(self) -> PysnmpEngine:
        self._writer = self._writer or PysnmpEngine()
        return self._writer

    async def warm(self) -> None:
        """Load what the first question about media would wait for by half a second; in a thread, and once for the process."""
        await WSDLS.warm(MEDIA)

    def renew(self, credentials: Mapping[DeviceId, Credentials]) -> None:
        """Take up the city and the credentials as they are now; a device that has changed is met anew, one that is gone forgotten."""
        self._credentials = credentials
        self._met.clear()
        for kept in (self._onvif, self._speakers, self._telephones, self._refusals, self._volumes, self._subscribers, self._identities):
            for device in kept.keys() - self._city.devices.keys():
                del kept[device]
        for device, driver in self._onvif.items():
            driver.retarget(self.target_of(device))

    def target_of(self, device_id: DeviceId) -> Target:
        return self._met_as(device_id).target

    def writing_to(self, device_id: DeviceId) -> Target:
        """As `target_of`, with the SNMP community that may write, where the inventory has one."""
        target = self.target_of(device_id)
        snmp = target.credentials.snmp
        if snmp is None or not snmp.write_community:
            return target
        return replace(target, credentials=replace(target.credentials, snmp=replace(snmp, community=snmp.write_community)))

    def quirks_of(self, device_id: DeviceId) -> Quirks:
        """What is odd about a device, by its profile."""
        return self.target_of(device_id).quirks

    def _met_as(self, device_id: DeviceId) -> _Met:
        device = self._city.devices.get(device_id)
        if device is None:
            raise NotFound(f"there is no device {device_id!r}")
        kept = self._met.get(device_id)
        if kept is None or kept.device is not device:
            kept = self._met[device_id] = self._meet(device)
        return kept

    def _meet(self, device: Device) -> _Met:
        """With the profile that the inventory names, else the one that fits what it said of itself or, before that, the inventory."""
        by_inventory = Traits(manufacturer=device.vendor, model=device.model, firmware=device.firmware)
        profile = self._profiles.by_name.get(device.profile) or self._profiles.match(self._identities.get(device.id, by_inventory))
        login, quirks = self._credentials.get(device.id, NO_CREDENTIALS), profile.quirks if profile else NO_QUIRKS
        ways = profile.speaker if profile else USUAL_WAYS
        return _Met(
            device,
            profile,
            Target(
                device=device.id,
                address=device.address,
                ports=device.ports,
                credentials=login,
                profile=device.profile,
                quirks=quirks,
                speaker=ways,
            ),
        )

    def traps_of(self, device_id: DeviceId) -> Mapping[str, TrapRule]:
        """What a device's notifications mean, by their object id. Raises NotFound."""
        return self._profiles.traps_of(self._met_as(device_id).profile)

    def model_of(self, device_id: DeviceId) -> DeviceModel:
        """What a device is taken for now. Raises NotFound."""
        profile, driver = self._met_as(device_id).profile, self._onvif.get(device_id)
        teachers = (driver, self._subscribers.get(device_id), self._speakers.get(device_id))
        learned = {name: lesson for teacher in teachers if teacher is not None for name, lesson in teacher.learned().items()}
        return DeviceModel(profile.name, profile.lineage, profile.quirks, learned) if profile else DeviceModel("", (), NO_QUIRKS, learned)

    def recognise(self, device_id: DeviceId, identity: Identity) -> None:
        """Take up what a device said of itself: its profile may be another one than the inventory made us think."""
        said = Traits(manufacturer=identity.manufacturer, model=identity.model, firmware=identity.firmware)
        if self._identities.get(device_id) == said:
            return
        self._identities[device_id] = said
        self._met.pop(device_id, None)
        if device_id in self._onvif:
            self._onvif[device_id].retarget(self.target_of(device_id))

    def try_again(self, device_id: DeviceId) -> None:
        """Somebody says that the credentials of a device are right now: let them be tried again, a time or two."""
        if device_id in self._onvif:
            self._onvif[device_id].try_again()
        if device_id in self._telephones:
            self._telephones[device_id].try_again()
        if device_id in self._refusals:
            self._refusals[device_id].forget()
        self.sensors.forget(device_id)

    def onvif_of(self, device_id: DeviceId) -> OnvifDevice:
        """The device where the city has it now, also before `renew`."""
        target, driver = self.target_of(device_id), self._onvif.get(device_id)
        if driver is None:
            driver = self._onvif[device_id] = OnvifDevice(target, self._http, self._clock)
        elif driver.target is not target:
            driver.retarget(target)
        return driver

    def events_of(self, device_id: DeviceId) -> Subscriber:
        """The device's events, for one `run` at a time."""
        found = self._subscribers.get(device_id)
        if found is None:
            found = self._subscribers[device_id] = Subscriber(self.onvif_of(device_id), self._patient, self._clock)
        return found

    async def neighbours_of(self, device_id: DeviceId, switches: frozenset[str]) -> SwitchTables:
        """Ask a switch what it has learnt of the devices on its ports; `switches`: see `read_neighbours`.

        Raises the DeviceErrors of its SNMP, and InvalidInput without credentials for that.
        """
        return await read_neighbours(self._walker, self.target_of(device_id), switches=switches, timeout_s=WALK_S)

    async def addresses_of(self, device_id: DeviceId) -> Sequence[str]:
        """The hardware addresses that a device tells of itself, over ONVIF or SIP. Raises its DeviceErrors."""
        return (await self.identity_of(device_id).hardware(fresh_s=ADDRESSES_FRESH_S, timeout_s=ADDRESSES_S)).addresses

    async def describe(self, device_id: DeviceId) -> DeviceDescription:
        """Ask an ONVIF device for everything that it tells of itself. Raises the DeviceErrors of its check."""
        told = await onboard(self.onvif_of(device_id), timeout_s=DESCRIBE_S)
        self.recognise(device_id, told.identity)
        return told

    def is_telephone(self, device_id: DeviceId) -> bool:
        """Whether a device speaks SIP and no ONVIF, by its profile. Raises NotFound."""
        return self.target_of(device_id).speaker.telephone

    def telephone_of(self, device_id: DeviceId) -> SipSpeaker | None:
        """A device that `is_telephone`; None for all others."""
        return self._called(device_id) if self.is_telephone(device_id) else None

    def identity_of(self, device_id: DeviceId) -> IdentitySource:
        """Whom to ask who a device is."""
        return self.telephone_of(device_id) or self.onvif_of(device_id)

    def _called(self, device_id: DeviceId) -> SipSpeaker:
        speaker = self._telephones.get(device_id)
        if speaker is None:
            refusals = None if self._exchange else self.refusals_of(device_id)  # an exchange has its own login
            target = partial(self.target_of, device_id)
            speaker = self._telephones[device_id] = SipSpeaker(self._sip, target, self._clock, refusals, self._exchange)
        return speaker

    def refusals_of(self, device_id: DeviceId) -> Refusals:
        """What the device has refused of our login at its streams, its backchannel and over SIP. Raises NotFound."""
        found = self._refusals.get(device_id)
        if found is None:
            found = self._refusals[device_id] = Refusals(self.onvif_of(device_id), self._clock)
        return found

    def volume_of(self, device_id: DeviceId) -> Volumes:
        found = self._volumes.get(device_id)
        if found is None:
            found = self._volumes[device_id] = Volumes(self.onvif_of(device_id))
        return found

    def speaker_of(self, device_id: DeviceId) -> Loudspeaker:
        onvif, speaker = self.onvif_of(device_id), self._speakers.get(device_id)
        if speaker is None:
            paths: dict[SpeakerPath, StreamPath] = {
                SpeakerPath.BACKCHANNEL: BackchannelPath(onvif, self._bequeath, self.refusals_of(device_id)),
                SpeakerPath.SIP: self._called(device_id),
            }
            target_of, clips = partial(self.target_of, device_id), Clips(onvif, self._clock)
            speaker = self._speakers[device_id] = Loudspeaker(target_of, paths, self._clock, clips=clips)
        return speaker
