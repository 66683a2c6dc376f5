"""The proof of a finished request follows its register: on record, one at a time, and made again when a crash came in between."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.domain.footage import DELIVERABLE, Dossier, FootageRequest, FootageState, RequestId, Step
from gateway.errors import GatewayError, NotFound
from gateway.footage.custody import write_down
from gateway.footage.ledger import GATEWAY
from gateway.storage.store import Store
from gateway.storage.writer import Lane

RESEALED: Final = DELIVERABLE - {FootageState.HANDED_OVER}
"""States in which the proof follows the register."""
SEALS: Final = (Step.CONCLUDED, Step.SUPPLEMENTED, Step.SEALED_AGAIN)
CHANGES: Final = (Step.AMENDED, Step.CONFIRMED)
"""What the custody log says of a proof, with its digest, and of what a proof has to follow."""


class Resealing:
    """Seals finished requests anew. Who seals, and who says of a request what its seal is, does it `alone` with the request."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        alone: Callable[[RequestId], asyncio.Lock],
        reseal: Callable[[Dossier], Awaitable[Mapping[str, str]]],
        is_sealed: Callable[[RequestId, str], Awaitable[bool]],
    ) -> None:
        """`reseal` writes a proof anew and tells its digests; `is_sealed`: whether the whole proof with this manifest is on the disk."""
        self._store = store
        self._clock = clock
        self._alone = alone
        self._reseal = reseal
        self._is_sealed = is_sealed
        self._log = structlog.get_logger()

    async def follow(self, name: RequestId) -> FootageRequest:
        """Let the proof of a request that is finished say what the register says now; the request.

        Nothing for others, nor for one that was handed over: what was given away keeps the proof that it was given away with.
        """
        async with self._alone(name):
            async with self._store.read() as tx:
                request = await tx.footage.get(name)
                if request.state not in RESEALED:
                    return request
                dossier = await tx.footage.dossier(name)
            detail: dict[str, Any] = {**await self._reseal(dossier)}
            at = self._clock.now()
            await self._store.writer.write(
                lambda tx: write_down(tx, name, Step.SEALED_AGAIN, by=GATEWAY, at=at, detail=detail), lane=Lane.FOOTAGE
            )
        return dossier.request

    async def is_behind(self, name: RequestId) -> bool:
        """Whether the proof of a finished request is not what the custody log says, or the register changed after it. NotFound."""
        async with self._alone(name):
            async with self._store.read() as tx:
                if (await tx.footage.get(name)).state not in RESEALED:
                    return False
                newest = await tx.footage.newest(name, (*SEALS, *CHANGES))
            if newest is None:
                return False
            digest = newest.detail.get("manifest_sha256", "")
            return not digest or not await self._is_sealed(name, digest)

    async def mend(self, names: Iterable[str]) -> None:
        """Seal anew what a crash left half sealed, or sealed with what the register said before."""
        for name in map(RequestId, names):
            try:
                if await self.is_behind(name):
                    await self.follow(name)
                    self._log.warning("footage.sealed_again", request=name)
            except NotFound:
                continue  # a folder of something else
            except GatewayError as error:
                self._log.warning("footage.not_sealed", request=name, reason=str(error))
