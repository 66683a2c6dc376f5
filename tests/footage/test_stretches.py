"""A stretch of footage from a recorder that ends when it likes: asked for again as long as that gets further, and no longer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.footage import Period
from gateway.drivers.base import Target
from gateway.errors import DeadlineExceeded
from gateway.footage.cut_file import Finished
from gateway.footage.stretches import Replay, Take, fetch_stretch
from gateway.footage.worker import Job

START = datetime(2026, 5, 1, 13, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = Period(START, START + 60 * SECOND)
TARGET = Target(DeviceId("nvr-1"), "127.0.0.1", Ports(), Credentials("user", "word"))


class Recorder:
    """Plays what it has of each of its own files, whose ends are given in seconds, and ends with each."""

    def __init__(self, *ends: float, then: BaseException | None = None) -> None:
        self.ends = [START + end * SECOND for end in ends]
        self.then = then
        self.asked: list[tuple[datetime, datetime | None, int]] = []

    async def play(self, job: Job, take: Take) -> None:
        wanted = job.stretch
        self.asked.append((wanted.start, wanted.after, wanted.first))
        end = next((end for end in self.ends if end > wanted.start), None)
        if end is None:
            if self.then is not None:
                raise self.then
            return
        await take(Finished(f"{wanted.first}.mp4", wanted.first, "", 0, 0, 0, ((wanted.start, min(end, wanted.end)),)))


async def fetched(recorder: Recorder) -> list[Finished]:
    files: list[Finished] = []

    async def keep(file: Finished) -> None:
        files.append(file)

    replay = Replay(TARGET, "/recording", Path("nowhere"), "x_", 300 * SECOND, START)
    await fetch_stretch(recorder.play, replay, MINUTE, first=4, goes_on=False, take=keep, heed=lambda _: None)
    return files


async def test_a_recorder_that_ends_with_each_file_of_its_own_is_asked_for_the_rest() -> None:
    recorder = Recorder(10, 25, 60)
    files = await fetched(recorder)
    assert [file.runs[0] for file in files] == [(START, START + 10 * SECOND), *(
        (START + a * SECOND, START + b * SECOND) for a, b in ((10, 25), (25, 60))
    )]  # fmt: skip
    assert [(start, number) for start, _, number in recorder.asked] == [(START, 4), (START + 10 * SECOND, 5), (START + 25 * SECOND, 6)]
    assert recorder.asked[0][1] is None and all(after is not None and after < start for start, after, _ in recorder.asked[1:])


async def test_one_that_gets_no_further_is_asked_once_more_and_no_more() -> None:
    recorder = Recorder(10)
    assert len(await fetched(recorder)) == 1
    assert len(recorder.asked) == 2


@pytest.mark.parametrize("end", [59.2, 60, 600])
async def test_one_that_gives_it_all_is_asked_once(end: float) -> None:
    recorder = Recorder(end)
    assert len(await fetched(recorder)) == len(recorder.asked) == 1


@pytest.mark.parametrize("ends", [(), (10,)])
async def test_one_that_falls_silent_has_failed_as_it_says_whatever_came_before(ends: tuple[float, ...]) -> None:
    with pytest.raises(DeadlineExceeded):
        await fetched(Recorder(*ends, then=DeadlineExceeded("no progress", code="stalled")))
