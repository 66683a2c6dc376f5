"""A request whose footage is ready, put straight into the store and onto the disk: for tests of what happens to it afterwards."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from gateway.domain.devices import DeviceId
from gateway.domain.footage import TRANSITIONS, Export, ExportState, FootageFile, FootageRequest, FootageState, Period, RequestId
from gateway.evidence.contents import PROOF, SUMS, SUMS_SIGNATURE, sums
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import WANG, ZHAO, filing

CAMERA = DeviceId("cam-1")
FILM = "01_cam-1_001.mp4"
REFUSED = "the device refuses replay"
CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


async def walk(tx: Tx, asked: FootageRequest, done: FootageRequest) -> None:
    """Bring `asked`, as it was filed, to `done` by a way that the store lets a request go."""
    await tx.footage.add(asked)
    shut = FootageState.GOING_AHEAD if done.decided_by else FootageState.APPROVED
    ways: dict[FootageState, list[FootageState]] = {asked.state: []}
    for state in (known := [asked.state]):
        for (before, _), after in TRANSITIONS.items():
            if before is state and after not in ways and after is not shut:
                ways[after] = [*ways[state], after]
                known.append(after)
    now = asked
    for state in ways[done.state]:
        before, now = now, replace(done, state=state, reason=done.reason or "why")
        await tx.footage.replace(before, now)
    explained = done.state in (FootageState.PARTIAL, FootageState.UNAVAILABLE, FootageState.FAILED)
    await tx.footage.replace(now, replace(done, reason=done.reason or "why" * explained))


async def unavailable(store: Store, *, now: datetime, by=WANG, request: str = "F-1") -> RequestId:
    """An approved request whose recorder has no replay: nothing was fetched, there is no package."""
    ident, start = RequestId(request), now - timedelta(hours=1)
    asked = FootageRequest(ident, filing(window=Period(start, start + timedelta(minutes=1))), (CAMERA,), by, now)
    done = replace(asked, state=FootageState.UNAVAILABLE, changed_at=now, decided_by=ZHAO, decided_at=now, reason=REFUSED)
    export = Export(ident, CAMERA, DeviceId("nvr-1"), "", state=ExportState.NOTHING, reason=REFUSED)

    async def change(tx: Tx) -> None:
        await walk(tx, asked, done)
        await tx.footage.put_export(export)

    await store.writer.write(change, lane=Lane.FOOTAGE)
    return ident


async def ready(
    store: Store,
    folder: Path,
    *,
    now: datetime,
    request: str = "F-1",
    state: FootageState = FootageState.READY,
    content: bytes = CONTENT,
    by=WANG,
    papers_due_at: datetime | None = None,
    decided: bool = True,
    **changes: object,
) -> RequestId:
    """One camera's minute as the one file FILM in `folder`/`request`, fetched, ready and approved when `decided`.

    `changes` are to its filing.
    """
    ident = RequestId(request)
    start = now - timedelta(hours=1)
    period = Period(start, start + timedelta(minutes=1))
    asked = FootageRequest(ident, filing(window=period, **changes), (CAMERA,), by, now, papers_due_at=papers_due_at)
    done = replace(asked, state=state, ready_at=now, changed_at=now)
    if decided:
        done = replace(done, decided_by=ZHAO, decided_at=now)
    export = Export(ident, CAMERA, DeviceId("nvr-1"), "rec-1", state=ExportState.DONE, coverage=(period,), obtained=(period,))
    digest = hashlib.sha256(content).hexdigest()
    film = FootageFile(ident, CAMERA, 1, FILM, digest, len(content), 1500, 0, period, (period,), now)
    (folder / request).mkdir(parents=True)
    beside = {name: name.encode() * 100 for name in PROOF}
    beside[SUMS] = sums(
        {name: hashlib.sha256(data).hexdigest() for name, data in {**beside, FILM: content}.items() if name not in (SUMS, SUMS_SIGNATURE)}
    )
    for name, data in {**beside, FILM: content}.items():
        (folder / request / name).write_bytes(data)

    async def change(tx: Tx) -> None:
        await walk(tx, asked, done)
        await tx.footage.put_export(export)
        await tx.footage.add_file(film)

    await store.writer.write(change, lane=Lane.FOOTAGE)
    return ident
