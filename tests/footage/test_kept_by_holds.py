"""What a hold covers stays, whoever would remove it, and is had by the requests for it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import Act, Emergency, FootageState, Period, Step
from gateway.domain.health import Standing
from gateway.domain.holds import Hold, HoldId, HoldState, KeepState
from gateway.domain.imports import Brought
from gateway.errors import Conflict
from gateway.footage.holds import HoldDesk
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import Rules
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, WANG, ZHAO, Street, desk_of, filing, working
from tests.footage.held import DAY, Bench, camera_of, order
from tests.waiting import until


async def test_nothing_under_hold_is_deleted_whoever_tries(bench: Bench, store: Store) -> None:
    """By cancelling, by the end of a request's time, by another hold's end, by the row."""
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage", rules=Rules(keep=DAY))) as requests:
        dossier = await requests.fulfilled(filing(cameras=(camera,)))
        request, file = dossier.request.id, requests.file(dossier.request.id, dossier.files[0].name)
        held = await bench.desk.place(order(camera, request=request), by=ZHAO)
        with pytest.raises(Conflict):
            await store.writer.write(lambda tx: tx.footage.mark_removed(request), lane=Lane.FOOTAGE)
        await requests.service._fulfilment.drop(request)
        assert file.is_file()
        assert not file.with_name("manifest.json").exists()
        await bench.clock.advance(4 * 86_400)
        for _ in range(4):  # the request's time is over long before the hold's
            await bench.clock.advance(60)
        assert file.is_file()
        await bench.clock.advance(4 * 86_400)
        await until(lambda: bench.desk.get(held.hold.id), wanted=lambda found: found.hold.state is HoldState.EXPIRED)
        await bench.clock.advance(120)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))


async def test_a_request_that_is_taken_back_leaves_what_is_held_until_the_hold_ends(bench: Bench, store: Store) -> None:
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage")) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), emergency=Emergency.DANGER_TO_LIFE), by=WANG)
        dossier = await requests.settled(request.id)
        file = requests.file(request.id, dossier.files[0].name)
        held = await bench.desk.place(order(camera), by=ZHAO)
        await requests.service.revoke(request.id, by=ZHAO, note="误报")
        assert file.is_file()
        custody = (await requests.service.dossier(request.id)).custody
        assert custody[-1].detail["held"] == [file.name]
        await bench.desk.release(held.hold.id, by=ZHAO, note="结案")
        await bench.clock.advance(60)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
        assert [found.removed for found in (await requests.service.dossier(request.id)).files] == [True]


@pytest.mark.parametrize("act", [Act.REVOKE, Act.EXPIRE])
async def test_a_brought_file_stays_as_long_as_a_hold_covers_its_request(bench: Bench, store: Store, act: Act) -> None:
    """The vendor's export is all that there is of a recorder without replay."""
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage", rules=Rules(keep=DAY))) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), emergency=Emergency.DANGER_TO_LIFE), by=WANG)
        dossier = await requests.settled(request.id)
        said = Brought(brought_by="赵工", badge="1", device="DVR", client="a client", original_name="a.dav")
        announced = await requests.service.imports.announce(request.id, said, size=5, by=WANG)
        one = await requests.service.imports.receive(announced.id, _pieces(b"bytes"), start=0, by=WANG)
        file = requests.file(request.id, one.name)
        held = await bench.desk.place(order(camera), by=ZHAO)
        if act is Act.REVOKE:
            await requests.service.revoke(request.id, by=ZHAO, note="误报")
            assert set((await requests.service.dossier(request.id)).custody[-1].detail["held"]) == {one.name, dossier.files[0].name}
        else:
            await bench.clock.advance(2 * 86_400)
        await requests.service.imports.tend()
        await bench.clock.advance(60)
        assert file.read_bytes() == b"bytes"
        await bench.desk.release(held.hold.id, by=ZHAO, note="结案")
        await bench.clock.advance(60)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
        disposed = [line.detail for line in await requests.service.custody(request.id, after=0, limit=200) if line.step is Step.DISPOSED]
        assert [named["name"] for told in disposed for named in told["files"]].count(one.name) == 1
        assert (await requests.service.imports.get(one.id)).removed


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("ago_s", [0, 20], ids=["the same window", "a part of what one file holds"])
async def test_a_request_gets_what_was_secured_when_its_recorder_has_lost_it(bench: Bench, store: Store, ago_s: int) -> None:
    recorder, channel = bench.where.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    placed = await bench.desk.place(order(camera), by=WANG)
    folder = await bench.settled(placed.hold.id, KeepState.SECURED)
    bench.where.state.ail(recorder, Fault(answer=Answer.REFUSE))
    then = folder.keeps[0].offset
    bench.where.board.put(Standing(DeviceId(recorder.id), offset=then + timedelta(seconds=90)))
    evidence = EvidenceStore(bench.folder)
    window = placed.hold.window
    wanted = filing(cameras=(camera,), window=Period(window.start + timedelta(seconds=ago_s), window.end))
    async with working(desk_of(bench.where, store, bench.clock, bench.folder.parent / "footage", evidence=evidence)) as requests:
        request = await requests.service.submit(wanted, by=WANG)
        await requests.service.approve(request.id, by=ZHAO)
        done = asyncio.create_task(requests.settled(request.id))
        while not done.done():
            await asyncio.wait([done], timeout=0.05)
            await bench.clock.advance(5)
        dossier = done.result()
        (file,) = dossier.files
        assert (file.sha256, dossier.exports[0].gaps) == (folder.files[0].sha256, ())
        assert hashlib.sha256(requests.file(request.id, file.name).read_bytes()).hexdigest() == file.sha256
        exported = next(line for line in dossier.custody if line.step == "exported")
        assert exported.detail["hold"] == placed.hold.id
        assert (file.offset, file.device, file.serial) == (then, recorder.id, recorder.serial)
        told = json.loads(requests.file(request.id, "manifest.json").read_text())["cameras"][0]["files"][0]
        assert datetime.fromisoformat(told["device_time"]["start"]) - file.period.start == then
        assert dossier.request.state is FootageState.READY


@pytest.mark.parametrize("known", [True, False], ids=["its recorder is silent", "its recorder was taken down"])
async def test_a_request_gets_what_was_secured_from_the_cameras_own_card(bench: Bench, store: Store, known: bool) -> None:
    """Whatever device gave it: the manifest names the camera and its clock."""
    card = next(camera for camera in bench.where.simulated.of_kind("camera") if camera.card and not camera.channels[0].gappy)
    camera, city = DeviceId(card.id), bench.where.city
    recorder, _ = city.recorder_of(camera)
    bench.where.state.ail(next(one for one in bench.where.simulated.devices if one.id == recorder.id), Fault(answer=Answer.REFUSE))
    placed = await bench.desk.place(order(camera), by=WANG)
    secured = await until(
        lambda: bench.desk.get(placed.hold.id),
        60,
        lambda: bench.clock.advance(1),
        wanted=lambda folder: any((keep.device, keep.state) == (camera, KeepState.SECURED) for keep in folder.keeps),
    )
    evidence = EvidenceStore(bench.folder)
    async with working(desk_of(bench.where, store, bench.clock, bench.folder.parent / "footage", evidence=evidence)) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), window=placed.hold.window), by=WANG)
        if not known:
            city.replace(devices=[device for device in city.devices.values() if device.id != recorder.id])
        await requests.service.approve(request.id, by=ZHAO)
        done = asyncio.create_task(requests.settled(request.id))
        while not done.done():
            await asyncio.wait([done], timeout=0.05)
            await bench.clock.advance(5)
        dossier = done.result()
        assert (dossier.request.state, dossier.exports[0].gaps) == (FootageState.READY, ())
        assert [file.sha256 for file in dossier.files] == [file.sha256 for file in secured.files]
        offset = timedelta(seconds=card.clock_offset_s)
        assert {(file.device, file.serial, file.offset) for file in dossier.files} == {(camera, card.serial, offset)}
        assert dossier.exports[0].recorder == (recorder.id if known else camera)


async def test_a_hold_that_ends_leaves_what_another_one_covers(bench: Bench, store: Store) -> None:
    camera = camera_of(bench.where)
    one = await bench.desk.place(order(camera), by=WANG)
    two = await bench.desk.place(order(camera, reason="another"), by=ZHAO)
    first, second = await bench.settled(one.hold.id), await bench.settled(two.hold.id)
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.holds.mark_removed(first.files[0]), lane=Lane.FOOTAGE)
    await bench.clock.advance(60)
    assert bench.path(first.files[0]).is_file()
    await bench.desk.release(two.hold.id, by=ZHAO, note="结案")
    for file in (*first.files, *second.files):
        await until(bench.path(file).exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
    assert [file.removed for file in (await bench.desk.get(one.hold.id)).files] == [True]


class Overtaken(HoldDesk):
    """A desk at which a person is always a moment faster than the worker."""

    overtaken = 0

    async def expire(self, hold: HoldId, *, by: Person) -> Hold:
        self.overtaken += 1
        await self.extend(hold, until=self._clock.now() + 7 * DAY, by=WANG)
        return await super().expire(hold, by=by)


async def test_a_person_who_extends_a_hold_as_it_runs_out_does_not_end_the_worker(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")
    made.desk.__class__ = Overtaken
    async with made.working():
        one = await made.desk.place(order(camera_of(where), expires_at=NOW + DAY), by=WANG)
        await made.settled(one.hold.id)
        await clock.advance(86_400)
        await until(lambda: made.desk.overtaken, 20, lambda: clock.advance(30))
        two = await made.desk.place(order(camera_of(where), reason="another", expires_at=clock.now() + 3 * DAY), by=WANG)
        assert (await made.settled(two.hold.id)).keeps[0].state is KeepState.SECURED
        assert (await made.desk.get(one.hold.id)).hold.state is HoldState.ACTIVE


async def test_a_file_that_is_held_anew_as_it_is_about_to_be_removed_stays(bench: Bench) -> None:
    camera = camera_of(bench.where)
    placed = await bench.desk.place(order(camera), by=WANG)
    (file,) = (await bench.settled(placed.hold.id)).files
    await bench.desk.place(order(camera, reason="another"), by=ZHAO)
    await bench.desk.release(placed.hold.id, by=WANG, note="结案")
    await bench.securing._remove_one(file)
    assert bench.path(file).is_file()
    assert [one.removed for one in (await bench.desk.get(placed.hold.id)).files] == [False]
