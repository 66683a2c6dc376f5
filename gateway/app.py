"""The composition root: makes every part of the daemon, hands each what it needs, and starts and stops them in order."""

import asyncio
import resource
import secrets
import signal
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from gateway import __version__, sdnotify, tuning
from gateway.api.app import HttpDoor, build_api
from gateway.api.orders import authority_of, read_order
from gateway.api.problems import problem_of
from gateway.api.services import Caller, Services
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.holidays_file import load_holidays
from gateway.broadcast.hours import HoursDesk
from gateway.broadcast.kept import clips_ahead
from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.ledger import LedgerDesk
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pictures import PictureDesk
from gateway.broadcast.recordings import RecordingShelf
from gateway.broadcast.schedules import ScheduleDesk
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.speech import SpeechDesk
from gateway.broadcast.statistics import StatisticsDesk
from gateway.broadcast.talk import TalkDesk
from gateway.broadcast.verification import verification
from gateway.broadcast.warmup import WarmUp
from gateway.broadcast.zonecast import Multicasting
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.control.captures import CaptureDesk
from gateway.control.power import PowerDesk
from gateway.control.steering import SteeringDesk
from gateway.control.stills import StreamStills
from gateway.datadir import held
from gateway.domain.access import Permission, Role, permissions
from gateway.domain.broadcast import ClipId
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.health import Board
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId
from gateway.domain.schedules import NO_HOLIDAYS, ScheduleId
from gateway.domain.speaking import SpeakerPath
from gateway.domain.work_orders import WorkOrderId
from gateway.drivers.multicast import MulticastManner, MulticastSession
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.figures import HouseFigures
from gateway.footage.adopting import Adoption
from gateway.footage.coverage import CoverageDesk
from gateway.footage.fulfilment import Fetching
from gateway.footage.holds import HoldDesk
from gateway.footage.looks import Looks
from gateway.footage.register import load_register, shipped_register
from gateway.footage.securing import EvidenceStore, Securing
from gateway.footage.service import FootageService
from gateway.footage.space import Space
from gateway.footage.strips import StripDesk
from gateway.health.album import Album
from gateway.health.asked import AskedVisits
from gateway.health.checks.subject import SlowTools, Tools
from gateway.health.checks.table import SLOW, paced
from gateway.health.diary import Diary
from gateway.health.links import OwnLinks
from gateway.health.listening import Listening, wanted_of
from gateway.health.rounds import Rounds
from gateway.health.service import HealthService
from gateway.health.streams import Streams
from gateway.incidents.maintenance import MaintenanceDesk
from gateway.incidents.pictures import PictureFolder
from gateway.incidents.service import IncidentService
from gateway.incidents.work_orders import WorkOrderDesk
from gateway.inventory.bindings import BindingDesk
from gateway.inventory.runs import Errands
from gateway.inventory.searching import SearchService
from gateway.inventory.service import InventoryService
from gateway.inventory.surveying import UplinkSurveyor
from gateway.listening import must_be_free, telling_listening_errors
from gateway.media.clips import ClipPreparer, Leveller
from gateway.media.pictures import PictureReader
from gateway.media.speech import load_engine
from gateway.mqtt import Broker, MqttDoor, Sender
from gateway.notify import Notifier
from gateway.reports.kinds import load_kinds, shipped_kinds
from gateway.reports.service import ReportService
from gateway.storage.retention import Housekeeper
from gateway.storage.store import Store, Tx
from gateway.storage.vault import load_key
from gateway.supervisor import PartState, Supervisors, first_cause
from gateway.traps.service import TrapService, TrapSettings

log = structlog.get_logger()

PROFILES = next(
    folder
    for folder in (Path(__file__).parent / "configs" / "profiles", Path(__file__).parent.parent / "configs" / "profiles")
    if folder.is_dir()
)  # in the wheel, in the checkout
DESCRIPTORS = 65_536  # one a device and session; the unit file allows as many
STOP_PART_WITHIN_S = 10.0


async def serve(config: Config) -> None:
    """Run the daemon until SIGTERM or SIGINT, or until a part that it cannot do without fails.

    Raises InvalidInput for a setting that cannot work on this machine, Conflict when another daemon holds the data folder or the port
    cannot be listened on, StorageFailed when the store does not keep what it is given.
    """
    _raise_descriptor_limit()
    clock = SystemClock()
    with held(config.data_dir):
        await must_be_free(config.http.host, config.http.port)
        key = load_key(config.store_key(), create=True)
        profiles = Profiles.load(config.profiles_dir or PROFILES)
        city = City()
        async with (
            Store.open(config.store_url(), clock=clock, key=key, chain=config.instance) as store,
            Drivers(city, clock, profiles, walk_every_s=config.health.sensor_interval_s, outbound=tuning.outbound(config.sip)) as drivers,
        ):
            await House(config, clock, store, city, drivers).run(_asked_to_stop())
    log.info("stopped")


class House:
    """Every part of one daemon. Parts stop in the reverse order of their start: the doors first, the writer last."""

    def __init__(self, config: Config, clock: Clock, store: Store, city: City, drivers: Drivers) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._city = city
        self._drivers = drivers
        self._board = Board()
        self._inventory = InventoryService(store, city, clock)
        self._bindings = BindingDesk(store=store, city=city, clock=clock, inventory=self._inventory, reach_m=config.broadcast.reach_m)
        self._errands = Errands(clock)
        self._uplinks = self._make_uplinks()
        self._searches = self._make_searches()
        self._health = self._make_health()
        self._streams = Streams(camera_of=drivers.onvif_of, target_of=drivers.target_of, clock=clock)
        self._album = Album(store, clock)
        self._listening = self._make_listening()
        self._rounds = self._make_rounds()
        self._circumstances = Circumstances()
        self._maintenance = MaintenanceDesk(store=store, city=city, clock=clock, new_id=lambda: WindowId(f"M-{secrets.token_hex(6)}"))
        self._incidents = self._make_incidents()
        self._reports = ReportService(
            store=store,
            city=city,
            clock=clock,
            zone=ZoneInfo(config.timezone),
            kinds=load_kinds(config.reports.excuses_file or shipped_kinds()),
            site=config.reports.heading,
        )
        self._work_orders = self._make_work_orders()
        self._shelf = ClipShelf(
            store,
            config.data_dir / "clips",
            ClipPreparer(longest_s=config.broadcast.clip_max_s),
            clock,
            most_bytes=config.broadcast.clips_mib << 20,
            uses=self._clip_uses,
        )
        self._speech = SpeechDesk(
            load_engine(config.broadcast.speech_engine, longest_s=config.broadcast.clip_max_s),
            Leveller(longest_s=config.broadcast.clip_max_s),
            KeptSounds(config.data_dir / "speech", most_bytes=config.broadcast.speech_mib << 20),
            clock,
        )
        chime = ClipId(config.broadcast.chime_clip) if config.broadcast.chime_clip else None
        self._sounds = SoundDesk(self._shelf, self._speech, chime_clip=chime, ahead=True)
        self._hours = HoursDesk(
            config.broadcast.hours_file,
            store=store,
            city=city,
            clock=clock,
            timezone=ZoneInfo(config.timezone),
            new_id=lambda: f"Q-{secrets.token_hex(6)}",
        )
        self._pacer = ChildPacer(clock)
        drivers.bequeath_to(self._pacer.inherit)
        self._broadcasts = self._make_broadcasts()
        self._recordings = RecordingShelf(
            store, config.data_dir / "recordings", clock, keep_for=timedelta(days=config.broadcast.recordings_days)
        )
        self._captures = CaptureDesk(store=store, clock=clock, camera_of=drivers.onvif_of, stills=StreamStills(target_of=drivers.target_of))
        self._pictures = self._make_pictures()
        self._schedules = self._make_schedules()
        self._ledger = LedgerDesk(store=store, clock=clock, broadcasts=self._broadcasts)
        self._statistics = StatisticsDesk(store=store, city=city, timezone=ZoneInfo(config.timezone))
        self._talks = TalkDesk(
            broadcasts=self._broadcasts,
            clock=clock,
            bounds=tuning.talk(config.broadcast),
            recordings=self._recordings if config.broadcast.record_talk else None,
        )
        self._looks = Looks(store=store, city=city, board=self._board, clock=clock)
        self._coverage = CoverageDesk(city=city, board=self._board, clock=clock, looks=self._looks, keeper_of=drivers.onvif_of)
        self._footage = self._make_footage()
        self._securing, self._holds = self._make_holds()
        self._strips = StripDesk(
            store=store,
            city=city,
            board=self._board,
            clock=clock,
            turn=self._footage.turn,
            source_of=drivers.onvif_of,
            target_of=drivers.target_of,
        )
        self._parts = Supervisors(clock=clock)
        self._steering = SteeringDesk(store=store, clock=clock, camera_of=drivers.onvif_of)
        self._mqtt = self._make_mqtt() if config.mqtt.url is not None else None
        self._alerts = self._make_alerts()
        self._power = PowerDesk(
            store=store,
            city=city,
            clock=clock,
            ports=drivers.port_power,
            survey=drivers.neighbours_of,
            target_of=drivers.target_of,
            writing_to=drivers.writing_to,
        )
        self._traps = self._make_traps(config.traps.port) if config.traps.port is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Run all parts until `stop` is set; raises the error of a part that the daemon cannot do without."""
        await self._inventory.load()
        await self._renew_drivers()
        await self._shelf.load()
        await self._hours.load()
        await self._schedules.load()
        await self._looks.load()
        await self._health.load()
        if self._traps is not None:
            await self._traps.load()
        await self._incidents.load()
        await self._work_orders.load()
        self._add_parts()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = self._parts.start(group)
                await stop.wait()
                sdnotify.notify("STOPPING=1")
                for task in reversed(tasks):
                    task.cancel()
                    await asyncio.wait([task], timeout=STOP_PART_WITHIN_S)
        except ExceptionGroup as failed:
            raise first_cause(failed) from None

    def _add_parts(self) -> None:
        keep = tuning.keep(self._config.limits)
        door = HttpDoor(lambda: build_api(self._services()), host=self._config.http.host, port=self._config.http.port)
        self._parts.add("store", self._store.writer.run, fatal=True)
        self._parts.add("housekeeper", Housekeeper(self._store, clock=self._clock, keep=keep).run)
        self._parts.add("inventory", self._follow_inventory)
        self._parts.add("bindings", self._bindings.run)
        self._parts.add("errands", self._errands.run)
        self._parts.add("health", self._health.run)
        self._parts.add("slow-checks", self._rounds.run)
        self._parts.add("listening", self._listening.run)
        self._parts.add("incidents", self._incidents.run)
        self._parts.add("reports", self._reports.run)
        self._parts.add("work-orders", self._work_orders.run)
        self._parts.add("footage", self._footage.run)
        self._parts.add("footage-looks", self._looks.run)
        self._parts.add("holds", lambda: self._securing.run(self._holds))
        self._parts.add("sound", self._sounds.run)
        self._parts.add("broadcast", self._broadcasts.run)
        self._parts.add("schedules", self._schedules.run)
        self._parts.add("talk", self._talks.run)
        self._parts.add("recordings", self._recordings.run)
        self._parts.add("pictures", self._pictures.run)
        self._parts.add("steering", self._steering.run)
        self._parts.add("power", self._power.run)
        self._parts.add("warm-up", self._make_warm_up().run)
        if self._traps is not None:
            self._parts.add("traps", self._traps.run)
        self._parts.add("http", lambda: self._listen(door))
        if self._mqtt is not None:
            self._parts.add("mqtt", self._mqtt.run)
        self._parts.add("alerts", self._alerts.run)
        self._parts.add("service-manager", lambda: self._tell_service_manager(door))

    async def _listen(self, door: HttpDoor) -> None:
        with telling_listening_errors(self._config.http.host, self._config.http.port):
            await door.run()

    async def _follow_inventory(self) -> None:
        """Let everybody who holds something of a device take up what an import has changed; what came while this part was down, at once."""
        seen = self._store.events.latest
        await self._take_inventory_up()
        async for _ in self._inventory.changes(after=seen):
            await self._take_inventory_up()

    async def _take_inventory_up(self) -> None:
        await self._renew_drivers()
        self._health.resync()
        if self._traps is not None:
            self._traps.renew()
        self._rounds.resync()

    async def _renew_drivers(self) -> None:
        async with self._store.read() as tx:
            self._drivers.renew(await tx.inventory.load_credentials())

    async def _tell_service_manager(self, door: HttpDoor) -> None:
        host, port = await door.listening()
        log.info("ready", address=f"http://{host}:{port}/", version=__version__)
        sdnotify.notify("READY=1")
        await sdnotify.ping_watchdog(self._clock)

    def _make_health(self) -> HealthService:
        health, drivers = self._config.health, self._drivers
        tools = Tools(
            onvif_of=drivers.onvif_of,
            telephone_of=drivers.telephone_of,
            target_of=drivers.target_of,
            sensors=drivers.sensors,
            clock=self._clock,
            recognise=drivers.recognise,
            echo=drivers.echoes.answered,
            timeout_s=health.timeout_s,
            clock_limit_s=health.clock_limit_s,
        )
        return HealthService(
            city=self._city,
            board=self._board,
            store=self._store,
            tools=tools,
            limits=tuning.limits(health),
            pace=tuning.pace(health),
            limits_of=tuning.limits_by_kind(health),
            links=OwnLinks(health.own_links, self._clock),
        )

    def _make_traps(self, port: int) -> TrapService:
        traps = self._config.traps
        return TrapService(
            TrapSettings(port, traps.host, traps.buffer_bytes, traps.per_device_s, traps.burst),
            city=self._city,
            board=self._board,
            store=self._store,
            clock=self._clock,
            folder=self._config.data_dir,
            target_of=self._drivers.target_of,
            rules_of=self._drivers.traps_of,
            report=self._health.report,
            visit=self._health.check_now,
        )

    def _let_retry(self, device: DeviceId) -> None:
        self._drivers.try_again(device)
        self._streams.forget(device)

    def _make_listening(self) -> Listening:
        listen = self._config.health.listen
        return Listening(
            wanted_of(listen.to, listen.devices, at_most=listen.at_most),
            city=self._city,
            board=self._board,
            clock=self._clock,
            events_of=self._drivers.events_of,
            report=self._health.report,
            complains=self._health.complains,
        )

    def _make_rounds(self) -> Rounds:
        health = self._config.health
        tools = SlowTools(
            clock=self._clock,
            city=self._city,
            board=self._board,
            streams=self._streams,
            pictures=PictureReader(),
            album=self._album,
            target_of=self._drivers.target_of,
            recorder_of=self._drivers.onvif_of,
            sensors=self._drivers.sensors,
            diary=Diary(self._store),
            silent_s=self._listening.silent_s,
            complains=self._health.complains,
            events_within_s=health.listen.silent_s,
            picture_within_s=health.picture_within_s,
            recording_lag_s=health.recording_lag_s,
            retention_days=health.retention_days,
            zone=ZoneInfo(self._config.timezone),
        )
        settings = {name: check.model_dump(exclude_none=True) for name, check in health.checks}
        checks = {name: paced(slow, settings[name]) for name, slow in SLOW.items()}
        return Rounds(
            checks, tools=tools, report=self._health.report, withdraw=self._health.withdraw, lagged_since=self._health.lagged_since
        )

    def _make_incidents(self) -> IncidentService:
        return IncidentService(
            store=self._store,
            city=self._city,
            board=self._board,
            circumstances=self._circumstances,
            maintenance=self._maintenance,
            clock=self._clock,
            suspects=self._health.suspects,
            visit=self._health.check_now,
            new_id=lambda: IncidentId(f"I-{secrets.token_hex(6)}"),
            rules=tuning.incidents(self._config),
        )

    def _make_work_orders(self) -> WorkOrderDesk:
        return WorkOrderDesk(
            store=self._store,
            city=self._city,
            clock=self._clock,
            agreement=tuning.agreement(self._config.work_orders, ZoneInfo(self._config.timezone)),
            pictures=PictureFolder(self._config.data_dir / "work-orders"),
            new_id=lambda: WorkOrderId(f"W-{secrets.token_hex(6)}"),
        )

    def _make_uplinks(self) -> UplinkSurveyor:
        return UplinkSurveyor(
            store=self._store,
            city=self._city,
            clock=self._clock,
            inventory=self._inventory,
            errands=self._errands,
            neighbours_of=self._drivers.neighbours_of,
            addresses_of=self._drivers.addresses_of,
        )

    def _make_searches(self) -> SearchService:
        return SearchService(
            store=self._store,
            city=self._city,
            clock=self._clock,
            inventory=self._inventory,
            errands=self._errands,
            strangers=self._drivers.strangers,
            quirks_of=self._drivers.quirks_of,
            rules=tuning.searches(self._config.discovery),
        )

    async def _clip_uses(self, tx: Tx, clip: ClipId) -> Sequence[str]:
        """What beside broadcasts needs a clip of the library."""
        chime = ["broadcast.chime_clip"] if clip == self._config.broadcast.chime_clip else []
        return [*chime, *(f"schedule {schedule}" for schedule in await tx.schedules.of_clip(clip))]

    def _make_broadcasts(self) -> BroadcastService:
        broadcast, drivers = self._config.broadcast, self._drivers
        return BroadcastService(
            store=self._store,
            city=self._city,
            board=self._board,
            clock=self._clock,
            sounds=self._sounds,
            speaker_of=drivers.speaker_of,
            verify=verification(
                city=self._city,
                board=self._board,
                clock=self._clock,
                identity_of=drivers.identity_of,
                is_telephone=drivers.is_telephone,
                quirks_of=drivers.quirks_of,
            ),
            rules=tuning.broadcasts(broadcast),
            hours=lambda: self._hours.hours,
            volume_of=lambda speaker: None if drivers.is_telephone(speaker) else drivers.volume_of(speaker),
            manner=tuning.manner(broadcast),
            circumstances=self._circumstances,
            pacer=self._pacer,
            multicasting=Multicasting(
                listens=lambda speaker: SpeakerPath.MULTICAST in drivers.target_of(speaker).speaker.paths,
                open=partial(MulticastSession, manner=MulticastManner(str(broadcast.multicast_interface or ""), broadcast.multicast_ttl)),
            ),
        )

    def _make_schedules(self) -> ScheduleDesk:
        broadcast = self._config.broadcast
        return ScheduleDesk(
            store=self._store,
            city=self._city,
            clock=self._clock,
            broadcasts=self._broadcasts,
            sounds=self._sounds,
            hours=lambda: self._hours.hours,
            holidays=load_holidays(broadcast.holidays_file) if broadcast.holidays_file else NO_HOLIDAYS,
            authority_of=partial(authority_of, self._store, self._city, self._clock),
            new_id=lambda: ScheduleId(f"S-{secrets.token_hex(6)}"),
            rules=tuning.schedules(broadcast),
        )

    def _make_warm_up(self) -> WarmUp:
        ahead = partial(clips_ahead, self._shelf)
        return WarmUp(city=self._city, clock=self._clock, speaker_of=self._drivers.speaker_of, ahead=ahead, load=self._drivers.warm)

    def _make_pictures(self) -> PictureDesk:
        async def take(camera: DeviceId, case: str, actor: Actor) -> bytes:
            return (await self._captures.take(camera, profile=None, case=case, actor=actor)).picture

        folder = self._config.data_dir / "broadcast-pictures"
        return PictureDesk(store=self._store, clock=self._clock, folder=folder, take=take, rules=tuning.pictures(self._config.broadcast))

    def _make_footage(self) -> FootageService:
        footage, drivers = self._config.footage, self._drivers
        return FootageService(
            store=self._store,
            city=self._city,
            board=self._board,
            clock=self._clock,
            register=load_register(footage.register_file or shipped_register()),
            search_of=drivers.onvif_of,
            target_of=drivers.target_of,
            new_id=lambda: f"F-{secrets.token_hex(6)}",
            fetching=Fetching(
                self._config.data_dir / "footage",
                self._config.data_dir / "evidence",
                self._footage_space(),
                segment=timedelta(minutes=footage.segment_minutes),
                exports=footage.workers,
            ),
            rules=tuning.footage(footage),
            slowed=self._health.latencies.slowed,
            cards=self._coverage,
            adoption=Adoption(self._store, self._evidence_store()),
        )

    def _evidence_store(self) -> EvidenceStore:
        return EvidenceStore(self._config.data_dir / "holds", segment=timedelta(minutes=self._config.footage.segment_minutes))

    def _footage_space(self) -> Space:
        return Space(self._config.data_dir, floor=self._config.footage.keep_free_mib << 20)

    def _make_holds(self) -> tuple[Securing, HoldDesk]:
        drivers, rules = self._drivers, tuning.holds(self._config.footage)
        evidence = self._evidence_store()
        space = self._footage_space()
        securing = Securing(
            store=self._store,
            city=self._city,
            clock=self._clock,
            coverage=self._coverage,
            space=space,
            evidence=evidence,
            turn=self._footage.turn,
            source_of=drivers.onvif_of,
            target_of=drivers.target_of,
            bytes_per_s=rules.bytes_per_s,
        )
        desk = HoldDesk(
            store=self._store,
            clock=self._clock,
            coverage=self._coverage,
            space=space,
            new_id=lambda: f"H-{secrets.token_hex(6)}",
            stir=securing.stir,
            rules=rules,
        )
        return securing, desk

    def _make_mqtt(self) -> MqttDoor:
        settings = self._config.mqtt
        rights = permissions({Role.PLATFORM}) | ({Permission.BROADCAST_EMERGENCY} if settings.emergencies else frozenset())
        platform = Caller(Actor(ActorKind.API_KEY, f"mqtt:{settings.client_id}"), "mqtt", rights)
        return MqttDoor(
            Broker.of(settings),
            prefix=settings.prefix,
            store=self._store,
            city=self._city,
            board=self._board,
            circumstances=self._circumstances,
            clock=self._clock,
            broadcasts=self._broadcasts,
            sender=Sender(
                platform.actor,
                read_order=partial(read_order, caller=platform, city=self._city),
                problem=lambda error: problem_of(error).body(),
                body_bytes=self._config.limits.body_bytes,
            ),
        )

    def _make_alerts(self) -> Notifier:
        publish = None if self._mqtt is None else self._mqtt.publish
        return Notifier(
            self._config.alerts_file,
            store=self._store,
            city=self._city,
            clock=self._clock,
            publish=publish,
            muted_by=lambda device: self._circumstances[device].muted or "",
            download_for=timedelta(hours=self._config.footage.download_hours),
        )

    def _services(self) -> Services:
        metrics = CollectorRegistry()
        figures = HouseFigures(
            self._parts,
            self._health,
            mqtt=self._mqtt,
            traps=self._traps,
            alerts=self._alerts,
            rounds=self._rounds,
            listening=self._listening,
            pacer=self._pacer,
        )
        metrics.register(figures)
        ProcessCollector(registry=metrics)
        return Services(
            clock=self._clock,
            city=self._city,
            board=self._board,
            store=self._store,
            incidents=self._incidents,
            maintenance=self._maintenance,
            reports=self._reports,
            work_orders=self._work_orders,
            circumstances=self._circumstances,
            inventory=self._inventory,
            bindings=self._bindings,
            uplinks=self._uplinks,
            searches=self._searches,
            clips=self._shelf,
            sounds=self._sounds,
            broadcasts=self._broadcasts,
            talks=self._talks,
            recordings=self._recordings,
            ledger=self._ledger,
            statistics=self._statistics,
            pictures=self._pictures,
            hours=self._hours,
            schedules=self._schedules,
            footage=self._footage,
            coverage=self._coverage,
            holds=self._holds,
            strips=self._strips,
            captures=self._captures,
            steering=self._steering,
            traps=self._traps,
            power=self._power,
            album=self._album,
            visits=AskedVisits(self._health, self._store, self._clock, self._let_retry),
            alerts=self._alerts,
            camera_of=self._drivers.onvif_of,
            describe=self._drivers.describe,
            model_of=self._drivers.model_of,
            limits=self._config.limits,
            version=__version__,
            readiness=self._unready,
            metrics=metrics,
        )

    def _unready(self) -> Mapping[str, str]:
        unready = {part.name: part.last_error or part.state for part in self._parts if part.state is not PartState.RUNNING}
        return {"store": self._store.writer.trouble, **unready} if self._store.writer.trouble else unready


def _asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _raise_descriptor_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
