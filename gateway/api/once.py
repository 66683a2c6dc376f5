"""One effect for each Idempotency-Key, however often, and however many at a time, a call is sent."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from aiohttp import web
from pydantic import BaseModel

from gateway.api.problems import MEDIA_TYPE, problem_of
from gateway.api.replies import json_bytes
from gateway.api.services import Caller
from gateway.clock import Clock
from gateway.errors import Conflict, DeviceError, Fault, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.storage.idempotency import StoredResponse, request_hash
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

T = TypeVar("T")

REPLAYED = "Idempotent-Replayed"
# A service that raises one of these has done nothing that lasts (a camera that failed gave no picture): the key may be used again.
_NOTHING_DONE = (InvalidInput, NotFound, Conflict, Forbidden, Overloaded, DeviceError)


class Once:
    """Does an effect for a key the first time, and answers what was answered then every other time.

    In one process, those that come while the first is under way wait for its answer. After a crash in between nobody knows what came of
    it: the key stays claimed, and who asks again is told so (Conflict, `outcome-unknown`) instead of the effect being done twice.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def do(
        self,
        caller: Caller,
        key: str,
        request: str,
        act: Callable[[], Awaitable[web.StreamResponse]],
        *,
        told_once: Collection[str] = (),
    ) -> web.StreamResponse:
        """The answer of `act`, or the one that was given the first time, without the fields `told_once`. `request`: see `fingerprint`."""
        if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
            fault = Fault("Idempotency-Key", "must be 1 to 255 printable ASCII characters")
            raise InvalidInput("This is no Idempotency-Key.", faults=[fault])
        principal = str(caller.actor)
        lock = self._locks.setdefault((principal, key), asyncio.Lock())
        async with lock:
            first = await self._write(partial(_claim, principal=principal, key=key, request=request, clock=self._clock))
            if first is not None:
                return _again(first)
            try:
                answer = await act()
            except _NOTHING_DONE:
                await self._write(partial(_release, principal=principal, key=key))
                raise
            await self._write(partial(_complete, principal=principal, key=key, kept=_kept(answer, told_once)))
            return answer

    async def _write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        return await self._store.writer.write(change, lane=Lane.BROADCAST)


def fingerprint(request: web.Request, arguments: Mapping[str, Any]) -> str:
    """What was asked, as one hash: method, path with query, and what the body means (not how it was spaced)."""
    body = arguments.get("body")
    if isinstance(body, BaseModel):
        return request_hash(request.method, request.path_qs, body.model_dump(mode="json"))
    return request_hash(request.method, request.path_qs, hashlib.sha256(arguments.get("content", b"")).hexdigest())


async def _claim(tx: Tx, *, principal: str, key: str, request: str, clock: Clock) -> StoredResponse | None:
    try:
        return await tx.idempotency.claim(principal, key, request=request, now=clock.now())
    except Conflict as conflict:
        if conflict.code != "idempotency-in-progress":
            raise
        hint = "Look up what came of it before you try again with a new key."
        raise Conflict("A call with this key was begun, and what came of it is not known.", code="outcome-unknown", hint=hint) from None


async def _release(tx: Tx, *, principal: str, key: str) -> None:
    await tx.idempotency.release(principal, key)


async def _complete(tx: Tx, *, principal: str, key: str, kept: StoredResponse) -> None:
    await tx.idempotency.complete(principal, key, kept)


def _kept(answer: web.StreamResponse, told_once: Collection[str]) -> StoredResponse:
    """What is answered the next time. A picture or a file is not kept here; who asks again is told that it was made.

    What is told once is nowhere in the store.
    """
    body = answer.body if isinstance(answer, web.Response) else b"?"
    if not body:
        return StoredResponse(answer.status, None)
    if not isinstance(body, bytes) or answer.content_type != "application/json":
        return StoredResponse(_NOT_KEPT.status, _NOT_KEPT.body())
    told = json.loads(body)
    return StoredResponse(answer.status, {**told, **dict.fromkeys(told_once)} if told_once else told)


def _again(first: StoredResponse) -> web.Response:
    answer = json_bytes(json.dumps(first.body, ensure_ascii=False).encode(), status=first.status, headers={REPLAYED: "true"})
    if first.status >= HTTPStatus.BAD_REQUEST:
        answer.content_type = MEDIA_TYPE
    return answer


_NOT_KEPT = problem_of(
    Conflict(
        "This was done once, and its answer was not kept.",
        code="answer-not-kept",
        hint="GET /v1/audit shows what was done. To do it again, use a new key.",
    )
)
