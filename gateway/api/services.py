"""What the API asks of the house: one small Protocol a service, and the caller on whose behalf it asks."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.api.census import Census
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.hours import HoursDesk
from gateway.broadcast.ledger import LedgerDesk
from gateway.broadcast.pictures import PictureDesk
from gateway.broadcast.recordings import RecordingShelf
from gateway.broadcast.schedules import ScheduleDesk
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.statistics import StatisticsDesk
from gateway.broadcast.talk import TalkDesk
from gateway.clock import Clock
from gateway.config import Limits
from gateway.control.captures import CaptureDesk
from gateway.control.power import PowerDesk
from gateway.control.steering import SteeringDesk
from gateway.domain.access import ApiKey, Permission, permissions
from gateway.domain.alert_log import Answer
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.health import Board
from gateway.drivers.base import MediaSource, PresetSource
from gateway.drivers.onvif.onboarding import DeviceDescription
from gateway.drivers.registry import DeviceModel
from gateway.footage.coverage import CoverageDesk
from gateway.footage.holds import HoldDesk
from gateway.footage.service import FootageService
from gateway.footage.strips import StripDesk
from gateway.health.album import Album
from gateway.health.asked import AskedVisits
from gateway.incidents.maintenance import MaintenanceDesk
from gateway.incidents.service import IncidentService
from gateway.incidents.work_orders import WorkOrderDesk
from gateway.inventory.bindings import BindingDesk
from gateway.inventory.searching import SearchService
from gateway.inventory.service import InventoryService
from gateway.inventory.surveying import UplinkSurveyor
from gateway.reports.service import ReportService
from gateway.storage.store import Store
from gateway.traps.service import TrapService


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: the actor for the record, what it may do, and where."""

    actor: Actor
    name: str
    permissions: frozenset[Permission]
    key: ApiKey | None = None

    @classmethod
    def of_key(cls, key: ApiKey) -> "Caller":
        return cls(Actor(ActorKind.API_KEY, key.id), key.username or key.name, permissions(key.roles), key)

    @property
    def person(self) -> Person:
        return Person(self.actor, self.name)

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


NOBODY = Caller(Actor(ActorKind.SYSTEM, "anonymous"), "", frozenset())
"""The caller of the few routes that are open to anybody."""


class CameraDriver(MediaSource, PresetSource, Protocol):
    """What the API asks of a camera."""


class ChannelFigures(Protocol):
    """What a channel of the alerts has done."""

    @property
    def queued(self) -> int: ...
    @property
    def last_sent_at(self) -> datetime | None: ...
    @property
    def last_failed_at(self) -> datetime | None: ...


class AlertChannel(Protocol):
    """A channel of the alerts as it stands."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def routes(self) -> Sequence[str]: ...
    @property
    def figures(self) -> ChannelFigures: ...


class Alerts(Protocol):
    """What the API asks of the door to people."""

    async def channels(self) -> Sequence[AlertChannel]: ...
    async def test(self, name: str, actor: Actor) -> object: ...
    async def reload(self, actor: Actor) -> int: ...
    async def why(self, incident: str, *, channel: str = "", person: str = "") -> Sequence[Answer]: ...


class Readiness(Protocol):
    def __call__(self) -> Mapping[str, str]:
        """What keeps the daemon from doing its work, by part: `{"store": "disk full"}`; empty when it is ready."""
        ...


def _ready() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that the routes reach. The composition root fills it in; a test gives what its routes need."""

    clock: Clock
    city: City
    board: Board
    store: Store
    incidents: IncidentService
    maintenance: MaintenanceDesk
    reports: ReportService
    work_orders: WorkOrderDesk
    circumstances: Circumstances
    inventory: InventoryService
    bindings: BindingDesk
    uplinks: UplinkSurveyor
    searches: SearchService
    clips: ClipShelf
    sounds: SoundDesk
    broadcasts: BroadcastService
    talks: TalkDesk
    recordings: RecordingShelf
    ledger: LedgerDesk
    statistics: StatisticsDesk
    pictures: PictureDesk
    hours: HoursDesk
    schedules: ScheduleDesk
    footage: FootageService
    coverage: CoverageDesk
    holds: HoldDesk
    strips: StripDesk
    captures: CaptureDesk
    steering: SteeringDesk
    alerts: Alerts
    camera_of: Callable[[DeviceId], CameraDriver]
    describe: Callable[[DeviceId], Awaitable[DeviceDescription]]
    model_of: Callable[[DeviceId], DeviceModel]
    visits: AskedVisits | None = None
    album: Album | None = None
    version: str
    traps: TrapService | None = None
    power: PowerDesk | None = None
    limits: Limits = field(default_factory=Limits)
    readiness: Readiness = _ready
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    census: Census = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "census", Census(self.city, self.board))


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
