"""Bindings of loudspeakers to what cameras see: proposed again whenever the city changes, decided by people."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.domain.bindings import REACH_M, Binding, BindingKey, BindingState, Eye, Proposals, SightKey, propose, seen_from
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.events import SYSTEM, Actor, AuditEntry, NewEvent
from gateway.errors import Fault, InvalidInput
from gateway.inventory.service import InventoryService
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

PROPOSED_EVENT: Final = "bindings.proposed"
CHANGED_EVENT: Final = "binding.changed"
AT_ONCE: Final = 1_000
"""Bindings that one call may decide on."""
log = structlog.get_logger()


class BindingDesk:
    """The only one, beside an import, that changes bindings. `reach_m`: how far a loudspeaker is heard where nobody says better.

    While it changes something, an import waits; before a call returns, the change is on the disk and the city shows it.
    """

    def __init__(self, *, store: Store, city: City, clock: Clock, inventory: InventoryService, reach_m: float = REACH_M) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._inventory = inventory
        self._reach_m = reach_m

    async def run(self) -> None:
        """Propose at the start and after each import, until cancelled."""
        seen = self._store.events.latest
        await self.propose(actor=SYSTEM)
        async for _ in self._inventory.changes(after=seen):
            await self.propose(actor=SYSTEM)

    async def propose(self, *, actor: Actor, dry_run: bool = False) -> Proposals:
        """Add the proposals that distances and directions ask for, and take back those that hold no longer; what a person decided stays.

        With `dry_run` nothing is changed. Raises what the store raises.
        """
        async with self._inventory.still():
            found = await asyncio.to_thread(proposals, self._city, reach_m=self._reach_m)
            if found and not dry_run:
                data = {"added": len(found.put), "removed": len(found.gone), "by": str(actor)}
                await self._change(found, [NewEvent(PROPOSED_EVENT, "", self._clock.now(), data)], self._audit(actor, "propose", data))
                log.info(PROPOSED_EVENT, **data)
        return found

    async def decide(
        self, keys: Collection[BindingKey], state: BindingState, *, actor: Actor, note: str | None = None, reach_m: float | None = None
    ) -> Sequence[Binding]:
        """Confirm or reject these bindings, all or none, and return them; one that nobody had proposed is there from now on.

        `note` and `reach_m` are kept as they are when they are None. Raises InvalidInput naming each camera and loudspeaker that is none.
        """
        at = self._clock.now()

        def decided(binding: Binding) -> Binding:
            wanted = binding if reach_m is None else replace(binding, reach_m=reach_m)
            return wanted.decided(state, by=str(actor), at=at, note=note)

        return await self._each(keys, decided, actor, state.value)

    async def set_reach(self, keys: Collection[BindingKey], reach_m: float, *, actor: Actor) -> Sequence[Binding]:
        """Say how far the loudspeakers of these bindings are heard; what is decided stays decided. InvalidInput as `decide`."""
        return await self._each(keys, lambda binding: replace(binding, reach_m=reach_m), actor, "reach")

    async def _each(
        self, keys: Collection[BindingKey], changed: Callable[[Binding], Binding], actor: Actor, verb: str
    ) -> Sequence[Binding]:
        async with self._inventory.still():
            _must_be(keys, self._city)
            wanted = sorted(set(keys))
            known = self._city.bindings
            usual = (known.get(key) or Binding(key.camera, key.speaker, key.preset, self._reach_m) for key in wanted)
            after = [changed(binding) for binding in usual]
            put = [binding for binding in after if known.get(binding.key) != binding]
            if put:
                at = self._clock.now()
                events = [NewEvent(CHANGED_EVENT, binding.camera, at, _data(binding) | {"by": str(actor)}) for binding in put]
                data = {"bindings": [_data(binding) for binding in put]}
                await self._change(Proposals(tuple(put)), events, self._audit(actor, verb, data))
        return after

    def _audit(self, actor: Actor, verb: str, data: Mapping[str, Any]) -> AuditEntry | None:
        """The gateway's own proposals are no deed of a person, and follow from an import that is recorded."""
        return None if actor == SYSTEM else AuditEntry(actor, f"binding.{verb}", "", self._clock.now(), dict(data))

    async def _change(self, change: Proposals, events: Iterable[NewEvent], entry: AuditEntry | None) -> None:
        told = list(events)

        async def write(tx: Tx) -> None:
            await tx.bindings.put(change.put)
            await tx.bindings.remove(change.gone)
            for event in told:
                tx.emit(event)
            if entry is not None:
                tx.record(entry)

        await self._store.writer.write(write, lane=Lane.FOOTAGE)
        await asyncio.to_thread(self._city.bind, put=change.put, gone=change.gone)


def proposals(city: City, *, reach_m: float) -> Proposals:
    """What arithmetic would change of the bindings of `city`. A camera's own loudspeakers need no binding to it."""
    cameras = {camera.id: city.place_of(camera) for camera in city.of_kind(DeviceKind.CAMERA)}
    speakers = {speaker.id: place for speaker in city.of_kind(DeviceKind.SPEAKER) if (place := city.place_of(speaker)) is not None}
    views = dict.fromkeys([*(SightKey(camera, "") for camera in cameras), *city.sights])
    eyes = [Eye(*view, None if (place := cameras.get(view.camera)) is None else seen_from(place, city.sights.get(view))) for view in views]
    found = propose(eyes, speakers, city.bindings, reach_m=reach_m)
    return replace(found, put=tuple(binding for binding in found.put if city.devices[binding.speaker].audio_output_of != binding.camera))


def _must_be(keys: Iterable[BindingKey], city: City) -> None:
    faults = []
    for number, key in enumerate(keys):
        for name, kind in (("camera", DeviceKind.CAMERA), ("speaker", DeviceKind.SPEAKER)):
            device = city.devices.get(DeviceId(getattr(key, name)))
            if device is None or device.kind is not kind:
                faults.append(Fault(f"/bindings/{number}/{name}", f"no {kind} {getattr(key, name)[:64]!r}"))
    if faults:
        raise InvalidInput("Some of these devices do not exist.", faults=faults, code="unknown-device")


def _data(binding: Binding) -> dict[str, Any]:
    return {
        "camera": binding.camera,
        "preset": binding.preset,
        "speaker": binding.speaker,
        "reach_m": binding.reach_m,
        "state": binding.state.value,
        "note": binding.note,
    }
