"""A picture strip of a request's window: small stills at even moments, out of the recording by replay, to find the right minute by."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import UNDERTAKEN, FootageRequest, FootageState, Origin, Period, RequestId, Step
from gateway.drivers.base import Span, Target
from gateway.drivers.rtsp.replay import replay
from gateway.errors import Conflict, DeviceError, DeviceFault, Fault, InvalidInput, NotFound, Overloaded, ProtocolError
from gateway.footage.clocks import Clocks
from gateway.footage.custody import write_down
from gateway.footage.stretches import NOTHING_THERE
from gateway.footage.turns import Claim, Turn, claim_of
from gateway.media.stills import KeyPicture, StillDecoder
from gateway.storage.store import Store
from gateway.storage.writer import Lane

PICTURES_MAX: Final = 24
WIDTH: Final = 320
_ASK_S: Final = 10.0
_PICTURE_S: Final = 8.0
_REACH: Final = timedelta(seconds=10)
"""A key picture is so near at the most."""
_STRIPS: Final = 64
"""Strips that are remembered: some 10 MiB; the longest unused one is forgotten first."""
_STRIP_S: Final = 40.0
"""After that no more pictures are asked for: the next look goes on where this one stopped."""
_SURE: Final = frozenset({"", "not-recorded"})
"""Of what will not be otherwise the next time; other failures are tried again then."""
BUSY: Final = "busy"
"""The recorder replays to somebody else: no more pictures are asked for now."""
_OVER: Final = frozenset({FootageState.CANCELLED, FootageState.EXPIRED})


class ReplaySource(Protocol):
    """A device that replays what it keeps."""

    async def replay_path(self, recording: str, *, timeout_s: float) -> str: ...


@dataclass(frozen=True, slots=True)
class Still:
    """At `at` was asked for; `taken_at`: when it was taken; both on the true clock. `jpeg`: empty when there is none; `reason`: why."""

    at: datetime
    taken_at: datetime | None = None
    jpeg: bytes = b""
    reason: str = ""


_Key = tuple[RequestId, DeviceId, int]


class StripDesk:
    """Takes strips for requests that are cleared; each look is a line of the request's custody."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clocks: Clocks,
        clock: Clock,
        turn: Turn,
        source_of: Callable[[DeviceId], ReplaySource],
        target_of: Callable[[DeviceId], Target],
        decoder: StillDecoder | None = None,
        turn_within_s: float = 5.0,
    ) -> None:
        """`turn(device, claim)`: held while a device replays, shared with the exports; waited for no longer than `turn_within_s`."""
        self._store = store
        self._city = city
        self._clocks = clocks
        self._clock = clock
        self._turn = turn
        self._source_of = source_of
        self._target_of = target_of
        self._decoder = decoder or StillDecoder(width=WIDTH)
        self._turn_within_s = turn_within_s
        self._kept: OrderedDict[_Key, tuple[Still, ...]] = OrderedDict()

    async def of(self, request: RequestId, camera: DeviceId, count: int, *, by: Person) -> tuple[Still, ...]:
        """`count` stills of one camera of a request, evenly over its window, with each moment that has none said so.

        NotFound, Conflict (`wrong-state`) for a request that nobody has let go ahead or that is over, InvalidInput for another's camera,
        the DeviceErrors when the recorder gives none at all, Overloaded (`busy`) when it is at others' disposal.
        """
        async with self._store.read() as tx:
            known = await tx.footage.get(request)
        _check(known, camera, count)
        detail = {"camera": camera, "pictures": count, "window": [moment.isoformat() for moment in _ends(known.window_of(camera))]}
        await self._store.writer.write(
            lambda tx: write_down(tx, request, Step.LOOKED, by=by, at=self._clock.now(), detail=detail), lane=Lane.FOOTAGE
        )
        key = (request, camera, count)
        kept = self._kept.get(key, ())
        if not kept or any(still.reason not in _SURE for still in kept):
            origin = await self._origin(request, camera, known.window_of(camera))
            kept = await self._take(origin, known.window_of(camera), count, known=kept, claim=claim_of(known))
            if all(still.reason == BUSY for still in kept):
                hint = "Ask again in a minute, or when the export under way has ended."
                raise Overloaded(f"{origin.device} is replaying footage for somebody else.", code=BUSY, hint=hint)
            self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > _STRIPS:
            self._kept.popitem(last=False)
        return kept

    async def _origin(self, request: RequestId, camera: DeviceId, window: Period) -> Origin:
        """Where its footage is looked at: the recorder, or the camera's own card where only that was found to keep it. NotFound."""
        place = self._city.recorder_of(camera)
        if place is not None and place[1].recording_token:
            read = await self._clocks.of(place[0].id, window)
            return Origin(place[0].id, place[1].recording_token, offset=read.offset, clock=read)
        async with self._store.read() as tx:
            exports = await tx.footage.exports(request)
        found = next((export.first for export in exports if export.recorder == export.camera == camera), None)
        if found is None:
            raise NotFound(f"the inventory names no recording of {camera}")
        return found

    async def _take(self, origin: Origin, window: Period, count: int, *, known: Sequence[Still], claim: Claim) -> tuple[Still, ...]:
        """The stills of the window, without asking again for those `known` that are sure. The device is free between two of them."""
        path = await self._source_of(origin.device).replay_path(origin.recording, timeout_s=_ASK_S)
        target = self._target_of(origin.device)
        wanted = moments(window, count)
        stills = {still.at: still for still in known if still.reason in _SURE}
        end = self._clock.monotonic() + _STRIP_S
        why = ""  # no more are asked for
        async with asyncio.TaskGroup() as decoding:  # each while the next is fetched
            for at in wanted:
                if at in stills:
                    continue
                why = why or ("too-slow" if self._clock.monotonic() >= end else "")
                find = partial(_found, target, path, at, origin.offset_at(at) or timedelta(0))
                found = Still(at, reason=why) if why else await self._in_turn(origin.device, claim, find) or Still(at, reason=BUSY)
                if isinstance(found, Still):
                    stills[at] = found
                    why = BUSY if found.reason == BUSY else why
                else:
                    decoding.create_task(self._decode(found, stills))
        return tuple(stills[at] for at in wanted)

    async def _in_turn(self, device: DeviceId, claim: Claim, find: Callable[[], Awaitable["_Found | Still"]]) -> "_Found | Still | None":
        """What `find` gives in a turn of `device`; None when none comes soon."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._turn_within_s):
                    await held.enter_async_context(self._turn(device, claim))
            except TimeoutError:
                return None
            return await find()

    async def _decode(self, found: "_Found", stills: dict[datetime, Still]) -> None:
        try:
            stills[found.at] = Still(found.at, found.taken_at, await self._decoder.jpeg(found.encoding, found.stream))
        except (DeviceError, Overloaded) as failure:
            stills[found.at] = Still(found.at, reason=failure.code)


@dataclass(frozen=True, slots=True)
class _Found:
    """A key picture as it was recorded. `taken_at`: on the true clock."""

    at: datetime
    taken_at: datetime
    encoding: str
    stream: bytes


async def _found(target: Target, path: str, at: datetime, offset: timedelta) -> _Found | Still:
    """The picture, or the still that says why there is none."""
    try:
        encoding, stream, taken = await _picture(target, path, at + offset)
    except DeviceFault as fault:
        return Still(at, reason="not-recorded" if fault.code == NOTHING_THERE else fault.code)
    except (DeviceError, Overloaded) as failure:
        return Still(at, reason=failure.code)
    return _Found(at, taken - offset, encoding, stream)


def moments(window: Period, count: int) -> Sequence[datetime]:
    """`count` moments inside `window`, each in the middle of its part."""
    step = window.length / count
    return [window.start + step * (index + 0.5) for index in range(count)]


async def _picture(target: Target, path: str, at: datetime) -> tuple[str, bytes, datetime]:
    """Encoding and bytes of the key picture at or before `at` (device time), and when the device took it. Raises the DeviceErrors."""
    session = await replay(target, path, Span(at, at + _REACH), timeout_s=_PICTURE_S)
    try:
        track = session.tracks[0]
        key, taken = KeyPicture(track), at
        async with asyncio.timeout(_PICTURE_S):
            async for there in session.arrivals():
                for _, packet in there:
                    taken = packet.ntp or taken
                    stream = key(packet)
                    if stream is not None:
                        return track.encoding, stream, taken
    except TimeoutError:
        raise ProtocolError("no key picture came in time", code="no-picture") from None
    finally:
        await session.close()
    raise DeviceFault("nothing is recorded there", code=NOTHING_THERE)


def _check(request: FootageRequest, camera: DeviceId, count: int) -> None:
    if not request.cleared or request.state not in UNDERTAKEN - _OVER:
        hint = "Nothing is looked at before somebody else has approved the request."
        raise Conflict(f"a request that is {request.state} shows no pictures", code="wrong-state", hint=hint)
    faults = [] if camera in request.cameras else [Fault("?camera", f"{camera[:64]!r} is none of the request's cameras")]
    if not 1 <= count <= PICTURES_MAX:
        faults.append(Fault("?pictures", f"is from 1 to {PICTURES_MAX}"))
    if faults:
        raise InvalidInput("The question for a strip is not right.", faults=faults, code="bad-request")


def _ends(window: Period) -> tuple[datetime, datetime]:
    return window.start, window.end
