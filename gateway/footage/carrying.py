"""Carries packages to their destinations: one at a time to each, taken up again after a crash, handed over on arrival.

DONE means that the whole package lies there, each file with the digest that it was sealed with; the request is handed over in the same
transaction.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from gateway.clock import Clock, sleep_unless
from gateway.domain.deliveries import Delivery, DeliveryId, DeliveryState, arrived, begun, broken_off
from gateway.domain.events import NewEvent, Person
from gateway.domain.footage import DELIVERABLE, Act, FootageState, RequestId, Step
from gateway.errors import Conflict, Forbidden, GatewayError, StorageFailed
from gateway.evidence import archive
from gateway.evidence.contents import MANIFEST, SUMS, digests_in, names_in
from gateway.footage.custody import write_down
from gateway.footage.destinations import Destination, NotSent, Parcel, key_of
from gateway.footage.ledger import GATEWAY
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

FAILED_EVENT: Final = "footage.send-failed"
DELAYED_EVENT: Final = "footage.send-delayed"
"""Its first long pause begins."""
_OUTDATED: Final = frozenset({"package-changed", "package-gone", "request-ended"})
"""Codes that a package which is not to be sent any more ends with."""
_WAITING: Final = frozenset({FootageState.READY, FootageState.PARTIAL})


@dataclass(frozen=True, slots=True)
class Retries:
    """How long is waited before each further attempt: one after the other of `first_s`, then `long_s` until it was ordered `for_s` ago."""

    first_s: tuple[float, ...] = (10.0, 60.0, 300.0, 900.0)
    long_s: float = 3_600.0
    for_s: float = 86_400.0

    def after(self, attempts: int, *, age_s: float) -> float | None:
        """Seconds to wait when so many attempts came to nothing and it was ordered `age_s` ago; None when it has failed."""
        if attempts <= len(self.first_s):
            return self.first_s[attempts - 1]
        return self.long_s if age_s + self.long_s <= self.for_s else None

    def grow_long_after(self, attempts: int) -> bool:
        """Whether the pause after so many attempts is the first long one."""
        return attempts == len(self.first_s) + 1


USUAL_RETRIES: Final = Retries()


class _Due(NamedTuple):
    """When the next attempt is due, by both clocks."""

    monotonic: float
    at: datetime


class Carrier:
    """Sends what the store has waiting. `stir` tells it that there may be more, `hurry` that one shall wait no longer."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        destinations: Sequence[Destination],
        folder_of: Callable[[RequestId], Path],
        act: Callable[..., Awaitable[object]],
        gone: Callable[[RequestId], bool],
        alone: Callable[[RequestId], asyncio.Lock],
        retries: Retries,
    ) -> None:
        """`act` does an `Act` with a request (`Ledger.act`); `gone`: whether one ended in this life (`Ledger.gone`).

        `alone`: while it is held nobody seals the request anew.
        """
        self.destinations: Mapping[str, Destination] = {one.name: one for one in destinations}
        self._store = store
        self._clock = clock
        self._folder_of = folder_of
        self._act = act
        self._gone = gone
        self._alone = alone
        self._retries = retries
        self._stirred = {name: asyncio.Event() for name in self.destinations}
        self._due: dict[DeliveryId, _Due] = {}
        self._under_way: dict[DeliveryId, Parcel] = {}
        self._log = structlog.get_logger(__name__)

    def stir(self, destination: str) -> None:
        """There may be something to send to it."""
        self._stirred[destination].set()

    def hurry(self, delivery: Delivery) -> None:
        """Somebody asked for it again: what waits for its next attempt is tried at once."""
        if self._due.pop(delivery.id, None):
            self.stir(delivery.destination)

    def next_attempt(self, delivery: Delivery) -> datetime | None:
        """When it is tried again; None when it waits for no time."""
        due = self._due.get(delivery.id)
        return due.at if due else None

    def sent(self, delivery: Delivery) -> int:
        """How many bytes of it are on their way or there by now."""
        parcel = self._under_way.get(delivery.id)
        return parcel.read if parcel else delivery.sent

    async def run(self) -> None:
        """Send what waits until cancelled; what an earlier life was sending is sent anew."""
        await self._recover()
        async with asyncio.TaskGroup() as group:
            for destination in self.destinations.values():
                group.create_task(self._serve(destination), name=f"footage to {destination.name}")

    async def _recover(self) -> None:
        async with self._store.read() as tx:
            left = await tx.deliveries.open(limit=10_000)
        for delivery in left:
            if delivery.state is DeliveryState.SENDING:
                await self._break_off(delivery.id, NotSent("the gateway ended while it was sending", code="interrupted", again=True))
            if delivery.destination not in self.destinations:
                await self._break_off(delivery.id, NotSent("the configuration names this destination no more", code="no-destination"))

    async def _serve(self, destination: Destination) -> None:
        stirred = self._stirred[destination.name]
        while True:
            stirred.clear()
            async with self._store.read() as tx:
                waiting = await tx.deliveries.open(destination.name)
            due = {one.id: self._due[one.id].monotonic for one in waiting if one.id in self._due}
            ready = next((one for one in waiting if due.get(one.id, 0.0) <= self._clock.monotonic()), None)
            if ready is None:
                await self._wait(stirred, min(due.values(), default=None))
            else:
                self._due.pop(ready.id, None)
                await self._attempt(ready.id, destination)

    async def _wait(self, stirred: asyncio.Event, until: float | None) -> None:
        """Until somebody orders something, or the next attempt is due."""
        if until is None:
            await stirred.wait()
        else:
            await sleep_unless(stirred, self._clock, until - self._clock.monotonic())

    async def _attempt(self, name: DeliveryId, destination: Destination) -> None:
        """Send it once; what came to nothing is due again after a pause, or has failed."""
        delivery = await self._store.writer.write(lambda tx: self._begin(tx, name), lane=Lane.FOOTAGE)
        try:
            sha256 = await self._carry(delivery, destination)
            await self._conclude(delivery, sha256)
        except StorageFailed:
            raise
        except Exception as error:
            failure = error if isinstance(error, NotSent) else self._unforeseen(delivery, error)
            pause = self._pause(delivery) if failure.again else None
            if pause is not None:
                self._due[name] = _Due(self._clock.monotonic() + pause, self._clock.now() + timedelta(seconds=pause))
            await self._break_off(name, failure, again=pause is not None)
        finally:
            self._under_way.pop(name, None)

    def _pause(self, delivery: Delivery) -> float | None:
        return self._retries.after(delivery.attempts, age_s=(self._clock.now() - delivery.at).total_seconds())

    def _unforeseen(self, delivery: Delivery, error: Exception) -> NotSent:
        if isinstance(error, GatewayError):
            return NotSent(str(error), code=error.code, hint=error.hint)
        self._log.exception("footage.not_sent", delivery=delivery.id)
        return NotSent("internal error", again=True)

    async def _carry(self, delivery: Delivery, destination: Destination) -> str:
        """Bring the package there, or see that an attempt before this one did; the SHA-256 of what lies there."""
        key = key_of(delivery.request, delivery.manifest_sha256)
        try:
            parcel = await self._parcel(delivery)
        except NotSent as failure:
            if failure.code in _OUTDATED and delivery.attempts > 1:
                raise await _with_copy(failure, delivery, destination) from failure
            raise
        self._under_way[delivery.id] = parcel
        there = await destination.size_of(key)
        if there is None:
            await destination.write(key, parcel)
            return parcel.sha256
        async for _ in parcel.pieces():
            pass
        if there != parcel.size or await destination.digest_of(key) != parcel.sha256:
            hint = "see what it is and move it away, then send again; nothing is overwritten"
            raise NotSent("something else lies there under the package's name", code="destination-occupied", hint=hint)
        return parcel.sha256

    async def _parcel(self, delivery: Delivery) -> Parcel:
        if ended := await self._ended(delivery):
            raise ended
        folder = self._folder_of(delivery.request)
        sizes = await asyncio.to_thread(sizes_of, folder)
        if await asyncio.to_thread(manifest_of, folder) != delivery.manifest_sha256 or archive.length(sizes) != delivery.size:
            raise _changed()

        def check() -> None:
            if self._gone(delivery.request):
                raise NotSent("the request ended meanwhile", code="request-ended")

        digests = digests_in(await asyncio.to_thread((folder / SUMS).read_bytes))
        return Parcel([folder / name for name in sizes], delivery.size, digests=digests, check=check)

    async def _ended(self, delivery: Delivery, sha256: str = "") -> NotSent | None:
        """That its request is none to be delivered any more, when so. `sha256`: of the copy that lies there."""
        async with self._store.read() as tx:
            state = (await tx.footage.get(delivery.request)).state
        return None if state in DELIVERABLE else NotSent(f"the request is {state}", code="request-ended", outside_sha256=sha256)

    async def _conclude(self, delivery: Delivery, sha256: str) -> None:
        """It is there: on record, and with it the request is handed over, unless it was before. NotSent when it was overtaken."""

        async def done(tx: Tx) -> None:
            now = arrived(await tx.deliveries.get(delivery.id), sha256, at=self._clock.now())
            await tx.deliveries.put(now)
            await note(tx, now, Step.SENT, by=GATEWAY, at=self._clock.now())

        async with self._alone(delivery.request):
            if await asyncio.to_thread(manifest_of, self._folder_of(delivery.request)) != delivery.manifest_sha256:
                raise await self._ended(delivery, sha256) or _changed(sha256)
            async with self._store.read() as tx:
                state = (await tx.footage.get(delivery.request)).state
            if state in _WAITING:
                with contextlib.suppress(Conflict, Forbidden):  # it came to another end meanwhile: what is there is on record all the same
                    await self._act(delivery.request, Act.HAND_OVER, by=delivery.by, detail=told(delivery), also=done)
                    return
            await self._store.writer.write(done, lane=Lane.FOOTAGE)

    async def _begin(self, tx: Tx, name: DeliveryId) -> Delivery:
        delivery = begun(await tx.deliveries.get(name), at=self._clock.now())
        await tx.deliveries.put(delivery)
        await note(tx, delivery, Step.SEND_BEGUN, by=GATEWAY, at=self._clock.now())
        return delivery

    async def _break_off(self, name: DeliveryId, failure: NotSent, *, again: bool | None = None) -> None:
        more = failure.again if again is None else again
        sent = parcel.read if (parcel := self._under_way.get(name)) else 0

        async def change(tx: Tx) -> None:
            at = self._clock.now()
            why = f"{failure.code}: {failure}"
            delivery = broken_off(await tx.deliveries.get(name), why, at=at, again=more, outside_sha256=failure.outside_sha256)
            await tx.deliveries.put(delivery)
            step = Step.SEND_BROKEN_OFF if more else Step.SEND_FAILED
            await note(tx, delivery, step, by=GATEWAY, at=at, why=failure.code, reason=str(failure)[:500], sent=sent)
            if not more or self._retries.grow_long_after(delivery.attempts):
                state = (await tx.footage.get(delivery.request)).state
                event = DELAYED_EVENT if more else FAILED_EVENT
                tx.emit(NewEvent(event, delivery.request, at, {"state": state, "delivery": delivery.id}))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)


async def note(tx: Tx, delivery: Delivery, step: Step, *, by: Person, at: datetime, **about: object) -> None:
    """Put a step of `delivery` on record: custody, event and audit."""
    await write_down(tx, delivery.request, step, by=by, at=at, detail={**told(delivery), **about})


def told(delivery: Delivery) -> dict[str, object]:
    """What the record says of it."""
    receipt = delivery.receipt
    words: dict[str, object] = {
        "delivery": delivery.id,
        "destination": delivery.destination,
        "target": delivery.target,
        "way": delivery.way,
        "attempt": delivery.attempts,
        "receiver": receipt.receiver,
        "unit": receipt.unit,
        "badge": receipt.badge,
        "manifest_sha256": delivery.manifest_sha256,
        "size": delivery.size,
    }
    return words | {name: digest for name in ("sha256", "outside_sha256") if (digest := getattr(delivery, name))}


def _changed(sha256: str = "") -> NotSent:
    """`sha256`: of the copy of what it was before, which lies there."""
    return NotSent("the package was sealed anew meanwhile", code="package-changed", hint="send it again", outside_sha256=sha256)


async def _with_copy(failure: NotSent, delivery: Delivery, destination: Destination) -> NotSent:
    """`failure`, with the copy that an earlier attempt brought there and nobody acknowledged."""
    key = key_of(delivery.request, delivery.manifest_sha256)
    words, digest = str(failure), ""
    try:
        if await destination.size_of(key) == delivery.size:
            digest = await destination.digest_of(key)
    except NotSent as unseen:
        words += f"; whether a copy of an earlier attempt lies there could not be seen: {unseen}"
    return NotSent(words, code=failure.code, hint=failure.hint, outside_sha256=digest)


def manifest_of(folder: Path) -> str:
    """The digest of the manifest that lies in `folder`; "" for none."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def sizes_of(folder: Path) -> dict[str, int]:
    """Every file of the package and how many bytes it has. NotSent when one is missing."""
    try:
        return {name: (folder / name).stat().st_size for name in names_in((folder / SUMS).read_bytes())}
    except (OSError, ValueError) as error:
        raise NotSent("files of the package are missing", code="package-gone", hint="see what became of them") from error
