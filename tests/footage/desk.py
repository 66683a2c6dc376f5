"""A liaison desk in front of a small simulated city: real recorders over ONVIF and RTSP, the real worker process, a real store."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.processes import free_port
from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Channel, Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Dossier, Filing, FootageState, Period, RequestId
from gateway.domain.health import Board, Standing
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.footage.cut_file import Finished
from gateway.footage.fetching import Fetching
from gateway.footage.locating import Cards
from gateway.footage.register import load_register, shipped_register
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import FootageService, Rules
from gateway.footage.space import Space, free_bytes
from gateway.footage.stretches import Worker
from gateway.footage.worker import run_worker
from gateway.storage.store import Store
from simulators import city as simulated
from simulators.serving import running
from simulators.state import State

WANG = Person(Actor(ActorKind.API_KEY, "liaison"), "王建国的窗口")
ZHAO = Person(Actor(ActorKind.API_KEY, "approver"), "赵敏")
NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
DONE = {FootageState.READY, FootageState.PARTIAL, FootageState.UNAVAILABLE, FootageState.FAILED}
_ids = itertools.count(1)


def filing(**changes: object) -> Filing:
    """A request without a fault, for one minute an hour ago."""
    start = NOW - timedelta(hours=1)
    known = Filing(
        requester="王建国",
        unit="东昌府分局治安大队",
        badge="371502-0417",
        second_officer="李敏",
        case_number="聊公（治）字〔2026〕0001号",
        case_kind="public-order",
        legal_basis="criminal-procedure-evidence",
        authorising_document="调取证据通知书〔2026〕0001号",
        purpose="查明经过",
        destination="入卷",
        window=Period(start, start + timedelta(minutes=1)),
    )
    return replace(known, **changes)


@dataclass(frozen=True)
class Street:
    """The simulated devices, and the gateway's picture of them."""

    simulated: simulated.City
    state: State
    city: City
    board: Board
    clock: SimulatedClock

    def recorded(self, *, gappy: bool) -> tuple[simulated.SimDevice, simulated.SimChannel]:
        """A recorder and one of its channels."""
        return next(
            (recorder, channel)
            for recorder in self.simulated.of_kind("recorder")
            for channel in recorder.channels
            if channel.gappy is gappy
        )

    def target_of(self, device: DeviceId) -> Target:
        known = next(found for found in self.simulated.devices if found.id == device)
        ports = Ports(onvif=self.simulated.http_port, rtsp=self.simulated.rtsp_port)
        return Target(device, known.address, ports, Credentials(known.username, known.password))

    def search_of(self, device: DeviceId) -> OnvifDevice:
        return OnvifDevice(self.target_of(device), Http(), self.clock)


@contextlib.asynccontextmanager
async def street(*, now: datetime = NOW, groups: int = 12) -> AsyncIterator[Street]:
    """A city whose devices answer; their clocks show `now` plus their own error."""
    clock = SimulatedClock(now)
    planned = simulated.plan(seed=3, groups=groups, speakers=1, http_port=free_port(0), rtsp_port=free_port(0), snmp_port=1)
    began = time.monotonic()
    state = State(now=lambda: now.timestamp() + time.monotonic() - began)
    city, board = City(), Board()
    city.replace(devices=[_device(device) for device in planned.devices])
    for device in planned.devices:
        board.put(Standing(DeviceId(device.id), offset=timedelta(seconds=device.clock_offset_s)))
    async with running(planned, state, control=("127.0.0.1", 0), only=("http", "rtsp")):
        yield Street(planned, state, city, board, clock)


def _device(device: simulated.SimDevice) -> Device:
    """As the inventory has it: a camera's own card is no recorder."""
    kind = DeviceKind(device.kind)
    kept = device.channels if kind is DeviceKind.RECORDER else ()
    channels = tuple(Channel(channel.number, DeviceId(channel.camera), channel.token) for channel in kept)
    return Device(DeviceId(device.id), kind, device.name, device.address, serial=device.serial, channels=channels)


@dataclass(frozen=True)
class Desk:
    service: FootageService
    street: Street
    store: Store
    clock: SimulatedClock
    folder: Path

    async def fulfilled(self, wanted: Filing) -> Dossier:
        """File, approve and work off one request."""
        request = await self.service.submit(wanted, by=WANG)
        await self.service.approve(request.id, by=ZHAO)
        return await self.settled(request.id)

    async def settled(self, request: RequestId) -> Dossier:
        """The request when the gateway has done with it."""
        async with asyncio.timeout(60):
            events = self.store.events.follow(after=0)
            async for event in events:
                if event.subject == request and event.data.get("state") in DONE:
                    dossier = await self.service.dossier(request)
                    if dossier.request.state in DONE:
                        return dossier
        raise AssertionError("the events ended")

    def file(self, request: RequestId, name: str) -> Path:
        return self.folder / request / name


def desk_of(
    where: Street,
    store: Store,
    clock: SimulatedClock,
    folder: Path,
    *,
    worker: Worker = run_worker,
    rules: Rules | None = None,
    segment: timedelta = timedelta(minutes=5),
    keep_free: int = 1 << 20,
    free_of: Callable[[Path], int] = free_bytes,
    bytes_per_s: float = 20_000,
    evidence: EvidenceStore | None = None,
    cards: Cards | None = None,
) -> Desk:
    space = Space(folder, floor=keep_free, free_of=free_of)
    service = FootageService(
        store=store,
        city=where.city,
        board=where.board,
        clock=clock,
        register=load_register(shipped_register()),
        search_of=where.search_of,
        target_of=where.target_of,
        new_id=lambda: f"fr-{next(_ids)}",
        fetching=Fetching(folder, folder / "evidence", space, segment=segment, bytes_per_s=bytes_per_s),
        rules=rules or Rules(),
        evidence=evidence or EvidenceStore(folder / "holds"),
        cards=cards,
        worker=worker,
    )
    return Desk(service, where, store, clock, folder)


@contextlib.asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[Desk]:
    """The desk with its service running until the end of the block."""
    task = asyncio.create_task(desk.service.run())
    try:
        yield desk
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def keeping(reported: list[Finished]) -> Callable[[Finished], Awaitable[None]]:
    """Takes finished files into a list."""

    async def keep(finished: Finished) -> None:
        reported.append(finished)

    return keep
