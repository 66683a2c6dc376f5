"""Fetches the footage of one camera: what holds and other requests have of it, the rest from its recorder, then from its own card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, ExportState, Origin, Period, RequestId, judged, left_out, total
from gateway.drivers.base import Target
from gateway.errors import Busy, DeadlineExceeded, DeviceError, NotFound, NotSupported, Overloaded
from gateway.footage.adopting import Adoption
from gateway.footage.camera_fetch import CameraFetch
from gateway.footage.cut_file import Finished
from gateway.footage.in_hand import InHand
from gateway.footage.ledger import Ledger
from gateway.footage.locating import ASK_TIMEOUT_S, Locator, RecordingSearch
from gateway.footage.patience import patiently
from gateway.footage.planning import Planner
from gateway.footage.progress import Gauge, Progress
from gateway.footage.space import DiskFull, Space
from gateway.footage.stretches import Replay, Worker, fetch_stretch, may_give_way, next_number
from gateway.footage.taking_over import TakeOver
from gateway.footage.turns import GaveWay, Turns, Wanted
from gateway.footage.worker import Reached


@dataclass(frozen=True, slots=True)
class Fetching:
    """How footage is fetched. `exports`: how many at once in all, of each recorder as `Turns` has it.

    `space`: the disk, and what stays free on it. `keys`: where the evidence key lives; made at the first package. `bytes_per_s`: what a
    second of footage takes of a camera of which nothing was fetched yet.
    """

    folder: Path
    keys: Path
    space: Space
    segment: timedelta = timedelta(minutes=5)
    exports: int = 2
    bytes_per_s: float = 4_000_000 / 8


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why the fetching from one device broke off; "" when it did not. `refused`: the device cannot do this at all."""

    told: str = ""
    refused: bool = False


class Fetcher:
    """Does it by turns of the devices. `progress` tells how far it is."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        turns: Turns,
        locator: Locator,
        planner: Planner,
        adoption: Adoption,
        take_over: TakeOver,
        search_of: Callable[[DeviceId], RecordingSearch],
        target_of: Callable[[DeviceId], Target],
        folder_of: Callable[[RequestId], Path],
        segment: timedelta,
        worker: Worker,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._turns = turns
        self._locator = locator
        self._planner = planner
        self._adoption = adoption
        self._take_over = take_over
        self._search_of = search_of
        self._target_of = target_of
        self._folder_of = folder_of
        self._segment = segment
        self._worker = worker
        self._in_hand = InHand(clock)
        self._gauges: dict[tuple[RequestId, DeviceId], Gauge] = {}

    def progress(self, request: RequestId) -> Mapping[DeviceId, Progress]:
        """How far the cameras are whose footage is being fetched for `request` now."""
        return {camera: gauge.read() for (wanted, camera), gauge in self._gauges.items() if wanted == request}

    async def fetch(self, fetch: CameraFetch) -> None:
        """Fetch the footage of one camera, from its card what its recorder leaves out; its export ends DONE, PARTIAL, NOTHING or FAILED.

        What another request is fetching now is waited for, to be had from that.
        """
        async with self._in_hand.after_others(fetch):
            await self._fetch(fetch)

    async def _fetch(self, fetch: CameraFetch) -> None:
        broken = await self._tried(fetch, fetch.export.first)
        told, refused = broken.told or fetch.export.reason, broken.refused
        try:
            adopted = await self._adoption.into(fetch, recorded=[run for file in fetch.files for run in file.runs])
        except DiskFull as failure:
            adopted, told = 0, told or str(failure)
        if adopted and not tuple(fetch.missing(fetch.export.first)):
            told, refused = fetch.export.reason, False
        card = await self._card(fetch)
        if card is not None:
            broken = await self._tried(fetch, card)
            told = "; ".join(dict.fromkeys(filter(None, (told, broken.told))))
            refused = refused and (broken.refused or not broken.told)
        if (adopted or card is not None) and not fetch.lacking():
            told = ""
        fetch.export = judged(fetch.export, fetch.files, fetch.window, error=told, refused=refused)
        await self._ledger.put_exports(fetch.export)

    async def _card(self, fetch: CameraFetch) -> Origin | None:
        """The camera's own card, where it has something of what is still missing.

        One that was not asked before, because the recorder said to have it all, is asked now.
        """
        export = fetch.export
        unforeseen = export.recorder != export.camera and any(left_out(export.gaps, fetch.lacking(), least=LEAST_GAP))
        if export.card is None and unforeseen and (card := await self._locator.card(export.camera, fetch.window)) is not None:
            fetch.export = export.beside(card, fetch.window)
        found = fetch.export.card
        return found if found is not None and any(fetch.missing(found)) else None

    async def _tried(self, fetch: CameraFetch, origin: Origin) -> _Broken:
        """Fetch what `origin` has and is not there, again and again where that helps; why it broke off, if it did."""
        try:
            about = {"request": fetch.export.request, "camera": fetch.export.camera}
            await patiently(lambda: self._attempt(fetch, origin), self._clock, done=lambda: len(fetch.files), **about)
        except NotSupported as refusal:
            named = "the device" if origin.device == fetch.export.recorder else "the camera's own card"
            return _Broken(f"{named} refuses replay: {refusal}", refused=True)
        except (DeviceError, NotFound, Overloaded) as failure:
            return _Broken(str(failure) if origin.device == fetch.export.recorder else f"the camera's own card: {failure}")
        except DiskFull as failure:
            return _Broken(str(failure))
        return _Broken()

    async def _attempt(self, fetch: CameraFetch, origin: Origin) -> None:
        """Fetch what is missing, in as many turns of its device as are needed to let more urgent ones go first."""
        gave_way = bool(origin.recording)  # without, nobody replays it: what is held is all that there is
        while gave_way:
            try:
                await self._in_turn(fetch, origin)
                gave_way = False
            except GaveWay:
                continue

    async def _in_turn(self, fetch: CameraFetch, origin: Origin) -> None:
        """Whoever has to wait for a busy device waits outside."""
        device, key = origin.device, (fetch.export.request, fetch.export.camera)
        async with self._turns.turn(device, fetch.claim) as wanted:
            await self._ledger.put_exports(replace(fetch.export, state=ExportState.EXPORTING, reason=""))
            self._gauges[key] = gauge = Gauge(total(fetch.export.recorded), fetch.done(), fetch.size())
            try:
                await self._adoption.into(fetch, recorded=(fetch.window,))
                await self._take_over.into(fetch, origin)
                for part in origin.parts:
                    await self._fetch_rest(fetch, part, gauge, wanted)
            except (Busy, DeadlineExceeded):
                self._turns.held_up(device)
                raise
            finally:
                del self._gauges[key]
            self._turns.went_well(device)

    async def _fetch_rest(self, fetch: CameraFetch, origin: Origin, gauge: Gauge, wanted: Wanted) -> None:
        """Replay what `origin` has and is not yet in a file, stretch by stretch. GaveWay after a file when the turn is wanted."""
        holes = tuple(fetch.missing(origin))
        if not holes:
            return
        folder = self._folder_of(fetch.export.request)
        path = await self._search_of(origin.device).replay_path(origin.recording, timeout_s=ASK_TIMEOUT_S)

        async def keep(finished: Finished) -> None:
            file = fetch.file(finished, origin, at=self._clock.now())
            await self._ledger.add_file(file)
            fetch.files.append(file)
            if any(fetch.missing(origin)):
                await self._planner.keep_floor()
                if wanted() and may_give_way(file, fetch.files):
                    raise GaveWay

        grid = origin.device_period(fetch.window).start
        replay = Replay(self._target_of(origin.device), path, folder, fetch.prefix, self._segment, grid)
        for hole, goes_on in holes:
            await self._planner.keep_floor()
            gauge.begin(fetch.done(), fetch.size())
            first, period = next_number(file.number for file in fetch.files), origin.device_period(hole)
            heed = partial(self._heed, gauge, period)
            await fetch_stretch(self._worker, replay, period, first=first, goes_on=goes_on, take=keep, heed=heed)

    def _heed(self, gauge: Gauge, period: Period, reached: Reached) -> None:
        gauge.heed(period, reached.at, reached.size, self._clock.monotonic())
