"""Footage that a device keeps: its recordings, and which parts of a window are recorded (ONVIF Recording Search, Profile G).

A search is a session: it is begun, asked for results until it is completed, and always ended, because devices allow few at a time.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypeVar

from lxml import etree

from gateway.domain.coverage import Told
from gateway.drivers.base import History, Recording, Span
from gateway.drivers.http import path_of
from gateway.drivers.onvif.answers import TEXT_LIMIT
from gateway.drivers.onvif.caller import Caller, deadline
from gateway.drivers.onvif.soap import RECORDING, REPLAY, SEARCH, child, children, text
from gateway.drivers.onvif.times import read_datetime, zone_lie
from gateway.drivers.onvif.wsdl import WSDLS
from gateway.errors import (
    AuthenticationFailed,
    Busy,
    DeadlineExceeded,
    DeviceError,
    DeviceFault,
    NotSupported,
    ProtocolError,
    Unreachable,
)

RESULTS_AT_ONCE = 200
PAGES_LIMIT = 100
KEEP_ALIVE = timedelta(seconds=30)
WAIT = timedelta(seconds=2)
PAUSE_S = 0.25
"""Before asking again a device that answered at once and with nothing, although it was asked to wait."""
UNLISTED = "recording-unlisted"
_FOR_EVENTS = 0.8
"""Of the time that a history may take, so much is for its events: what the recording itself told is then still in time."""


@dataclass(frozen=True, slots=True)
class Change:
    """At `at`, by the device's clock, footage begins (`present`) or breaks off. `track` is "" when the whole recording is meant."""

    at: datetime
    track: str
    present: bool


async def recordings(device: Caller, *, timeout_s: float) -> Sequence[Recording]:
    """All recordings of the device: found by search, or listed by the recording service where there is no search."""
    async with deadline(timeout_s):
        try:
            return await _search(device, "FindRecordings", _recordings_page, timeout_s, MaxMatches=RESULTS_AT_ONCE * PAGES_LIMIT, Scope={})
        except NotSupported:
            return await device.invoke(RECORDING, "GetRecordings", read_recordings, timeout_s=timeout_s, large=True)


async def coverage(device: Caller, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
    """The parts of `window` that `recording` holds, in order and disjoint; all times by the device's clock.

    As `history` has them; DeadlineExceeded where that would have to do without an answer that may still be had.
    """
    found = await history(device, recording, window, timeout_s=timeout_s)
    if found.reason == DeadlineExceeded.code:
        raise DeadlineExceeded(f"no complete answer within {timeout_s:g} s")
    return found.spans


async def history(device: Caller, recording: str, window: Span, *, timeout_s: float) -> History:
    """What the device says of `recording` in `window`; all times by its own clock.

    Told by the events of the recording's history. A device that does not search for them, or never comes to an end of it, tells the first
    and the last moment only: then gaps stay unseen. A device whose search does not know the recording may replay it all the same (quirk
    Q23): all that can be recorded, for its replay to tell.
    """
    async with deadline(timeout_s):
        try:
            known = await device.invoke(
                SEARCH, "GetRecordingInformation", read_information, timeout_s=timeout_s, large=True, RecordingToken=recording
            )
        except DeviceFault as fault:
            if not unlisted(fault):
                raise
            possible = Span(window.start, min(window.end, device.now()))
            return History((possible,) if possible.start < possible.end else (), Told.UNLISTED, reason=UNLISTED)
        if known.earliest is None or known.latest is None:
            known = await _summed_up(device, known, timeout_s=timeout_s)
    lie = _lie(known, device.now())
    known = _set_back(known, lie)
    possible = _possible(device, window, known)
    try:
        asked = Span(window.start + lie, window.end + lie)
        told = await _history(device, recording, asked, timeout_s=timeout_s * _FOR_EVENTS)
    except (AuthenticationFailed, Unreachable, Busy):
        raise
    except DeviceError as failure:
        return _bounds(possible, known, failure)
    changes = [replace(change, at=change.at - lie) for change in told]
    return History(covered(changes, possible, tracks=known.tracks), Told.HISTORY, known.earliest, known.latest)


async def _summed_up(device: Caller, known: Recording, *, timeout_s: float) -> Recording:
    """`known` with what the whole device says of its first and last moment (Recording Search, 5.3), where the recording tells none."""
    try:
        first, last = await device.invoke(SEARCH, "GetRecordingSummary", _read_summary, timeout_s=timeout_s)
    except (DeviceFault, ProtocolError):
        return known
    return replace(known, earliest=known.earliest or first, latest=known.latest or last)


def _lie(known: Recording, now: datetime) -> timedelta:
    """How far ahead of its own clock a device's search tells its times: local time called UTC (quirk Q23).

    A recording that ends in the future, by whole quarters of an hour, gives it away; one that ends in the past may have stopped.
    """
    if known.latest is None or known.latest <= now:
        return timedelta(0)
    return timedelta(seconds=zone_lie((known.latest - now).total_seconds()))


def _set_back(known: Recording, lie: timedelta) -> Recording:
    if not lie:
        return known
    earliest = known.earliest - lie if known.earliest else None
    return replace(known, earliest=earliest, latest=known.latest - lie if known.latest else None)


async def _history(device: Caller, recording: str, window: Span, *, timeout_s: float) -> Sequence[Change]:
    arguments = {
        "StartPoint": window.start,
        "EndPoint": window.end,
        "Scope": {"IncludedRecordings": [recording]},
        "SearchFilter": {"_value_1": [_history_filter()]},
        "IncludeStartState": True,
    }
    async with deadline(timeout_s):
        return await _search(device, "FindEvents", lambda *page: _events_page(recording, *page), timeout_s, **arguments)


def _bounds(possible: Span, known: Recording, failure: DeviceError) -> History:
    """What the first and the last moment alone tell; the failure itself where they are not told either."""
    if known.earliest is None or known.latest is None:
        raise failure
    span = Span(possible.start, min(possible.end, known.latest))
    return History((span,) if span.start < span.end else (), Told.BOUNDS, known.earliest, known.latest, failure.code)


async def retention(device: Caller, recording: str, *, timeout_s: float) -> timedelta | None:
    """For how long the device keeps what it records (Recording Control, 5.2.2: MaximumRetentionTime); None where it sets no such limit."""
    return await device.invoke(
        RECORDING, "GetRecordingConfiguration", _read_retention, timeout_s=timeout_s, large=True, RecordingToken=recording
    )


def unlisted(fault: DeviceFault) -> bool:
    """Whether a search refuses because it does not know the recording (Recording Search, 5.5: ter:NoRecording)."""
    return "NoRecording" in fault.detail.split("/")


async def replay_path(device: Caller, recording: str, *, timeout_s: float) -> str:
    """Path and query of the RTSP URI that replays `recording` (Replay, 5.2)."""
    setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
    uri = await device.invoke(REPLAY, "GetReplayUri", _read_uri, timeout_s=timeout_s, StreamSetup=setup, RecordingToken=recording)
    return path_of(uri)


def covered(changes: Iterable[Change], window: Span, *, tracks: Sequence[str]) -> Sequence[Span]:
    """What `changes` say of `window`: recorded is where any of `tracks` has data.

    Of the tracks' changes and those of the whole recording, the tracks' count, as they tell of data and not of intentions. With no
    change at all, nothing is known to be missing: the whole window. Before the first change, the opposite of it held.
    """
    ordered = sorted(changes, key=lambda change: (change.track, change.at))
    series = {track: list(group) for track, group in groupby(ordered, key=lambda change: change.track)}
    chosen = [series[track] for track in series if track in tracks] or [series[track] for track in series if track] or list(series.values())
    if not chosen:
        return (window,) if window.start < window.end else ()
    return merged(span for one in chosen for span in _present(one, window))


def merged(spans: Iterable[Span]) -> Sequence[Span]:
    """The union of `spans`, in order and disjoint."""
    union: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if union and span.start <= union[-1].end:
            union[-1] = Span(union[-1].start, max(union[-1].end, span.end))
        elif span.start < span.end:
            union.append(span)
    return tuple(union)


def read_recordings(value: Any) -> Sequence[Recording]:
    """What zeep makes of GetRecordingsResponse: no times."""
    return tuple(_item(one) for one in value.RecordingItem if one.RecordingToken)


def read_information(value: Any) -> Recording:
    """What zeep makes of GetRecordingInformationResponse."""
    return _recording(value.RecordingInformation)


def read_changes(payload: etree._Element, recording: str) -> Sequence[Change]:
    """The changes of `recording` in a GetEventSearchResultsResponse (Recording Search, 5.4 and annex A: RecordingHistory)."""
    found = []
    for result in children(child(payload, "ResultList"), "Result"):
        at, present = read_datetime(text(result, "Time")), _state(result)
        if at is not None and present is not None and text(result, "RecordingToken") in (recording, ""):
            found.append(Change(at, _track_of(result), present))
    return found


# -- searches ---------------------------------------------------------------------------------------------------------

R = TypeVar("R")
Page = Callable[[Caller, dict[str, Any], float], Awaitable[tuple[bool, Sequence[R]]]]

_HISTORY = "tns1:RecordingHistory//."
_CONCRETE = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"


async def _search(device: Caller, name: str, page: Page[R], timeout_s: float, **arguments: Any) -> Sequence[R]:
    token = await device.invoke(SEARCH, name, _read_token, timeout_s=timeout_s, KeepAliveTime=KEEP_ALIVE, **arguments)
    wanted = {"SearchToken": token, "MinResults": 1, "MaxResults": RESULTS_AT_ONCE, "WaitTime": WAIT}
    found: list[R] = []
    try:
        for _ in range(PAGES_LIMIT):
            completed, results = await page(device, wanted, timeout_s)
            found += results
            if completed:
                return found
            if not results:
                await device.pause(PAUSE_S)
        raise ProtocolError("the device never completes the search", code="too-large")
    finally:
        with suppress(DeviceError):
            await device.invoke(SEARCH, "EndSearch", _nothing, timeout_s=timeout_s, SearchToken=token)


async def _recordings_page(device: Caller, wanted: dict[str, Any], timeout_s: float) -> tuple[bool, Sequence[Recording]]:
    return await device.invoke(SEARCH, "GetRecordingSearchResults", _read_recordings_page, timeout_s=timeout_s, large=True, **wanted)


def _read_recordings_page(value: Any) -> tuple[bool, Sequence[Recording]]:
    page = value.ResultList
    return page.SearchState == "Completed", [_recording(one) for one in page.RecordingInformation if one.RecordingToken]


async def _events_page(recording: str, device: Caller, wanted: dict[str, Any], timeout_s: float) -> tuple[bool, Sequence[Change]]:
    """Read by hand: what an event holds is outside the WSDL."""
    operation = await WSDLS.build(SEARCH, "GetEventSearchResults", wanted, large=True, repeatable=True)
    payload = await device.call(operation, timeout_s=timeout_s)
    return text(payload, "ResultList", "SearchState") == "Completed", read_changes(payload, recording)


def _history_filter() -> etree._Element:
    expression = etree.Element("{http://docs.oasis-open.org/wsn/b-2}TopicExpression", nsmap={"tns1": "http://www.onvif.org/ver10/topics"})
    expression.set("Dialect", _CONCRETE)
    expression.text = _HISTORY
    return expression


def _read_token(value: Any) -> str:
    return str(value.SearchToken)


def _read_uri(value: Any) -> str:
    return str(value.Uri)


def _read_summary(value: Any) -> tuple[datetime | None, datetime | None]:
    return value.Summary.DataFrom, value.Summary.DataUntil


def _read_retention(value: Any) -> timedelta | None:
    told = value.RecordingConfiguration.MaximumRetentionTime
    return told if isinstance(told, timedelta) and told > timedelta(0) else None


def _nothing(_value: Any) -> None:
    return None


# -- answers ----------------------------------------------------------------------------------------------------------


def _possible(device: Caller, window: Span, known: Recording) -> Span:
    """The part of `window` that can be recorded at all: not before the first moment kept, not after the device's own present."""
    start = max(window.start, known.earliest) if known.earliest else window.start
    return Span(start, max(start, min(window.end, device.now())))


def _present(changes: Sequence[Change], window: Span) -> Iterable[Span]:
    since = window.start if not changes[0].present else None
    for change in changes:
        at = min(max(change.at, window.start), window.end)
        if change.present and since is None:
            since = at
        elif not change.present and since is not None:
            yield Span(since, at)
            since = None
    if since is not None:
        yield Span(since, window.end)


def _recording(one: Any) -> Recording:
    """Of one RecordingInformation. Video tracks only, where there are any."""
    video = [track for track in one.Track if track.TrackType == "Video"] or one.Track
    return Recording(
        str(one.RecordingToken)[:TEXT_LIMIT],
        str(getattr(one.Source, "Name", None) or "")[:TEXT_LIMIT],
        one.EarliestRecording,
        one.LatestRecording,
        tuple(str(track.TrackToken)[:TEXT_LIMIT] for track in video),
    )


def _item(one: Any) -> Recording:
    tracks = getattr(one.Tracks, "Track", None) or ()
    source = getattr(one.Configuration, "Source", None)
    video = [track for track in tracks if getattr(track.Configuration, "TrackType", "") == "Video"] or tracks
    return Recording(
        str(one.RecordingToken)[:TEXT_LIMIT],
        str(getattr(source, "Name", None) or "")[:TEXT_LIMIT],
        None,
        None,
        tuple(str(track.TrackToken)[:TEXT_LIMIT] for track in video),
    )


def _state(result: etree._Element) -> bool | None:
    """IsDataPresent of a track, or IsRecording of a recording; None for any other event."""
    for item in result.iter("{*}SimpleItem"):
        if item.get("Name") in ("IsDataPresent", "IsRecording"):
            return item.get("Value", "").strip().lower() in ("true", "1")
    return None


def _track_of(result: etree._Element) -> str:
    """The track that an event is about; "" for one that is about the whole recording."""
    if not any(item.get("Name") == "IsDataPresent" for item in result.iter("{*}SimpleItem")):
        return ""
    return text(result, "TrackToken")
