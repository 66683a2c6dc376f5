"""Which pictures a replay sends, in order: pure arithmetic over the footage (ONVIF Streaming Specification, "Playback")."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from simulators import footage
from simulators.city import Parameters, SimChannel, SimDevice
from simulators.footage import Span
from simulators.frames import FRAME_NS, GOP_FRAMES

GOP_S: Final = GOP_FRAMES * FRAME_NS // 1_000_000_000
FRAME_MS: Final = FRAME_NS // 1_000_000


@dataclass(frozen=True, slots=True)
class Section:
    """Frames `first` up to `stop`, gapless; `first` is a clean point. `closes`: a gap in the footage follows, not the end of the range."""

    first: int
    stop: int
    closes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one PLAY sends. `exhausted`: the footage ended before the range did."""

    sections: tuple[Section, ...]
    exhausted: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One picture to send, with the flags of its header extension."""

    frame: int
    clean: bool
    end: bool = False
    discontinuity: bool = False
    terminal: bool = False


def plan(device: SimDevice, channel: SimChannel, window: Span, *, now: float, offset_s: float, segments: Parameters | None = None) -> Plan:
    """What the footage holds of `window` when the device's clock shows `now`, `offset_s` ahead of the city's.

    `segments`: the quirk of a recorder that loses footage between its files (`segment-gaps`).
    It begins at the clean point at or before the start; when the start lies in a gap, at the first one after it.
    """
    start = int(window.start - offset_s) // GOP_S * GOP_S + offset_s
    spans = footage.recorded(device, channel, Span(start, window.end + GOP_S), now)
    spans = footage.between_files(spans, segments) if segments else spans
    live_edge = footage.kept(device, now).end
    sections = []
    for span in spans:
        first = -(-_frame_from(span.start - offset_s) // GOP_FRAMES) * GOP_FRAMES
        stop = _frame_from(min(span.end, window.end) - offset_s)
        if stop > first:
            sections.append(Section(first, stop, closes=span.end <= window.end and span.end < live_edge))
    return Plan(tuple(sections), exhausted=live_edge < window.end)


def steps(plan: Plan, *, intra_ms: int | None, jumped: bool, backwards: bool = False) -> Iterator[Step]:
    """The pictures of a plan. `intra_ms`: clean points only, at least so many ms apart; None: all.

    `jumped`: the first picture does not follow what was sent before. `backwards`: the groups from the last to the first, the pictures of
    each in their order, every group a section of its own (D).
    """
    if backwards:
        yield from _backwards(plan, intra_ms)
        return
    for number, section in enumerate(plan.sections):
        frames = _chosen(section, intra_ms)
        last_section = number == len(plan.sections) - 1
        for frame, following in _with_next(frames):
            yield Step(
                frame,
                clean=frame % GOP_FRAMES == 0,
                end=following is None and section.closes,
                discontinuity=frame == section.first and (number > 0 or jumped),
                terminal=following is None and last_section and plan.exhausted,
            )


def _backwards(plan: Plan, intra_ms: int | None) -> Iterator[Step]:
    for section in reversed(plan.sections):
        keys = range(section.first, section.stop, GOP_FRAMES) if intra_ms is None else _chosen(section, intra_ms)
        for key in reversed(keys):
            stop = min(key + GOP_FRAMES, section.stop) if intra_ms is None else key + 1
            for frame in range(key, stop):
                yield Step(frame, clean=frame == key, discontinuity=frame == key)


def intra_of(header: str) -> int | None:
    """The Frames header: None for all pictures, else the least distance of clean points in ms. Raises ValueError."""
    if header in {"", "all", "predicted"}:
        return None
    match = re.fullmatch(r"intra(?:/(\d{1,9}))?", header)
    if not match:
        raise ValueError(header)
    return int(match[1] or 0)


def _frame_from(seconds: float) -> int:
    """The first frame captured at or after a moment."""
    return -(-round(seconds * 1000) // FRAME_MS)


def _chosen(section: Section, intra_ms: int | None) -> Sequence[int]:
    if intra_ms is None:
        return range(section.first, section.stop)
    groups = max(1, -(-intra_ms // (GOP_S * 1000)))
    return range(section.first, section.stop, groups * GOP_FRAMES)


def _with_next(frames: Iterable[int]) -> Iterator[tuple[int, int | None]]:
    walk = iter(frames)
    current = next(walk, None)
    while current is not None:
        following = next(walk, None)
        yield current, following
        current = following
