"""Which held files serve a request: those of its recorder first, and of the camera's own card what they leave out."""

from datetime import timedelta
from pathlib import Path

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period
from gateway.domain.holds import HeldFile, Hold, HoldId, Keep
from gateway.footage.adopting import Adoption
from gateway.footage.ledger import Ledger
from gateway.footage.securing import EvidenceStore
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import NOW, WANG

CAMERA, RECORDER = DeviceId("CAM-1"), DeviceId("NVR-1")
MINUTE = timedelta(minutes=1)
START = NOW - timedelta(hours=1)
WINDOW = Period(START, START + 3 * MINUTE)


def minute(number: int, device: DeviceId) -> HeldFile:
    """The file of the minute `number` of the window."""
    period = Period(START + (number - 1) * MINUTE, START + number * MINUTE)
    name = f"{device}_{number}.mp4"
    return HeldFile(HoldId("H-1"), CAMERA, device, number, name, "a" * 64, 600, 1500, 0, period, (period,), NOW)


async def held(store: Store, *files: HeldFile) -> None:
    hold = Hold(HoldId("H-1"), WANG, "警情", (CAMERA,), WINDOW, NOW, NOW + timedelta(days=7))

    async def change(tx: Tx) -> None:
        await tx.holds.add(hold, [Keep(hold.id, CAMERA, device, needed=(WINDOW,)) for device in (RECORDER, CAMERA)])
        for file in files:
            await tx.holds.add_file(file)

    await store.writer.write(change, lane=Lane.FOOTAGE)


async def test_a_card_fills_what_the_recorder_leaves_out_in_order_and_no_minute_comes_twice(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    await held(store, *(minute(number, CAMERA) for number in (1, 2, 3)), minute(1, RECORDER), minute(3, RECORDER))
    adoption = Adoption(store=store, ledger=Ledger(store, clock), evidence=EvidenceStore(tmp_path), folder_of=tmp_path.joinpath)
    chosen = await adoption.of(CAMERA, RECORDER, WINDOW, (WINDOW,))
    assert [(file.device, file.number) for file in chosen] == [(RECORDER, 1), (CAMERA, 2), (RECORDER, 3)]
    part = Period(START + 30 * timedelta(seconds=1), START + MINUTE)
    assert await adoption.of(CAMERA, RECORDER, part, (part,)) == []  # the recorder still has it: nothing more goes out than was asked for
    assert [file.device for file in await adoption.of(CAMERA, RECORDER, part, ())] == [RECORDER]
