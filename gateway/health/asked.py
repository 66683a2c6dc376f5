"""Visits that somebody asks for: a device is looked at now, and its refused login may be tried once more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry
from gateway.domain.health import CheckResult
from gateway.errors import Conflict, Overloaded
from gateway.health.service import HealthService
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

AT_ONCE = 16
RETRY_EVERY_S = 300.0
"""A login that is refused may be tried again so often: devices lock out who tries a wrong one too often."""


@dataclass(slots=True)
class AskedVisits:
    """`let_retry`: makes everything that speaks to a device willing to try its credentials again, a time or two (rule 5)."""

    health: HealthService
    store: Store
    clock: Clock
    let_retry: Callable[[DeviceId], None]
    _under_way: int = 0
    _retried: dict[DeviceId, float] = field(default_factory=dict)

    async def visit(self, device: DeviceId, *, retry_credentials: bool, actor: Actor) -> Sequence[CheckResult]:
        """What a visit finds now; it counts like any other. On record before it begins.

        Raises NotFound, Conflict (`retried-just-now`) when its login was retried within the last five minutes, Overloaded beyond
        `AT_ONCE` such visits.
        """
        if self._under_way >= AT_ONCE:
            raise Overloaded(f"{AT_ONCE} devices are being visited", hint="ask again when they have answered")
        if retry_credentials:
            self._may_retry(device)
        self._under_way += 1
        try:
            await self._put_on_record(device, retry_credentials, actor)
            if retry_credentials:
                self._retried[device] = self.clock.monotonic()
                self.let_retry(device)
            return await self.health.check_now(device)
        finally:
            self._under_way -= 1

    def _may_retry(self, device: DeviceId) -> None:
        horizon = self.clock.monotonic() - RETRY_EVERY_S
        self._retried = {one: at for one, at in self._retried.items() if at > horizon}
        if device in self._retried:
            wait_s = self._retried[device] - horizon
            raise Conflict(
                f"The login of {device} was tried again just now.",
                code="retried-just-now",
                hint=f"Wait {wait_s:.0f} s: devices lock out who tries a wrong password too often.",
            )

    async def _put_on_record(self, device: DeviceId, retry: bool, actor: Actor) -> None:
        async def change(tx: Tx) -> None:
            tx.record(AuditEntry(actor, "device.check", device, self.clock.now(), {"retry_credentials": retry}))

        await self.store.writer.write(change, lane=Lane.HEALTH)
