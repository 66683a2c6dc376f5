"""Footage is found by the clock that the device had when it recorded, and the papers say how that was and how it is now."""

import html
import json
import re
from datetime import timedelta
from pathlib import Path

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Basis, ClockRun, Dossier, FootageState, Period, Step, read_clock
from gateway.domain.health import Standing
from gateway.domain.holds import KeepState
from gateway.evidence.contents import MANIFEST, SHEET
from gateway.footage.clocks import KnownClocks
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from simulators.faults import Fault
from tests.footage.desk import NOW, WANG, Street, desk_of, filing, working
from tests.footage.held import Bench, camera_of, order
from tests.footage.test_coverage import desk_of as coverage_of

SECOND, DAY, FRAME = timedelta(seconds=1), timedelta(days=1), timedelta(milliseconds=80)
FAST = timedelta(minutes=7)
WINDOW = Period(NOW - timedelta(hours=1), NOW - timedelta(hours=1) + 60 * SECOND)


async def know(store: Store, device: DeviceId, *runs: ClockRun) -> None:
    for run in runs:
        await store.writer.write(lambda tx, run=run: tx.clocks.put(device, run), lane=Lane.HEALTH)


def told(folder: Path, dossier: Dossier) -> tuple[dict, str]:
    """What the manifest says of the only camera, and the custody sheet without its markup."""
    package = folder / dossier.request.id
    (camera,) = json.loads((package / MANIFEST).read_text())["cameras"]
    return camera, re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (package / SHEET).read_text())))


async def test_a_recorder_that_was_seven_minutes_fast_and_is_right_now_gives_the_right_minute(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)
    device = DeviceId(recorder.id)
    where.state.faults[recorder.id] = Fault(clock_offset_s=420.0)  # so the simulator has its recordings stamped
    was, now = timedelta(seconds=recorder.clock_offset_s) + FAST, timedelta(0)
    where.board.put(Standing(device, offset=now))
    await know(store, device, ClockRun(NOW - 9 * DAY, NOW - 600 * SECOND, was), ClockRun(NOW - 540 * SECOND, NOW, now))
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=WINDOW))
    (export,), (file,) = dossier.exports, dossier.files
    assert (dossier.request.state, export.offset, file.offset) == (FootageState.READY, was, was)
    assert file.period.start <= WINDOW.start <= file.period.start + 2 * SECOND
    assert abs(file.period.end - WINDOW.end) <= FRAME
    camera, sheet = told(tmp_path, dossier)
    assert (camera["clock_offset_s"], camera["clock_offset_now_s"]) == (was.total_seconds(), 0.0)
    assert (camera["clock_basis"], camera["clock_parts"]) == ("measured-then", [])
    assert "Error against Beijing time when recorded 快 7 分" in sheet
    assert "录制时所测 measured then" in sheet
    assert "Error against Beijing time when looked up 0 秒 s" in sheet
    (located,) = [entry.detail for entry in dossier.custody if entry.step is Step.LOCATED]
    assert located["clocks"][channel.camera]["clock_offset_s"] == was.total_seconds()
    assert located["clocks"][channel.camera]["clock_offset_now_s"] == 0.0
    (coverage,) = await coverage_of(where, store).of([DeviceId(channel.camera)], WINDOW)
    assert coverage.holdings[0].offset == was
    assert coverage.holdings[0].recorded == (WINDOW,)
    assert (await KnownClocks(store, where.board).of(device, WINDOW)).at(WINDOW.end) == was


async def test_a_clock_that_was_set_within_the_window_has_each_part_fetched_by_its_own_offset(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)
    device, own = DeviceId(recorder.id), timedelta(seconds=recorder.clock_offset_s)
    last, first = WINDOW.start + 28 * SECOND, WINDOW.start + 32 * SECOND
    await know(store, device, ClockRun(NOW - 9 * DAY, last, own + FAST), ClockRun(first, NOW, own))
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=WINDOW))
    before, after = dossier.files
    assert [file.offset for file in dossier.files] == [own + FAST, own]
    assert dossier.request.state is FootageState.READY
    assert abs(before.period.end - first) <= FRAME
    assert last - 2 * SECOND <= after.period.start <= last
    assert abs(after.period.end - WINDOW.end) <= FRAME
    camera, sheet = told(tmp_path, dossier)
    assert [part["clock_offset_s"] for part in camera["clock_parts"]] == [(own + FAST).total_seconds(), own.total_seconds()]
    assert "The clock changed within the period" in sheet
    assert (await tx_export(store, dossier)).clock == dossier.exports[0].clock


async def test_a_hold_over_a_clock_that_was_set_secures_each_part_by_its_own_offset(bench: Bench) -> None:
    camera = camera_of(bench.where)
    recorder, _ = bench.where.recorded(gappy=False)
    own = timedelta(seconds=recorder.clock_offset_s)
    last, first = WINDOW.start + 28 * SECOND, WINDOW.start + 32 * SECOND
    await know(bench.store, DeviceId(recorder.id), ClockRun(NOW - 9 * DAY, last, own + FAST), ClockRun(first, NOW, own))
    placed = await bench.desk.place(order(camera), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert [keep.state for keep in folder.keeps] == [KeepState.SECURED]
    assert [file.offset for file in folder.files] == [own + FAST, own]
    assert abs(folder.files[0].period.end - first) <= FRAME
    assert abs(folder.files[1].period.end - WINDOW.end) <= FRAME


async def tx_export(store: Store, dossier: Dossier):
    async with store.read() as tx:
        return (await tx.footage.exports(dossier.request.id))[0]


async def test_where_nobody_measured_then_todays_offset_is_used_and_the_sheet_says_so(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=WINDOW))
    camera, sheet = told(tmp_path, dossier)
    assert (camera["clock_offset_s"], camera["clock_basis"]) == (recorder.clock_offset_s, "today")
    assert "录制时未测量，采用当前误差 not measured then; today's is used" in sheet


def test_the_first_measurement_after_a_window_stands_for_it_when_there_is_none_before() -> None:
    run = ClockRun(WINDOW.end, NOW, FAST)
    read = read_clock((run,), WINDOW, timedelta(0))
    assert [(part.period, part.offset, part.basis) for part in read.parts] == [(WINDOW, FAST, Basis.LATER)]
    assert read.shown == WINDOW.shifted(FAST)


def test_a_window_between_two_measurements_that_differ_is_covered_by_both() -> None:
    runs = ClockRun(NOW - DAY, WINDOW.start - SECOND, FAST), ClockRun(WINDOW.end + SECOND, NOW, timedelta(0))
    read = read_clock(runs, WINDOW, timedelta(0))
    assert [(part.period, part.offset) for part in read.parts] == [(WINDOW, FAST), (WINDOW, timedelta(0))]
    assert read.shown == Period(WINDOW.start, WINDOW.end + FAST)
