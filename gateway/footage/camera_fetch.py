"""What is known of one camera's footage while it is fetched: what is there, what is missing, and the rows of its files."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from gateway.domain.footage import LEAST_GAP, Export, FootageFile, Period, joined, left_out, total
from gateway.footage.cutting import Finished


class CameraFetch:
    """What is known of one camera's footage while it is fetched."""

    def __init__(self, export: Export, window: Period, files: list[FootageFile], prefix: str) -> None:
        self.export = export
        self.window = window
        self.files = files
        self.prefix = prefix

    def done(self) -> timedelta:
        """How much of what the recorder has is on the disk."""
        there = joined(run for file in self.files for run in file.runs)
        return total(self.export.coverage) - total(left_out(there, self.export.coverage))

    def size(self) -> int:
        return sum(file.size for file in self.files)

    def missing(self) -> Iterator[tuple[Period, bool]]:
        """What is recorded and in no file (true time), each with whether a file ends where it begins."""
        there = joined((run for file in self.files for run in file.runs), within=LEAST_GAP)
        ends = {run.end for run in there}
        for hole in left_out(there, self.export.coverage, least=LEAST_GAP):
            yield hole, hole.start in ends

    def file(self, finished: Finished, *, at: datetime) -> FootageFile:
        """The row of a finished file, its times brought to the true clock."""
        return self.row(finished, tuple(self.export.true_period(Period(start, end)) for start, end in finished.runs), at=at)

    def row(self, finished: Finished, runs: tuple[Period, ...], *, at: datetime) -> FootageFile:
        """The row of a finished file whose unbroken stretches on the true clock are `runs`."""
        return FootageFile(
            request=self.export.request,
            camera=self.export.camera,
            number=finished.number,
            name=finished.name,
            sha256=finished.sha256,
            size=finished.size,
            frames=finished.frames,
            damaged=finished.damaged,
            period=Period(runs[0].start, runs[-1].end),
            runs=runs,
            created_at=at,
            offset=self.export.offset,
            device=self.export.recorder,
            serial=self.export.serial,
        )
