"""The composition root: makes every part of the daemon, hands each what it needs, and starts and stops them in order."""

import asyncio
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector

from gateway import __version__, sdnotify, tuning
from gateway.api.app import HttpDoor, build_api
from gateway.api.services import Services
from gateway.clock import Clock, SystemClock
from gateway.composition.broadcast import make_broadcast
from gateway.composition.control import make_control
from gateway.composition.doors import make_alerts, make_mqtt
from gateway.composition.footage import make_footage
from gateway.composition.ground import Ground
from gateway.composition.health import make_health
from gateway.composition.incidents import make_incidents
from gateway.composition.inventory import make_inventory
from gateway.config import Config
from gateway.datadir import held
from gateway.domain.city import City
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.figures import HouseFigures
from gateway.listening import must_be_free, telling_listening_errors
from gateway.storage.retention import Housekeeper
from gateway.storage.store import Store
from gateway.storage.vault import load_key
from gateway.supervisor import PartState, Supervisors, first_cause

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
        self._ground = ground = Ground(config, clock, store, city, drivers)
        self._inventory = make_inventory(ground)
        self._health = make_health(ground)
        self._incidents = make_incidents(ground, self._health.service)
        self._control = make_control(ground)
        self._broadcast = make_broadcast(ground, self._control.captures)
        self._footage = make_footage(ground, slowed=self._health.service.latencies.slowed)
        self._mqtt = make_mqtt(ground, self._broadcast.service)
        self._alerts = make_alerts(ground, self._mqtt)
        self._parts = Supervisors(clock=clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Run all parts until `stop` is set; raises the error of a part that the daemon cannot do without."""
        await self._load()
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

    async def _load(self) -> None:
        """What the parts know from the store before they run, the inventory first."""
        await self._inventory.service.load()
        await self._renew_drivers()
        await self._broadcast.shelf.load()
        await self._broadcast.hours.load()
        await self._broadcast.schedules.load()
        await self._footage.looks.load()
        await self._health.service.load()
        if self._health.traps is not None:
            await self._health.traps.load()
        await self._incidents.service.load()
        await self._incidents.work_orders.load()

    def _add_parts(self) -> None:
        config, store, clock = self._ground.config, self._ground.store, self._ground.clock
        door = HttpDoor(lambda: build_api(self._services()), host=config.http.host, port=config.http.port)
        self._parts.add("store", store.writer.run, fatal=True)
        self._parts.add("housekeeper", Housekeeper(store, clock=clock, keep=tuning.keep(config.limits)).run)
        self._parts.add("inventory", self._follow_inventory)
        self._parts.add("bindings", self._inventory.bindings.run)
        self._parts.add("errands", self._inventory.errands.run)
        self._parts.add("health", self._health.service.run)
        self._parts.add("slow-checks", self._health.rounds.run)
        self._parts.add("listening", self._health.listening.run)
        self._parts.add("incidents", self._incidents.service.run)
        self._parts.add("reports", self._incidents.reports.run)
        self._parts.add("work-orders", self._incidents.work_orders.run)
        self._parts.add("footage", self._footage.service.run)
        self._parts.add("footage-looks", self._footage.looks.run)
        self._parts.add("holds", lambda: self._footage.securing.run(self._footage.holds))
        if self._footage.precautions is not None:
            self._parts.add("precautions", self._footage.precautions.run)
        if self._footage.scrubber is not None:
            self._parts.add("scrub", self._footage.scrubber.run)
        self._parts.add("sound", self._broadcast.sounds.run)
        self._parts.add("broadcast", self._broadcast.service.run)
        self._parts.add("schedules", self._broadcast.schedules.run)
        self._parts.add("talk", self._broadcast.talks.run)
        self._parts.add("recordings", self._broadcast.recordings.run)
        self._parts.add("pictures", self._broadcast.pictures.run)
        self._parts.add("steering", self._control.steering.run)
        self._parts.add("power", self._control.power.run)
        self._parts.add("warm-up", self._broadcast.warm_up.run)
        if self._health.traps is not None:
            self._parts.add("traps", self._health.traps.run)
        self._parts.add("http", lambda: self._listen(door))
        if self._mqtt is not None:
            self._parts.add("mqtt", self._mqtt.run)
        self._parts.add("alerts", self._alerts.run)
        self._parts.add("service-manager", lambda: self._tell_service_manager(door))

    async def _listen(self, door: HttpDoor) -> None:
        http = self._ground.config.http
        with telling_listening_errors(http.host, http.port):
            await door.run()

    async def _follow_inventory(self) -> None:
        """Let everybody who holds something of a device take up what an import has changed; what came while this part was down, at once."""
        seen = self._ground.store.events.latest
        await self._take_inventory_up()
        async for _ in self._inventory.service.changes(after=seen):
            await self._take_inventory_up()

    async def _take_inventory_up(self) -> None:
        await self._renew_drivers()
        self._health.service.resync()
        if self._health.traps is not None:
            self._health.traps.renew()
        self._health.rounds.resync()

    async def _renew_drivers(self) -> None:
        async with self._ground.store.read() as tx:
            self._ground.drivers.renew(await tx.inventory.load_credentials())

    async def _tell_service_manager(self, door: HttpDoor) -> None:
        host, port = await door.listening()
        log.info("ready", address=f"http://{host}:{port}/", version=__version__)
        sdnotify.notify("READY=1")
        await sdnotify.ping_watchdog(self._ground.clock)

    def _services(self) -> Services:
        ground, inventory, health, incidents = self._ground, self._inventory, self._health, self._incidents
        broadcast, footage, control, drivers = self._broadcast, self._footage, self._control, self._ground.drivers
        return Services(
            clock=ground.clock,
            city=ground.city,
            board=ground.board,
            store=ground.store,
            incidents=incidents.service,
            maintenance=incidents.maintenance,
            reports=incidents.reports,
            work_orders=incidents.work_orders,
            circumstances=ground.circumstances,
            inventory=inventory.service,
            bindings=inventory.bindings,
            uplinks=inventory.uplinks,
            searches=inventory.searches,
            clips=broadcast.shelf,
            sounds=broadcast.sounds,
            broadcasts=broadcast.service,
            talks=broadcast.talks,
            recordings=broadcast.recordings,
            ledger=broadcast.ledger,
            statistics=broadcast.statistics,
            pictures=broadcast.pictures,
            hours=broadcast.hours,
            schedules=broadcast.schedules,
            footage=footage.service,
            coverage=footage.coverage,
            holds=footage.holds,
            strips=footage.strips,
            captures=control.captures,
            steering=control.steering,
            traps=health.traps,
            power=control.power,
            album=health.album,
            visits=health.visits,
            alerts=self._alerts,
            camera_of=drivers.onvif_of,
            describe=drivers.describe,
            model_of=drivers.model_of,
            limits=ground.config.limits,
            version=__version__,
            readiness=self._unready,
            metrics=self._metrics(),
        )

    def _metrics(self) -> CollectorRegistry:
        metrics = CollectorRegistry()
        figures = HouseFigures(
            self._parts,
            self._health.service,
            mqtt=self._mqtt,
            traps=self._health.traps,
            alerts=self._alerts,
            rounds=self._health.rounds,
            listening=self._health.listening,
            pacer=self._broadcast.pacer,
            scrubber=self._footage.scrubber,
        )
        metrics.register(figures)
        ProcessCollector(registry=metrics)
        return metrics

    def _unready(self) -> Mapping[str, str]:
        unready = {part.name: part.last_error or part.state for part in self._parts if part.state is not PartState.RUNNING}
        trouble = self._ground.store.writer.trouble
        return {"store": trouble, **unready} if trouble else unready


def _asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _raise_descriptor_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
