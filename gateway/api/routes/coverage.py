"""What is recorded of cameras and what is not, and when it will be overwritten, before anybody asks for the footage itself."""

from pydantic import Field

from gateway.api.models import Ident, Input, Instant, Output
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.coverage import Basis, Countdown, Coverage, Gap, Holding, Lack, Piece, Source, Told
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period
from gateway.errors import Forbidden
from gateway.footage.coverage import CAMERAS_MAX

routes = Routes("coverage", "What is recorded, what is not, and for how long it will be there.")


class CoverageQuery(Input):
    """Which cameras, from when to when."""

    camera: list[Ident] = Field(min_length=1, max_length=CAMERAS_MAX, description="Once for each camera.")
    start: Instant
    end: Instant


class SpanOut(Output):
    """From `start` to `end`, half open, on the true clock."""

    start: Instant
    end: Instant


class PieceOut(SpanOut):
    """Recorded without a break, on all of `sources` (device ids)."""

    sources: list[str]


class HoleOut(SpanOut):
    """Known not to be recorded, for a second or longer."""

    lack: Lack = Field(description="not-recorded, or before-oldest: older than what is kept, so overwritten or never recorded.")


class OverwriteOut(Output):
    """When footage will be lost, and how that is known."""

    basis: Basis = Field(description="measured: from how fast the oldest moment moves on; retention: the device's own setting; unknown.")
    at: Instant | None = Field(description="Not before then; null: nobody can tell.")
    left_s: float | None = Field(description="Seconds until then.")
    rate: float | None = Field(description="Seconds of footage lost in a second, when that was measured.")
    reason: str = Field(description="Why it is unknown: no-oldest, not-measured, stands-still (the disk is still filling).")


class HoldingOut(Output):
    """What one device says to keep of the window."""

    device: str
    source: Source
    recording: str
    told: Told = Field(description="history: every break; bounds: first and last moment only; unlisted: only a replay can tell; nothing.")
    reason: str = Field(description="Why it tells no more, as a code.")
    detail: str = Field(description="The same in words.")
    clock_offset_s: float | None = Field(
        description="Its clock less the true one, taken out of all times; null when it was never measured: they are as the device has them."
    )
    oldest: Instant | None = Field(description="The first moment that it still keeps.")
    newest: Instant | None
    recorded: list[SpanOut]
    overwrite: OverwriteOut | None


class CameraCoverageOut(Output):
    """What is recorded of one camera: each second is recorded, a gap, or unknown because somebody who could tell does not."""

    camera: str
    reason: str = Field(description="no-recorder, no-recording-token: nobody is known who could have it; else empty.")
    recorded_s: float
    gaps_s: float
    unknown_s: float
    recorded: list[PieceOut]
    gaps: list[HoleOut]
    unknown: list[SpanOut]
    overwrite: OverwriteOut | None = Field(
        description="When the first of it is lost on the last device that has it; null: nothing is recorded."
    )
    holdings: list[HoldingOut]


class CameraCoverageList(Output):
    """Camera by camera, in the order asked."""

    asked_at: Instant
    items: list[CameraCoverageOut]


@routes.op("GET", "/v1/footage/coverage", needs=Permission.FOOTAGE_READ, problems=(Forbidden,), head=False)
async def read_coverage(call: Call, query: CoverageQuery) -> CameraCoverageList:
    """What recorders and cards have of some cameras, asked of them now. No request is needed: no footage is looked at.

    A device that does not answer makes its seconds unknown, with the reason; the others are told all the same.
    """
    cameras = [DeviceId(camera) for camera in query.camera]
    must_reach(call.caller.key, cameras, call.services.city)
    found = await call.services.coverage.of(cameras, Period(query.start, query.end))
    now = call.services.clock.now()
    return CameraCoverageList(asked_at=now, items=[shown(one, now) for one in found])


def shown(coverage: Coverage, now: Instant) -> CameraCoverageOut:
    """As it goes out; what is left is counted from `now`."""
    pieces, gaps, unknown = coverage.pieces, coverage.gaps, coverage.unknown
    return CameraCoverageOut(
        camera=coverage.camera,
        reason=coverage.reason,
        recorded_s=_seconds([piece.period for piece in pieces]),
        gaps_s=_seconds([gap.period for gap in gaps]),
        unknown_s=_seconds(unknown),
        recorded=[_piece(piece) for piece in pieces],
        gaps=[_hole(gap) for gap in gaps],
        unknown=[_span(period) for period in unknown],
        overwrite=_overwrite(coverage.countdown, now),
        holdings=[_holding(holding, now) for holding in coverage.holdings],
    )


def _holding(holding: Holding, now: Instant) -> HoldingOut:
    return HoldingOut(
        device=holding.device,
        source=holding.source,
        recording=holding.recording,
        told=holding.told,
        reason=holding.reason,
        detail=holding.detail,
        clock_offset_s=None if holding.offset is None else holding.offset.total_seconds(),
        oldest=holding.oldest,
        newest=holding.newest,
        recorded=[_span(period) for period in holding.recorded],
        overwrite=_overwrite(holding.countdown, now),
    )


def _overwrite(countdown: Countdown | None, now: Instant) -> OverwriteOut | None:
    if countdown is None:
        return None
    left_s = None if countdown.at is None else round(max(0.0, (countdown.at - now).total_seconds()), 1)
    rate = None if countdown.rate is None else round(countdown.rate, 3)
    return OverwriteOut(basis=countdown.basis, at=countdown.at, left_s=left_s, rate=rate, reason=countdown.reason)


def _piece(piece: Piece) -> PieceOut:
    return PieceOut(start=piece.period.start, end=piece.period.end, sources=list(piece.sources))


def _hole(gap: Gap) -> HoleOut:
    return HoleOut(start=gap.period.start, end=gap.period.end, lack=gap.lack)


def _span(period: Period) -> SpanOut:
    return SpanOut(start=period.start, end=period.end)


def _seconds(periods: "list[Period] | tuple[Period, ...]") -> float:
    return round(sum(period.length.total_seconds() for period in periods), 3)
