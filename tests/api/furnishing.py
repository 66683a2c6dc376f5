"""The services behind the door of tests/api, as the daemon puts them together, with ids that are counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway import tuning
from gateway.api.orders import authority_of
from gateway.api.services import Services
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.hours import HoursDesk
from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.ledger import LedgerDesk
from gateway.broadcast.orders import Rules as BroadcastRules
from gateway.broadcast.pictures import PictureDesk, PictureRules
from gateway.broadcast.recordings import RecordingShelf
from gateway.broadcast.schedules import ScheduleDesk
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.speech import SpeechDesk
from gateway.broadcast.stage import Manner
from gateway.broadcast.statistics import StatisticsDesk
from gateway.broadcast.talk import TalkDesk
from gateway.broadcast.verification import verification
from gateway.clock import Clock, SimulatedClock
from gateway.config import Limits, WorkOrders
from gateway.control.captures import CaptureDesk
from gateway.control.steering import SteeringDesk
from gateway.control.stills import StreamStills
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.domain.health import Board
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId
from gateway.domain.schedules import Holidays, ScheduleId
from gateway.domain.severity import Severity
from gateway.domain.work_orders import WorkOrderId
from gateway.drivers.registry import Drivers
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk
from gateway.footage.destinations import Destination
from gateway.footage.fetching import Fetching
from gateway.footage.holds import HoldDesk
from gateway.footage.looks import Looks
from gateway.footage.register import load_register, shipped_register
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import FootageService
from gateway.footage.space import Space
from gateway.footage.strips import StripDesk
from gateway.footage.to_directory import DirectoryDestination
from gateway.health.album import Album
from gateway.health.asked import AskedVisits
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.incidents.maintenance import MaintenanceDesk
from gateway.incidents.pictures import PictureFolder
from gateway.incidents.service import IncidentService
from gateway.incidents.service import Rules as IncidentRules
from gateway.incidents.work_orders import WorkOrderDesk
from gateway.inventory.bindings import BindingDesk
from gateway.inventory.runs import Errands
from gateway.inventory.searching import Rules as SearchRules
from gateway.inventory.searching import SearchService
from gateway.inventory.service import InventoryService
from gateway.inventory.surveying import UplinkSurveyor
from gateway.media.clips import ClipPreparer, Leveller
from gateway.media.speech import EspeakEngine
from gateway.notify.notifier import Notifier
from gateway.reports.kinds import load_kinds, shipped_kinds
from gateway.reports.service import ReportService
from gateway.storage.store import Store

SEARCHES = SearchRules(ranges=(IPv4Network("127.9.9.0/30"),), listen_s=0.1, addresses_per_s=1000, probe_port=3)
CITY_ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Ground:
    """What every service stands on; ids are counted."""

    folder: Path
    store: Store
    city: City
    clock: Clock
    drivers: Drivers
    board: Board = field(default_factory=Board)
    circumstances: Circumstances = field(default_factory=Circumstances)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def fresh(self, letter: str) -> str:
        return f"{letter}-{next(self.numbers)}"


def make_services(
    folder: Path, store: Store, city: City, clock: Clock, drivers: Drivers, *, limits: Limits, destinations: Sequence[Destination] = ()
) -> Services:
    ground = Ground(folder, store, city, clock, drivers)
    stills = StreamStills(target_of=drivers.target_of, refusals_of=drivers.refusals_of)
    captures = CaptureDesk(store=store, clock=clock, camera_of=drivers.onvif_of, stills=stills)
    return Services(
        clock=clock,
        city=city,
        board=ground.board,
        store=store,
        circumstances=ground.circumstances,
        **_inventory(ground),
        **_incidents(ground),
        **_broadcasts(ground, captures),
        **_footage(ground, destinations),
        captures=captures,
        steering=SteeringDesk(store=store, clock=clock, camera_of=drivers.onvif_of),
        album=Album(store, clock),
        visits=AskedVisits(_health(ground), store, clock, drivers.try_again),
        alerts=Notifier(None, store=store, city=city, clock=clock),
        camera_of=drivers.onvif_of,
        describe=drivers.describe,
        model_of=drivers.model_of,
        version="0.0.0",
        limits=limits,
    )


def _inventory(ground: Ground) -> dict[str, Any]:
    store, city, clock, drivers = ground.store, ground.city, ground.clock, ground.drivers
    inventory, errands = InventoryService(store, city, clock), Errands(clock)
    return {
        "inventory": inventory,
        "bindings": BindingDesk(store=store, city=city, clock=clock, inventory=inventory),
        "uplinks": UplinkSurveyor(
            store=store,
            city=city,
            clock=clock,
            inventory=inventory,
            errands=errands,
            neighbours_of=drivers.neighbours_of,
            addresses_of=drivers.addresses_of,
        ),
        "searches": SearchService(
            store=store,
            city=city,
            clock=clock,
            inventory=inventory,
            errands=errands,
            strangers=drivers.strangers,
            quirks_of=drivers.quirks_of,
            rules=SEARCHES,
        ),
    }


def _incidents(ground: Ground) -> dict[str, Any]:
    store, city, clock = ground.store, ground.city, ground.clock
    maintenance = MaintenanceDesk(store=store, city=city, clock=clock, new_id=lambda: WindowId(ground.fresh("M")))
    return {
        "maintenance": maintenance,
        "incidents": IncidentService(
            store=store,
            city=city,
            board=ground.board,
            circumstances=ground.circumstances,
            maintenance=maintenance,
            clock=clock,
            suspects=frozenset,
            visit=_no_visit,
            new_id=lambda: IncidentId(ground.fresh("I")),
            rules=IncidentRules(escalate_after={Severity.CRITICAL: (timedelta(minutes=5),)}),
        ),
        "reports": ReportService(store=store, city=city, clock=clock, zone=CITY_ZONE, kinds=load_kinds(shipped_kinds())),
        "work_orders": WorkOrderDesk(
            store=store,
            city=city,
            clock=clock,
            agreement=tuning.agreement(WorkOrders(), CITY_ZONE),
            pictures=PictureFolder(ground.folder / "work-orders"),
            new_id=lambda: WorkOrderId(ground.fresh("W")),
        ),
    }


def _broadcasts(ground: Ground, captures: CaptureDesk) -> dict[str, Any]:
    folder, store, city, clock = ground.folder, ground.store, ground.city, ground.clock
    shelf = ClipShelf(store, folder / "clips", ClipPreparer(), clock)
    sounds = SoundDesk(shelf, SpeechDesk(EspeakEngine(longest_s=60), Leveller(), KeptSounds(folder / "speech"), clock))
    hours = HoursDesk(None, store=store, city=city, clock=clock, timezone=CITY_ZONE, new_id=lambda: ground.fresh("Q"))
    recordings = RecordingShelf(store, folder / "recordings", clock, keep_for=timedelta(days=90))
    broadcasts = _voice(ground, sounds, hours)
    return {
        "clips": shelf,
        "sounds": sounds,
        "hours": hours,
        "recordings": recordings,
        "broadcasts": broadcasts,
        "pictures": _pictures(ground, captures),
        "talks": TalkDesk(broadcasts=broadcasts, clock=clock, recordings=recordings),
        "ledger": LedgerDesk(store=store, clock=clock, city=city, broadcasts=broadcasts),
        "statistics": StatisticsDesk(store=store, city=city, timezone=CITY_ZONE),
        "schedules": ScheduleDesk(
            store=store,
            city=city,
            clock=clock,
            broadcasts=broadcasts,
            sounds=sounds,
            hours=lambda: hours.hours,
            holidays=Holidays({date(2026, 1, 1): "元旦"}, frozenset({date(2026, 1, 4)})),
            authority_of=partial(authority_of, store, city, clock),
            new_id=lambda: ScheduleId(ground.fresh("S")),
        ),
    }


def _voice(ground: Ground, sounds: SoundDesk, hours: HoursDesk) -> BroadcastService:
    city, board, clock, drivers = ground.city, ground.board, ground.clock, ground.drivers
    return BroadcastService(
        store=ground.store,
        city=city,
        board=board,
        clock=clock,
        sounds=sounds,
        speaker_of=drivers.speaker_of,
        verify=verification(city=city, board=board, clock=clock, identity_of=drivers.onvif_of, quirks_of=drivers.quirks_of),
        rules=BroadcastRules(max_speakers_approved=20),
        # By a real clock there is no night but one that a test makes: tests are run at any hour.
        hours=lambda: hours.hours if isinstance(clock, SimulatedClock) else replace(hours.hours, quiet=()),
        manner=Manner(lead_in_s=0.1),
        circumstances=ground.circumstances,
    )


def _pictures(ground: Ground, captures: CaptureDesk) -> PictureDesk:
    async def take(camera: DeviceId, case: str, actor: Actor) -> bytes:
        return (await captures.take(camera, profile=None, case=case, actor=actor, looked_at=False)).picture

    def shown(camera: DeviceId, within: timedelta) -> tuple[bytes, datetime] | None:
        capture = captures.latest(camera, within=within)
        return None if capture is None else (capture.picture, capture.at)

    rules = PictureRules(after=timedelta(seconds=0.5))
    return PictureDesk(
        store=ground.store, clock=ground.clock, folder=ground.folder / "broadcast-pictures", take=take, shown=shown, rules=rules
    )


def _footage(ground: Ground, destinations: Sequence[Destination]) -> dict[str, Any]:
    folder, store, city, board, clock, drivers = ground.folder, ground.store, ground.city, ground.board, ground.clock, ground.drivers
    clocks = KnownClocks(store, board)
    looks = Looks(store=store, city=city, board=board, clock=clock)
    coverage = CoverageDesk(city=city, clock=clock, clocks=clocks, looks=looks, keeper_of=drivers.onvif_of)
    footage = FootageService(
        store=store,
        city=city,
        board=board,
        clock=clock,
        register=load_register(shipped_register()),
        search_of=drivers.onvif_of,
        target_of=drivers.target_of,
        new_id=lambda: ground.fresh("F"),
        fetching=Fetching(folder / "footage", folder / "evidence", Space(folder / "footage", floor=1 << 20)),
        evidence=EvidenceStore(folder / "holds"),
        cards=coverage,
        destinations=[*destinations, DirectoryDestination("share", folder / "share", mounted=False)],
    )
    space = Space(folder, floor=1 << 20)
    return {
        "coverage": coverage,
        "footage": footage,
        "holds": HoldDesk(store=store, clock=clock, coverage=coverage, space=space, new_id=lambda: ground.fresh("H"), stir=lambda: None),
        "strips": StripDesk(
            store=store,
            city=city,
            clocks=clocks,
            clock=clock,
            turn=footage.turn,
            source_of=drivers.onvif_of,
            target_of=drivers.target_of,
        ),
    }


def _health(ground: Ground) -> HealthService:
    drivers = ground.drivers
    tools = Tools(onvif_of=drivers.onvif_of, target_of=drivers.target_of, sensors=drivers.sensors, clock=ground.clock)
    health = HealthService(city=ground.city, board=ground.board, store=ground.store, tools=tools)
    health.resync()
    return health


async def _no_visit(device: DeviceId) -> None:
    """Nothing answers in this house."""
