"""What is seen of how fast recordings are overwritten: each look at an oldest moment, by whoever made it, kept over restarts."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.coverage import LOOKS_APART, Look
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import Board
from gateway.storage.looks import Recorded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

_MOST: Final = 64
_EVERY_S: Final = 900.0
_OLD: Final = timedelta(days=30)
_AT_ONCE: Final = 500
_CHECK: Final = "recording"
"""The health check that tells the oldest moment of every channel of a recorder."""


class Looks:
    """The looks of the last month, at the most 64 a recording: the newest whole, the older ones thinned out."""

    def __init__(self, *, store: Store, city: City, board: Board, clock: Clock) -> None:
        self._store = store
        self._city = city
        self._board = board
        self._clock = clock
        self._seen: dict[Recorded, list[Look]] = {}
        self._cards: dict[DeviceId, str] = {}
        self._fresh: set[Recorded] = set()

    async def load(self) -> None:
        """Take up what earlier runs saw."""
        async with self._store.read() as tx:
            self._seen = {recorded: list(looks) for recorded, looks in (await tx.looks.all()).items()}
        for recorded in self._seen:
            self._know_card(recorded)

    def of(self, device: DeviceId, recording: str) -> Sequence[Look]:
        return self._seen.get(Recorded(device, recording), ())

    def card_of(self, camera: DeviceId) -> str:
        """The recording on the camera's own card, where one was ever seen; else ""."""
        return self._cards.get(camera, "")

    def note(self, device: DeviceId, recording: str, oldest: datetime) -> None:
        """Just now `oldest`, on the true clock, was the first moment that `device` keeps of `recording`."""
        recorded, now = Recorded(device, recording), self._clock.now()
        self._seen[recorded] = thinned([*self._seen.get(recorded, ()), Look(now, oldest)], now)
        self._fresh.add(recorded)
        self._know_card(recorded)

    async def run(self) -> None:
        """Take up what the health checks find, and write down what is new, every quarter of an hour until cancelled."""
        while True:
            self._harvest()
            await self.keep()
            await self._clock.sleep(_EVERY_S)

    async def keep(self) -> None:
        """Write down what is new."""
        gone = {recorded for recorded in self._seen if recorded.device not in self._city.devices} if self._city.devices else set()
        for recorded in gone:
            del self._seen[recorded]
            self._cards.pop(recorded.device, None)
        fresh = sorted(self._fresh - gone)
        self._fresh.clear()
        if gone:
            await self._store.writer.write(lambda tx: tx.looks.drop({recorded.device for recorded in gone}), lane=Lane.HEALTH)
        for start in range(0, len(fresh), _AT_ONCE):
            part = {recorded: tuple(self._seen[recorded]) for recorded in fresh[start : start + _AT_ONCE]}

            async def change(tx: Tx, part: Mapping[Recorded, Sequence[Look]] = part) -> None:
                await tx.looks.put(part)

            await self._store.writer.write(change, lane=Lane.HEALTH)

    def _know_card(self, recorded: Recorded) -> None:
        device = self._city.devices.get(recorded.device)
        if device is not None and device.kind is DeviceKind.CAMERA:
            self._cards[recorded.device] = recorded.recording

    def _harvest(self) -> None:
        for recorder in self._city.of_kind(DeviceKind.RECORDER):
            standing = self._board[recorder.id]
            tokens = {str(channel.number): channel.recording_token for channel in recorder.channels}
            for number, told in standing.facts.get(_CHECK, {}).get("channels", {}).items():
                oldest = _moment(told)
                if oldest is not None and tokens.get(number):
                    self._take(recorder.id, tokens[number], oldest - (standing.offset or timedelta(0)))

    def _take(self, device: DeviceId, recording: str, oldest: datetime) -> None:
        """A check's word counts when it is news: when it was found is not known, only that it was since the last time."""
        before = self.of(device, recording)
        if not before or oldest > before[-1].oldest:
            self.note(device, recording, oldest)


def thinned(looks: Sequence[Look], now: datetime) -> list[Look]:
    """`looks` without what is old, too close together, or too much; the first and the last two stay."""
    kept = [look for look in looks if look.at > now - _OLD]
    if len(kept) > 2 and kept[-1].at - kept[-3].at < LOOKS_APART:
        del kept[-2]
    if len(kept) > _MOST:
        del kept[1 : _MOST // 2 : 2]
    return kept


def _moment(told: Mapping[str, Any]) -> datetime | None:
    earliest = told.get("earliest")
    return datetime.fromisoformat(earliest) if isinstance(earliest, str) else None
