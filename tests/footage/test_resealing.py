"""A proof is whole and says what the register says: whoever seals at the same moment, and wherever a crash comes in between."""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.footage import RequestId, Step
from gateway.domain.health import Board
from gateway.evidence.contents import MANIFEST, PROOF, SUMS
from gateway.evidence.verifying import verify
from gateway.footage import sealing
from gateway.footage.space import DiskFull
from gateway.storage.store import Store
from tests.footage.desk import NOW, WANG, Desk, Street, desk_of, working
from tests.footage.shelf import ready
from tests.waiting import until

LETTER = "补正〔2026〕7号"


@pytest.fixture
async def desk(store: Store, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk with one request that is ready, sealed on record."""
    clock = SimulatedClock(NOW)
    nowhere = Street(None, None, City(), Board(), clock)  # type: ignore[arg-type]  # nothing is fetched
    await ready(store, tmp_path / "footage", now=NOW)
    made = desk_of(nowhere, store, clock, tmp_path / "footage")
    await made.service._seals.follow(RequestId("F-1"))
    yield made


def manifest_of(desk: Desk) -> bytes:
    return desk.file(RequestId("F-1"), MANIFEST).read_bytes()


async def seals(desk: Desk) -> list[str]:
    """The manifests' digests in the order of the custody log."""
    custody = (await desk.service.dossier(RequestId("F-1"))).custody
    return [entry.detail["manifest_sha256"] for entry in custody if entry.step == Step.SEALED_AGAIN]


async def test_seals_at_the_same_moment_follow_each_other_and_the_newest_is_on_record(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    both, met = threading.Barrier(2, timeout=0.2), []

    def meeting(path: Path, data: bytes) -> None:
        if path.name == MANIFEST:
            with contextlib.suppress(threading.BrokenBarrierError):
                met.append(both.wait())
        real(path, data)

    real = sealing.replace_file
    monkeypatch.setattr(sealing, "replace_file", meeting)
    await asyncio.gather(*(desk.service._seals.follow(RequestId("F-1")) for _ in range(4)))
    assert met == []
    assert verify(desk.folder / "F-1").altered == ()
    known = await seals(desk)
    assert (len(set(known)), known[-1]) == (5, hashlib.sha256(manifest_of(desk)).hexdigest())


@pytest.mark.parametrize("written", range(len(PROOF) + 2))
async def test_a_proof_that_a_crash_left_half_written_is_sealed_anew_at_the_next_start(
    desk: Desk, store: Store, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """`written`: files of the new proof that are on the disk when the daemon dies, the two that stay under its digest among them."""
    left = iter(range(written))

    def dying(path: Path, data: bytes) -> None:
        if next(left, None) is None:
            raise OSError("the daemon died")
        real(path, data)

    real = sealing.replace_file
    monkeypatch.setattr(sealing, "replace_file", dying)
    with pytest.raises(DiskFull):
        await desk.service.amending.amend(RequestId("F-1"), {"approval_letter": LETTER}, by=WANG)
    monkeypatch.undo()
    known = await seals(desk)
    async with working(desk_of(desk.street, store, desk.clock, desk.folder)):
        await until(lambda: seals(desk), wanted=lambda told: len(told) == len(known) + 1)
    assert verify(desk.folder / "F-1").altered == ()
    assert json.loads(manifest_of(desk))["case"]["approval_letter"] == LETTER
    assert (await seals(desk))[-1] == hashlib.sha256(manifest_of(desk)).hexdigest()


async def test_an_amendment_that_was_not_sealed_is_sealed_when_it_is_sent_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(sealing, "replace_file", full)
    with pytest.raises(DiskFull):
        await desk.service.amending.amend(RequestId("F-1"), {"approval_letter": LETTER}, by=WANG)
    monkeypatch.undo()
    await desk.service.amending.amend(RequestId("F-1"), {"approval_letter": LETTER}, by=WANG)
    assert json.loads(manifest_of(desk))["case"]["approval_letter"] == LETTER


async def test_a_start_leaves_a_proof_alone_that_is_whole(desk: Desk, store: Store) -> None:
    before = manifest_of(desk)
    desk.clock.step(desk.service._rules.keep / 100)
    again = desk_of(desk.street, store, desk.clock, desk.folder)
    await again.service._seals.mend(again.service._prover.folders())
    assert (manifest_of(desk), len(await seals(desk))) == (before, 1)
    (desk.folder / "F-1" / SUMS).unlink()
    await again.service._seals.mend(again.service._prover.folders())
    assert len(await seals(desk)) == 2
    assert verify(desk.folder / "F-1").altered == ()
