"""From a filed request to a handed-over file, against simulated recorders on real sockets."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import ExportState, FootageState
from gateway.storage.store import Store
from tests.footage.desk import NOW, Desk, desk_of, filing, street, working


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
async def desk(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Desk]:
    async with street() as where, working(desk_of(where, store, clock, tmp_path / "footage")) as desk:
        yield desk


async def test_footage_is_fetched_whole_and_its_digest_is_that_of_the_file(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
    (export,) = dossier.exports
    assert (export.state, export.recorder, export.gaps) == (ExportState.DONE, recorder.id, ())
    (file,) = dossier.files
    data = desk.file(dossier.request.id, file.name).read_bytes()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)
    assert data[4:8] == b"ftyp"
    window = dossier.request.filing.window
    assert file.period.start <= window.start
    assert abs(file.period.end - window.end) < timedelta(seconds=1)
