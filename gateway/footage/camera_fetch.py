"""What is known of one camera's footage while it is fetched: what is there, what is missing, and the rows of its files."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from gateway.domain.footage import LEAST_GAP, Export, ExportState, FootageFile, Origin, Period, gaps, joined, left_out, total
from gateway.domain.holds import expected_bytes
from gateway.footage.cut_file import Finished
from gateway.footage.turns import Claim

UNJUDGED: Final = frozenset({ExportState.PENDING, ExportState.EXPORTING})
"""States of an export whose fetching has not ended."""


class CameraFetch:
    """What is known of one camera's footage while it is fetched.

    `at_hand`: what holds and other requests have of it, which needs no room; `bytes_per_s`: of its footage.
    """

    def __init__(
        self,
        export: Export,
        window: Period,
        files: list[FootageFile],
        *,
        prefix: str,
        claim: Claim,
        at_hand: Sequence[Period] = (),
        bytes_per_s: float,
    ) -> None:
        self.export = export
        self.window = window
        self.files = files
        self.prefix = prefix
        self.claim = claim
        self._at_hand = tuple(at_hand)
        self._bytes_per_s = bytes_per_s

    def done(self) -> timedelta:
        """How much of what there is is on the disk."""
        there = joined(run for file in self.files for run in file.runs)
        return total(self.export.recorded) - total(left_out(there, self.export.recorded))

    def size(self) -> int:
        return sum(file.size for file in self.files)

    def expected(self) -> int:
        """How many bytes are to come still: of what there is and nobody has yet, nothing once it is judged, or as long as
        its devices have not said what they have by now."""
        if self.export.state not in UNJUDGED or self.export.awaited:
            return 0
        return expected_bytes(left_out((*self._there(), *self._at_hand), self.export.recorded, least=LEAST_GAP), self._bytes_per_s)

    def missing(self, origin: Origin) -> Iterator[tuple[Period, bool]]:
        """What `origin` has and no file (true time), each with whether a file ends where it begins.

        Of an origin that is one of several `parts` only files of its own clock count: how the others lie to it is not sure.
        """
        there = self._there(origin)
        ends = {run.end for run in there}
        for hole in left_out(there, origin.recorded, least=LEAST_GAP):
            yield hole, hole.start in ends

    def lacking(self) -> tuple[Period, ...]:
        """What is wanted and in no file (true time)."""
        return gaps(self._there(), self.window, least=LEAST_GAP)

    def _there(self, origin: Origin | None = None) -> tuple[Period, ...]:
        apart = origin if origin is not None and origin.apart else None
        files = [file for file in self.files if apart is None or file.device != apart.device or file.offset == apart.offset]
        return joined((run for file in files for run in file.runs), within=LEAST_GAP)

    def file(self, finished: Finished, origin: Origin, *, at: datetime) -> FootageFile:
        """The row of a finished file that `origin` gave, its times brought to the true clock."""
        return self.row(finished, origin, tuple(origin.true_period(Period(start, end)) for start, end in finished.runs), at=at)

    def row(self, finished: Finished, origin: Origin, runs: tuple[Period, ...], *, at: datetime) -> FootageFile:
        """The row of a finished file that `origin` gave, whose unbroken stretches on the true clock are `runs`."""
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
            offset=origin.offset,
            device=origin.device,
            serial=origin.serial,
            recording=origin.recording,
            sound_left_out=finished.sound_left_out,
            time_source=finished.time_source,
            sound_refused=finished.sound_refused,
            set_backs=finished.set_backs,
        )
