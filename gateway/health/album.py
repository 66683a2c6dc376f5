"""The album: what each camera's pictures are compared with, kept in the store, so that a restart forgets nothing."""

from gateway.clock import Clock
from gateway.domain import pictures as rules
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry
from gateway.domain.pictures import Last, Memory, Opinion, Picture
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane


class Album:
    """References stand in the store and are read when a picture is judged; only each camera's last picture is kept in memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last: dict[DeviceId, Last] = {}

    async def judge(self, camera: DeviceId, picture: Picture, *, movable: bool) -> Opinion:
        """What `picture` is worth. What it teaches is stored before this returns. Raises StorageFailed, Overloaded."""
        async with self._store.read() as tx:
            before = Memory(await tx.pictures.references(camera), self._last.get(camera))
        after, opinion = rules.look(before, picture, self._clock.now(), movable=movable)
        light = picture.light
        learnt = after.references.get(light)
        if learnt is not None and learnt != before.references.get(light):
            await self._store.writer.write(lambda tx: tx.pictures.put(camera, light, learnt), lane=Lane.HEALTH)
        if after.last is not None:
            self._last[camera] = after.last
        return opinion

    async def renew(self, camera: DeviceId, *, actor: Actor) -> None:
        """The camera was turned, cleaned or exchanged on purpose: its pictures are learnt anew. On record."""

        async def change(tx: Tx) -> None:
            await tx.pictures.forget(camera)
            tx.record(AuditEntry(actor, "picture.renew", camera, self._clock.now()))

        await self._store.writer.write(change, lane=Lane.HEALTH)
        self._last.pop(camera, None)
