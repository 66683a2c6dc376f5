"""Which footage a recorder holds, and that its search says exactly that."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from simulators import footage
from simulators.city import SimChannel, SimDevice
from simulators.faults import Fault
from simulators.footage import Span
from tests.simulators import oracle
from tests.simulators.street import NOW, Answer, Street

DAY = 86_400
GAPPY = SimChannel(1, "CAM-1", "rec-01", gappy=True)
WHOLE = SimChannel(2, "CAM-2", "rec-02")
RECORDER = SimDevice(id="NVR-1", kind="recorder", name="", address="127.48.0.1", serial="S1", retention_days=30, channels=(GAPPY, WHOLE))
moments = st.integers(int(NOW) - 40 * DAY, int(NOW) + DAY).map(float)


@given(first=moments, second=moments)
def test_recorded_spans_and_gaps_fill_what_is_kept_and_never_overlap(first: float, second: float) -> None:
    window = Span(min(first, second), max(first, second))
    kept = footage.kept(RECORDER, NOW)
    inside = Span(max(window.start, kept.start), min(window.end, kept.end))
    spans = footage.recorded(RECORDER, GAPPY, window, NOW)
    pieces = sorted([*spans, *(footage.gaps(RECORDER, GAPPY, inside) if inside.start < inside.end else [])], key=lambda span: span.start)

    assert all(span.start < span.end for span in pieces)
    assert all(before.end == after.start for before, after in pairwise(pieces))
    assert sum(span.end - span.start for span in pieces) == max(inside.end - inside.start, 0)


@given(first=moments, second=moments)
def test_a_part_of_a_window_has_the_gaps_of_the_whole(first: float, second: float) -> None:
    window = Span(min(first, second), max(first, second))
    whole = footage.gaps(RECORDER, GAPPY, Span(NOW - 45 * DAY, NOW + 2 * DAY))

    clipped = [Span(max(gap.start, window.start), min(gap.end, window.end)) for gap in whole]
    assert footage.gaps(RECORDER, GAPPY, window) == [gap for gap in clipped if gap.start < gap.end]


def test_a_gappy_channel_has_gaps_every_day_and_a_whole_one_none() -> None:
    for day in range(1, 30):
        assert footage.gaps(RECORDER, GAPPY, Span(NOW - (day + 1) * DAY, NOW - (day - 1) * DAY))
    assert footage.gaps(RECORDER, WHOLE, Span(NOW - 30 * DAY, NOW)) == []
    assert footage.recorded(RECORDER, WHOLE, Span(0, 2 * NOW), NOW) == [Span(NOW - 30 * DAY, NOW)]


def test_two_channels_have_gaps_of_their_own() -> None:
    window = Span(NOW - 5 * DAY, NOW)

    assert footage.gaps(RECORDER, GAPPY, window) != footage.gaps(RECORDER, replace(GAPPY, token="rec-07"), window)


# -- the search service -----------------------------------------------------------------------------------------------


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


async def find_events(
    street: Street, window: Span, scope: str, more: str = "<tse:IncludeStartState>true</tse:IncludeStartState>"
) -> Answer:
    points = f"<tse:StartPoint>{stamp(window.start)}</tse:StartPoint><tse:EndPoint>{stamp(window.end)}</tse:EndPoint>"
    inner = f"{points}<tse:Scope>{scope}</tse:Scope><tse:SearchFilter/>{more}<tse:KeepAliveTime>PT30S</tse:KeepAliveTime>"
    return await street.call(street.recorder, "tse", "FindEvents", inner)


async def results(street: Street, found: Answer, operation: str = "GetEventSearchResults", most: int = 0) -> Answer:
    limit = f"<tse:MaxResults>{most}</tse:MaxResults>" if most else ""
    token = f"<tse:SearchToken>{found.texts('SearchToken')[0]}</tse:SearchToken>"
    return await street.call(street.recorder, "tse", operation, token + limit)


def changes(answer: Answer) -> list[tuple[float, bool, bool]]:
    """(when, whether there is footage from then on, whether it is the state at the start) of each event."""
    found = []
    for result in answer.xml.iter("{*}Result"):
        present = result.xpath("string(.//*[@Name='IsDataPresent']/@Value)")
        text = {etree.QName(child).localname: child.text or "" for child in result}
        found.append((datetime.fromisoformat(text["Time"]).timestamp(), present == "true", text["StartStateEvent"] == "true"))
    return found


def gappy_scope(street: Street) -> tuple[SimChannel, str]:
    channel = next(channel for channel in street.recorder.channels if channel.gappy)
    return channel, f"<tt:IncludedRecordings>{channel.token}</tt:IncludedRecordings>"


async def test_events_mark_exactly_the_gaps(street: Street) -> None:
    channel, scope = gappy_scope(street)
    shows = street.state.device_time(street.recorder)
    window = Span(float(int(shows)) - 3 * DAY, float(int(shows)) - DAY)
    gaps = footage.gaps(street.recorder, channel, window)
    answer = await results(street, await find_events(street, window, scope))
    events = changes(answer)

    assert events[0] == (window.start, True, True)
    assert [(when, False) for gap in gaps for when in [gap.start]] == [(when, present) for when, present, _ in events[1:] if not present]
    assert [gap.end for gap in gaps] == [when for when, present, _ in events[1:] if present]
    assert answer.texts("SearchState") == ["Completed"]
    oracle.check(oracle.schema("tse"), answer.body)


async def test_the_state_at_the_start_inside_a_gap_is_no_footage(street: Street) -> None:
    channel, scope = gappy_scope(street)
    shows = street.state.device_time(street.recorder)
    gap = footage.gaps(street.recorder, channel, Span(shows - 3 * DAY, shows - DAY))[1]
    events = changes(await results(street, await find_events(street, Span(gap.start + 5, gap.end + 5), scope)))

    assert events == [(gap.start + 5, False, True), (gap.end, True, False)]


async def test_searching_backwards_gives_the_events_backwards(street: Street) -> None:
    _, scope = gappy_scope(street)
    shows = float(int(street.state.device_time(street.recorder)))
    plain = "<tse:IncludeStartState>false</tse:IncludeStartState>"
    forwards = changes(await results(street, await find_events(street, Span(shows - 3 * DAY, shows - DAY), scope, plain)))
    backwards = changes(await results(street, await find_events(street, Span(shows - DAY, shows - 3 * DAY), scope, plain)))

    assert len(forwards) >= 4
    assert backwards == forwards[::-1]


async def test_the_beginning_of_what_is_kept_is_an_event_and_the_present_is_none(street: Street) -> None:
    channel = next(channel for channel in street.recorder.channels if not channel.gappy)
    shows = street.state.device_time(street.recorder)
    window = Span(float(int(shows)) - 40 * DAY, float(int(shows)) + DAY)
    scope = f"<tt:IncludedRecordings>{channel.token}</tt:IncludedRecordings>"
    events = changes(await results(street, await find_events(street, window, scope)))

    assert events == [(window.start, False, True), (footage.kept(street.recorder, shows).start, True, False)]


async def test_results_come_in_portions_of_the_asked_size_until_completed(street: Street) -> None:
    found = await street.call(street.recorder, "tse", "FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT30S</tse:KeepAliveTime>")
    tokens, state = list[str](), "Searching"
    while state == "Searching":
        answer = await results(street, found, "GetRecordingSearchResults", most=5)
        state = answer.texts("SearchState")[0]
        assert len(answer.texts("RecordingToken")) <= 5
        tokens += answer.texts("RecordingToken")

    assert tokens == [channel.token for channel in street.recorder.channels]


async def test_a_recording_names_its_camera_and_what_is_kept_by_the_recorders_clock(street: Street) -> None:
    street.state.faults[street.recorder.id] = Fault(clock_offset_s=8 * 3600)
    channel = street.recorder.channels[0]
    camera = street.city.by_id(channel.camera)
    assert camera is not None
    answer = await street.call(
        street.recorder, "tse", "GetRecordingInformation", f"<tse:RecordingToken>{channel.token}</tse:RecordingToken>"
    )

    kept = footage.kept(street.recorder, street.clock.now + street.recorder.clock_offset_s + 8 * 3600)
    assert answer.texts("Name") == [camera.name]
    assert answer.texts("EarliestRecording") == [stamp(kept.start)]
    assert answer.texts("LatestRecording") == [stamp(kept.end)]


async def test_a_search_is_over_when_it_was_ended_or_nobody_asked_for_long(street: Street) -> None:
    window = Span(NOW - 2 * DAY, NOW - DAY)
    ended, forgotten = await find_events(street, window, ""), await find_events(street, window, "")
    await street.call(street.recorder, "tse", "EndSearch", f"<tse:SearchToken>{ended.texts('SearchToken')[0]}</tse:SearchToken>")

    assert (await results(street, ended)).subcodes[-1] == "ter:InvalidToken"
    assert (await results(street, forgotten)).status == 200
    street.clock.now += 31
    assert (await results(street, forgotten)).subcodes[-1] == "ter:InvalidToken"


async def test_a_recorder_runs_so_many_searches_and_no_more(street: Street) -> None:
    window = Span(NOW - 2 * DAY, NOW - DAY)
    for _ in range(16):
        assert (await find_events(street, window, "")).status == 200

    assert (await find_events(street, window, "")).subcodes == ["s:Receiver", "ter:Action", "ter:ResourceProblem"]


@pytest.mark.parametrize(
    ("topic", "some"),
    [("tns1:RecordingHistory//.", True), ("tns1:RecordingHistory/Track/State", True), ("tns1:VideoSource/MotionAlarm", False)],
)
async def test_a_topic_filter_is_honoured(street: Street, topic: str, some: bool) -> None:
    _, scope = gappy_scope(street)
    start, end = (f"<tse:{name}Point>{stamp(when)}</tse:{name}Point>" for name, when in (("Start", NOW - 3 * DAY), ("End", NOW - DAY)))
    filtered = f'<t:TopicExpression xmlns:t="http://docs.oasis-open.org/wsn/b-2">{topic}</t:TopicExpression>'
    rest = "<tse:IncludeStartState>false</tse:IncludeStartState><tse:KeepAliveTime>PT30S</tse:KeepAliveTime>"
    inner = f"{start}{end}<tse:Scope>{scope}</tse:Scope><tse:SearchFilter>{filtered}</tse:SearchFilter>{rest}"

    assert bool(changes(await results(street, await street.call(street.recorder, "tse", "FindEvents", inner)))) is some


async def test_a_recording_that_is_not_there_is_a_fault(street: Street) -> None:
    for prefix, operation in (("tse", "GetRecordingInformation"), ("trc", "GetRecordingConfiguration"), ("trp", "GetReplayUri")):
        answer = await street.call(street.recorder, prefix, operation, f"<{prefix}:RecordingToken>rec-99</{prefix}:RecordingToken>")
        assert answer.subcodes == ["s:Sender", "ter:InvalidArgVal", "ter:NoRecording"]


async def test_a_replay_is_at_the_recordings_own_path(street: Street) -> None:
    answer = await street.call(street.recorder, "trp", "GetReplayUri", "<trp:RecordingToken>rec-02</trp:RecordingToken>")

    assert answer.texts("Uri") == [f"rtsp://{street.recorder.address}:{street.city.rtsp_port}/replay/rec-02"]
