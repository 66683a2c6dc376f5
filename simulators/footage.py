"""Which footage a simulated recorder holds: everything of its retention except the gaps that its channel was dealt."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from simulators.city import Parameters, SimChannel, SimDevice

DAY_S: Final = 86_400
BACKWARDS: Final = frozenset({"Dahua"})
"""Makers whose recorders play backwards."""
GAP_S: Final = (30, 2_400)
"""Shortest and longest gap."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, half open; seconds since the epoch on the device's own clock."""

    start: float
    end: float


def kept(device: SimDevice, now: float) -> Span:
    """What the recorder still has when its own clock shows `now`: whole seconds, the last one still being written.

    When its recording has stopped, it ends there.
    """
    stopped = device.outages[-1][0] if is_stopped(device) else now
    return Span(float(int(now) - device.retention_days * DAY_S), float(int(min(now, stopped))))


def is_stopped(device: SimDevice) -> bool:
    """Whether nothing is recorded any more: its disk is full."""
    return bool(device.outages) and device.outages[-1][1] == inf


def gaps(device: SimDevice, channel: SimChannel, window: Span) -> list[Span]:
    """The parts of `window` for which the channel has no footage although its retention covers them; in order of their start.

    Those of one cause are disjoint; an outage of the whole recorder may lie over a gap of the channel.
    """
    days = range(int(window.start // DAY_S), int(window.end // DAY_S) + 1) if channel.gappy else ()
    dealt = [gap for day in days for gap in _gaps_of_day(device, channel, day)]
    outages = [Span(float(int(start)), end if end == inf else float(int(end))) for start, end in device.outages]
    return _clip(sorted([*dealt, *outages], key=lambda gap: gap.start) if outages else dealt, window)


def recorded(device: SimDevice, channel: SimChannel, window: Span, now: float) -> list[Span]:
    """The parts of `window` that can be replayed when the device's clock shows `now`; in order, disjoint."""
    spans, at = [], max(window.start, kept(device, now).start)
    end = min(window.end, kept(device, now).end)
    if at >= end:
        return []
    for gap in gaps(device, channel, Span(at, end)):
        if gap.start > at:
            spans.append(Span(at, gap.start))
        at = max(at, gap.end)
    if end > at:
        spans.append(Span(at, end))
    return spans


def between_files(spans: Iterable[Span], segments: Parameters) -> list[Span]:
    """What is left of `spans` when the first `seconds` of every `every_minutes` were lost (quirk "segment-gaps")."""
    period_s, hole_s = float(segments["every_minutes"]) * 60, float(segments["seconds"])
    found = []
    for span in spans:
        at = span.start - span.start % period_s
        while at < span.end:
            found += _clip([Span(at + hole_s, at + period_s)], span)
            at += period_s
    return found


def plays_backwards(device: SimDevice) -> bool:
    """Whether a recorder takes a negative Scale, and says so (ReversePlayback)."""
    return device.vendor in BACKWARDS


def _gaps_of_day(device: SimDevice, channel: SimChannel, day: int) -> Sequence[Span]:
    """One to three gaps inside one UTC day, each in its own third of it: the same whoever asks and whenever."""
    chance = random.Random(f"{device.serial}/{channel.token}/{day}")
    third = DAY_S // 3
    found = []
    for part in sorted(chance.sample(range(3), chance.randint(1, 3))):
        length = chance.randint(*GAP_S)
        start = day * DAY_S + part * third + chance.randint(0, third - length - 1)
        found.append(Span(float(start), float(start + length)))
    return found


def _clip(spans: Iterable[Span], window: Span) -> list[Span]:
    """The parts of `spans` inside `window`, none of them empty."""
    parts = (Span(max(span.start, window.start), min(span.end, window.end)) for span in spans)
    return [part for part in parts if part.start < part.end]
