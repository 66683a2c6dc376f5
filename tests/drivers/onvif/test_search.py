"""Coverage out of a recording's history: disjoint, in order, inside the window, and true to the changes."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.clock import SimulatedClock
from gateway.domain.coverage import Told
from gateway.drivers.base import Span
from gateway.drivers.onvif.search import Change, covered, merged, read_changes
from gateway.errors import DeadlineExceeded, ProtocolError
from tests.drivers.devices import Heard, answer, soap
from tests.drivers.onvif.camera import Camera, met

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Span(START, START + timedelta(seconds=100))


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def change(second: float, present: bool, track: str = "V") -> Change:
    return Change(at(second), track, present)


def spans(*pairs: tuple[float, float]) -> tuple[Span, ...]:
    return tuple(Span(at(begin), at(end)) for begin, end in pairs)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], [(0, 100)]),
        ([change(0, True)], [(0, 100)]),
        ([change(0, False)], []),
        ([change(0, True), change(40, False), change(60, True)], [(0, 40), (60, 100)]),
        ([change(60, True), change(40, False)], [(0, 40), (60, 100)]),
        ([change(40, False)], [(0, 40)]),
        ([change(40, True)], [(40, 100)]),
        ([change(-50, True), change(150, False)], [(0, 100)]),
        ([change(10, True), change(20, True), change(30, False), change(40, False)], [(10, 30)]),
        ([change(10, True, "A"), change(20, False, "A"), change(50, True)], [(50, 100)]),
        ([change(10, True, "A"), change(20, False, "A")], [(10, 20)]),
        ([change(10, True, ""), change(20, False, "")], [(10, 20)]),
        ([change(0, True, ""), change(30, True), change(40, False)], [(30, 40)]),
    ],
)
def test_history_becomes_spans(changes: list[Change], expected: list[tuple[float, float]]) -> None:
    assert covered(changes, WINDOW, tracks=("V",)) == spans(*expected)


def test_two_video_tracks_cover_what_either_has() -> None:
    changes = [change(0, True, "V1"), change(30, False, "V1"), change(20, True, "V2"), change(60, False, "V2")]
    assert covered(changes, WINDOW, tracks=("V1", "V2")) == spans((0, 60))


CHANGES = st.lists(st.builds(change, st.integers(-50, 150), st.booleans(), st.sampled_from(["V", "A", ""])), max_size=12)


@given(CHANGES)
def test_coverage_is_in_order_disjoint_and_inside_the_window(changes: list[Change]) -> None:
    found = covered(changes, WINDOW, tracks=("V",))
    assert all(WINDOW.start <= span.start < span.end <= WINDOW.end for span in found)
    assert all(before.end < after.start for before, after in itertools.pairwise(found))


@given(CHANGES, st.integers(0, 99))
def test_a_second_is_covered_when_the_last_change_before_it_says_so(changes: list[Change], second: int) -> None:
    relevant = sorted((one for one in changes if one.track == "V"), key=lambda one: one.at)
    if relevant:
        before = [one for one in relevant if one.at <= at(second)]
        expected = before[-1].present if before else not relevant[0].present
        assert any(span.start <= at(second) < span.end for span in covered(changes, WINDOW, tracks=("V",))) == expected


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=10))
def test_merging_keeps_every_second(pairs: list[tuple[int, int]]) -> None:
    found = merged(spans(*((begin, begin + length) for begin, length in pairs)))
    kept = {
        second for span in found for second in range(int((span.start - START).total_seconds()), int((span.end - START).total_seconds()))
    }
    assert kept == {second for begin, length in pairs for second in range(begin, begin + length)}


# -- on the wire ------------------------------------------------------------------------------------------------------


def event(token: str, moment: str, name: str, value: str) -> str:
    return (
        f"<tt:Result><tt:RecordingToken>{token}</tt:RecordingToken><tt:TrackToken>V</tt:TrackToken><tt:Time>{moment}</tt:Time><tt:Event>"
        f'<tt:Message><tt:Data><tt:SimpleItem Name="{name}" Value="{value}"/></tt:Data></tt:Message></tt:Event></tt:Result>'
    )


def test_only_changes_of_the_recording_are_read_and_impossible_times_are_left_out() -> None:
    results = "".join(
        (
            event("R", "2026-03-01T00:00:10Z", "IsDataPresent", "true"),
            event("R", "2026-03-01T00:00:20Z", "IsRecording", "0"),
            event("other", "2026-03-01T00:00:30Z", "IsDataPresent", "true"),
            event("R", "0000-00-00T00:00:00Z", "IsDataPresent", "true"),
            event("R", "2026-03-01T00:00:40Z", "SomethingElse", "true"),
        )
    )
    payload = etree.fromstring(soap(f"<tse:R><tse:ResultList>{results}</tse:ResultList></tse:R>"))[0][0]
    assert list(read_changes(payload, "R")) == [change(10, True), change(20, False, "")]


SERVICES = soap(
    "<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/search/wsdl</tds:Namespace>"
    "<tds:XAddr>http://127.0.0.99:9099/onvif/search</tds:XAddr></tds:Service></tds:GetServicesResponse>"
)


def recorder(clock: SimulatedClock, results: str, state: str) -> Camera:
    def say(body: str) -> object:
        return lambda _heard: answer(soap(body))

    page = f"<tse:ResultList><tt:SearchState>{state}</tt:SearchState>{results}</tse:ResultList>"
    extra = {
        "GetServices": lambda _: answer(SERVICES),
        "FindRecordings": say("<tse:FindRecordingsResponse><tse:SearchToken>S1</tse:SearchToken></tse:FindRecordingsResponse>"),
        "GetRecordingSearchResults": say(f"<tse:GetRecordingSearchResultsResponse>{page}</tse:GetRecordingSearchResultsResponse>"),
        "EndSearch": say("<tse:EndSearchResponse><tse:Endpoint>2026-01-01T00:00:00Z</tse:Endpoint></tse:EndSearchResponse>"),
    }
    return Camera(clock, extra=extra)


RECORDING = (
    "<tt:RecordingInformation><tt:RecordingToken>R1</tt:RecordingToken><tt:Source><tt:SourceId>s</tt:SourceId><tt:Name>街道</tt:Name>"
    "</tt:Source><tt:EarliestRecording>2024-08-17T00:61:16Z</tt:EarliestRecording><tt:LatestRecording>0000-00-00T00:00:00Z"
    "</tt:LatestRecording><tt:Content>c</tt:Content><tt:Track><tt:TrackToken>A</tt:TrackToken><tt:TrackType>Audio</tt:TrackType></tt:Track>"
    "<tt:Track><tt:TrackToken>V</tt:TrackToken><tt:TrackType>Video</tt:TrackType></tt:Track>"
    "<tt:RecordingStatus>Recording</tt:RecordingStatus></tt:RecordingInformation>"
)


async def test_recordings_are_read_with_odd_times_and_the_search_is_ended(clock: SimulatedClock) -> None:
    async with met(recorder(clock, RECORDING, "Completed")) as (fake, ours):
        found = await ours.recordings(timeout_s=10)
        assert [(one.token, one.source_name, one.tracks) for one in found] == [("R1", "街道", ("V",))]
        assert (found[0].earliest, found[0].latest) == (datetime(2024, 8, 17, 1, 1, 16, tzinfo=UTC), None)
        assert fake.operations()[-1] == "EndSearch"


async def test_a_search_that_is_never_completed_ends_and_is_ended(clock: SimulatedClock) -> None:
    async with met(recorder(clock, RECORDING, "Searching")) as (fake, ours):
        with pytest.raises(ProtocolError) as caught:
            await ours.recordings(timeout_s=30)
        assert caught.value.code == "too-large"
        assert fake.operations()[-1] == "EndSearch"


async def test_a_search_that_finds_nothing_for_ever_keeps_its_deadline(clock: SimulatedClock) -> None:
    async with met(recorder(clock, "", "Searching")) as (fake, ours):
        with pytest.raises(DeadlineExceeded):
            await ours.recordings(timeout_s=0.5)
        assert fake.operations().count("GetRecordingSearchResults") == 1, "the device is left alone between questions"


def calls(heard: list[Heard]) -> set[str]:
    return {one.path for one in heard}


async def test_a_search_service_at_somebody_elses_address_is_asked_at_the_inventorys(clock: SimulatedClock) -> None:
    async with met(recorder(clock, RECORDING, "Completed")) as (fake, ours):
        await ours.recordings(timeout_s=10)
        assert calls(fake.heard) == {"/onvif/device_service", "/onvif/search"}


INFORMATION = RECORDING.replace("2024-08-17T00:61:16Z", "2025-12-01T00:00:00Z").replace("0000-00-00T00:00:00Z", "2025-12-31T23:59:58Z")


def searching(clock: SimulatedClock, events: str) -> Camera:
    """A recorder that knows a recording and answers each GetEventSearchResults, or FindEvents, with `events`."""
    fake = recorder(clock, "", "Completed")

    def say(body: str) -> object:
        return lambda _heard: answer(soap(body))

    known = INFORMATION.replace("tt:RecordingInformation", "tse:RecordingInformation")
    fake.extra["GetRecordingInformation"] = say(f"<tse:GetRecordingInformationResponse>{known}</tse:GetRecordingInformationResponse>")
    fake.extra["FindEvents"] = say("<tse:FindEventsResponse><tse:SearchToken>S1</tse:SearchToken></tse:FindEventsResponse>")
    fake.extra["GetEventSearchResults"] = say(events)
    return fake


DECEMBER = Span(datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


async def test_a_history_that_never_ends_leaves_the_bounds_and_says_so(clock: SimulatedClock) -> None:
    one = event("R1", "2025-12-05T00:00:00Z", "IsDataPresent", "true")
    page = f"<tse:ResultList><tt:SearchState>Searching</tt:SearchState>{one}</tse:ResultList>"
    fake = searching(clock, f"<tse:GetEventSearchResultsResponse>{page}</tse:GetEventSearchResultsResponse>")
    async with met(fake) as (heard, ours):
        found = await ours.history("R1", DECEMBER, timeout_s=30)
        assert (found.told, found.reason) == (Told.BOUNDS, "too-large")
        bounds = datetime(2025, 12, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC)
        assert [(span.start, span.end) for span in found.spans] == [bounds]
        assert heard.operations()[-1] == "EndSearch"


async def test_a_history_that_stays_silent_keeps_its_deadline_and_leaves_the_bounds(clock: SimulatedClock) -> None:
    page = "<tse:ResultList><tt:SearchState>Searching</tt:SearchState></tse:ResultList>"
    fake = searching(clock, f"<tse:GetEventSearchResultsResponse>{page}</tse:GetEventSearchResultsResponse>")
    async with met(fake) as (_, ours):
        found = await ours.history("R1", DECEMBER, timeout_s=2)
        assert (found.told, found.reason) == (Told.BOUNDS, "timeout")
        with pytest.raises(DeadlineExceeded):
            await ours.coverage("R1", DECEMBER, timeout_s=2)


async def test_a_recording_that_tells_no_times_has_those_of_the_whole_device(clock: SimulatedClock) -> None:
    page = "<tse:ResultList><tt:SearchState>Completed</tt:SearchState></tse:ResultList>"
    fake = searching(clock, f"<tse:GetEventSearchResultsResponse>{page}</tse:GetEventSearchResultsResponse>")
    untold = RECORDING.replace("2024-08-17T00:61:16Z", "0000-00-00T00:00:00Z").replace(
        "tt:RecordingInformation", "tse:RecordingInformation"
    )
    summary = "<tt:DataFrom>2025-12-01T00:00:00Z</tt:DataFrom><tt:DataUntil>2025-12-31T00:00:00Z</tt:DataUntil>"
    fake.extra |= {
        "GetRecordingInformation": lambda _: answer(
            soap(f"<tse:GetRecordingInformationResponse>{untold}</tse:GetRecordingInformationResponse>")
        ),
        "GetRecordingSummary": lambda _: answer(
            soap(
                f"<tse:GetRecordingSummaryResponse><tse:Summary>{summary}<tt:NumberRecordings>1</tt:NumberRecordings></tse:Summary>"
                "</tse:GetRecordingSummaryResponse>"
            )
        ),
    }
    async with met(fake) as (_, ours):
        found = await ours.history("R1", DECEMBER, timeout_s=30)
        assert (found.told, found.oldest, found.spans[0].start) == (Told.HISTORY, *(datetime(2025, 12, 1, tzinfo=UTC),) * 2)


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20), st.sampled_from(["IsDataPresent", "IsRecording", "x"]))
def test_whatever_stands_in_an_event_is_read_or_left_out(moment: str, token: str, value: str, name: str) -> None:
    payload = etree.fromstring(soap(f"<tse:R><tse:ResultList>{event('R', 'M', name, 'V')}</tse:ResultList></tse:R>"))[0][0]
    for element in payload.iter():
        try:
            if element.text in ("M", "R"):
                element.text = {"M": moment, "R": token}[element.text]
            if element.get("Value"):
                element.set("Value", value)
        except ValueError:  # what XML cannot carry never comes
            return
    for change_ in read_changes(payload, token):
        assert change_.at.tzinfo is not None
        assert covered([change_], WINDOW, tracks=("V",)) is not None
