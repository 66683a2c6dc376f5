"""The Recording Search service (Profile G): recordings, and the moments at which their footage begins and breaks off."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from simulators import footage
from simulators.city import SimChannel
from simulators.onvif import recordings
from simulators.onvif.recordings import TRACK
from simulators.onvif.soap import Call, SoapFault, invalid, read_time, text, xml_time
from simulators.onvif.streams import FRAME_RATE, SOURCE_SIZE
from simulators.onvif.unit import SEARCHES, Search, Service, Unit

TOPIC: Final = "tns1:RecordingHistory/Track/State"
DIALECT: Final = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
KEEP_ALIVE_S: Final = (1.0, 3600.0)
RESULTS_AT_ONCE: Final = 500
_SECONDS: Final = re.compile(r"PT(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")


def _capabilities(_unit: Unit) -> str:
    return '<tse:Capabilities MetadataSearch="false"/>'


def _summary(unit: Unit, _call: Call) -> str:
    kept = footage.kept(unit.device, unit.now())
    return (
        f"<tse:Summary><tt:DataFrom>{recordings.told(unit, kept.start)}</tt:DataFrom>"
        f"<tt:DataUntil>{recordings.told(unit, kept.end)}</tt:DataUntil>"
        f"<tt:NumberRecordings>{len(recordings.listed(unit))}</tt:NumberRecordings>"
        "</tse:Summary>"
    )


def _information(unit: Unit, call: Call) -> str:
    channel = recordings.channel_in(unit, call)
    if channel not in recordings.listed(unit):
        raise recordings.no_recording()
    inner = recordings.information(unit, channel)
    return f"<tse:RecordingInformation>{inner}</tse:RecordingInformation>"


def _media_attributes(unit: Unit, call: Call) -> str:
    asked = [(element.text or "").strip() for element in call.element.iter("{*}RecordingTokens")]
    moment = read_time(call.text("Time"))
    listed = []
    for channel in _channels(unit, asked):
        spans = footage.recorded(unit.device, channel, footage.Span(moment, moment + 1), unit.now())
        if spans:
            listed.append(_attributes(unit, channel, spans[0].start))
    return "".join(listed)


def _attributes(unit: Unit, channel: SimChannel, moment: float) -> str:
    (width, height), codec = SOURCE_SIZE, recordings.codec(unit, channel)
    return (
        f"<tse:MediaAttributes><tt:RecordingToken>{channel.token}</tt:RecordingToken><tt:TrackAttributes>"
        f"<tt:TrackInformation>{recordings.track(unit)}</tt:TrackInformation><tt:VideoAttributes><tt:Bitrate>64</tt:Bitrate>"
        f"<tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height><tt:Encoding>{codec}</tt:Encoding><tt:Framerate>{FRAME_RATE}</tt:Framerate>"
        f"</tt:VideoAttributes></tt:TrackAttributes><tt:From>{xml_time(moment)}</tt:From><tt:Until>{xml_time(moment)}</tt:Until>"
        "</tse:MediaAttributes>"
    )


# -- searches ---------------------------------------------------------------------------------------------------------


def _find_recordings(unit: Unit, call: Call) -> str:
    found = [
        f"<tt:RecordingInformation>{recordings.information(unit, channel)}</tt:RecordingInformation>" for channel in _in_scope(unit, call)
    ]
    return _begin(unit, call, "recordings", found, unit.now())


def _find_events(unit: Unit, call: Call) -> str:
    ahead = 3600 * unit.number("search-local-time", "hours")
    start = read_time(call.text("StartPoint")) - ahead
    end = read_time(call.text("EndPoint")) - ahead if call.text("EndPoint") else unit.now()
    topics = [element.text or "" for element in call.element.iter("{*}TopicExpression")]
    moments = _moments(unit, call, footage.Span(min(start, end), max(start, end))) if _wanted(topics) else iter(())
    ordered = sorted(moments, key=lambda moment: moment[0], reverse=end < start)
    return _begin(unit, call, "events", [event for _, event in ordered], end)


def _wanted(topics: Sequence[str]) -> bool:
    """Whether a filter lets the topic through: no filter, the topic itself or a tree above it."""
    names = [topic.strip().partition(":")[2].removesuffix("//.").removesuffix("/.") for topic in topics]
    own = TOPIC.partition(":")[2]
    return not names or any(own == part or own.startswith(f"{part}/") for name in names for part in name.split("|"))


def _moments(unit: Unit, call: Call, window: footage.Span) -> Iterator[tuple[float, str]]:
    """(when, event) for each change between footage and none, and for the state at the start when that was asked for."""
    with_start = call.text("IncludeStartState") in {"true", "1"}
    written_until = footage.kept(unit.device, unit.now()).end
    for channel in _in_scope(unit, call):
        spans = footage.recorded(unit.device, channel, window, unit.now())
        if with_start:
            present = bool(spans) and spans[0].start == window.start
            yield window.start, _event(unit, channel, window.start, present=present, start_state=True)
        for span in spans:
            if span.start > window.start:
                yield span.start, _event(unit, channel, span.start, present=True)
            if span.end < min(window.end, written_until):
                yield span.end, _event(unit, channel, span.end, present=False)


def _event(unit: Unit, channel: SimChannel, moment: float, *, present: bool, start_state: bool = False) -> str:
    when, operation = recordings.told(unit, moment), "Initialized" if start_state else "Changed"
    return (
        f"<tt:Result><tt:RecordingToken>{channel.token}</tt:RecordingToken><tt:TrackToken>{TRACK}</tt:TrackToken><tt:Time>{when}</tt:Time>"
        f'<tt:Event><wsnt:Topic Dialect="{DIALECT}">{TOPIC}</wsnt:Topic><wsnt:Message>'
        f'<tt:Message UtcTime="{when}" PropertyOperation="{operation}"><tt:Source>'
        f'<tt:SimpleItem Name="RecordingToken" Value="{channel.token}"/><tt:SimpleItem Name="Track" Value="{TRACK}"/></tt:Source>'
        f'<tt:Data><tt:SimpleItem Name="IsDataPresent" Value="{str(present).lower()}"/></tt:Data></tt:Message></wsnt:Message></tt:Event>'
        f"<tt:StartStateEvent>{str(start_state).lower()}</tt:StartStateEvent></tt:Result>"
    )


def _in_scope(unit: Unit, call: Call) -> list[SimChannel]:
    scope = next(call.element.iter("{*}Scope"), None)
    if scope is None:
        return list(recordings.listed(unit))
    sources = {text(element, "Token") for element in scope.iter("{*}IncludedSources")}
    chosen = _channels(unit, [(element.text or "").strip() for element in scope.iter("{*}IncludedRecordings")])
    return [channel for channel in chosen if not sources or f"urn:channel:{channel.number}" in sources]


def _channels(unit: Unit, tokens: Sequence[str]) -> list[SimChannel]:
    """The channels of those recordings; all without any. Raises the fault ter:NoRecording."""
    known = recordings.listed(unit)
    if not tokens:
        return list(known)
    found = [channel for token in tokens for channel in known if channel.token == token]
    if len(found) < len(tokens):
        raise recordings.no_recording()
    return found


# -- sessions ---------------------------------------------------------------------------------------------------------


def _begin(unit: Unit, call: Call, kind: str, results: Sequence[str], end_point: float) -> str:
    _forget(unit)
    if len(unit.searches) >= SEARCHES:
        raise SoapFault("too many searches", "ter:Action", "ter:ResourceProblem", code="Receiver")
    matches, token = call.text("MaxMatches"), f"search-{unit.next_search}"
    keep_alive_s = _keep_alive(call.text("KeepAliveTime"))
    kept = results[: int(matches)] if matches.isdigit() and int(matches) else results
    unit.next_search += 1
    unit.searches[token] = Search(kind, kept, keep_alive_s, unit.state.now() + keep_alive_s, end_point)
    return f"<tse:SearchToken>{token}</tse:SearchToken>"


def _results(unit: Unit, call: Call) -> str:
    kind = "recordings" if call.operation == "GetRecordingSearchResults" else "events"
    search = _search(unit, call, kind)
    asked = call.text("MaxResults")
    count = min(int(asked), RESULTS_AT_ONCE) if asked.isdigit() and int(asked) else RESULTS_AT_ONCE
    given, search.results = search.results[:count], search.results[count:]
    search.expires = unit.state.now() + search.keep_alive_s
    state = "Searching" if search.results else "Completed"
    return f"<tse:ResultList><tt:SearchState>{state}</tt:SearchState>{''.join(given)}</tse:ResultList>"


def _state(unit: Unit, call: Call) -> str:
    state = "Searching" if _search(unit, call).results else "Completed"
    return f"<tse:State>{state}</tse:State>"


def _end(unit: Unit, call: Call) -> str:
    search = _search(unit, call)
    del unit.searches[call.text("SearchToken")]
    return f"<tse:Endpoint>{xml_time(search.end_point)}</tse:Endpoint>"


def _search(unit: Unit, call: Call, kind: str = "") -> Search:
    _forget(unit)
    search = unit.searches.get(call.text("SearchToken"))
    if search is None or kind not in {"", search.kind}:
        raise invalid("no such search", "ter:InvalidToken")
    return search


def _forget(unit: Unit) -> None:
    """Ends the searches that nobody asked about for longer than their keep-alive time."""
    for token in [token for token, search in unit.searches.items() if search.expires < unit.state.now()]:
        del unit.searches[token]


def _keep_alive(duration: str) -> float:
    found = _SECONDS.fullmatch(duration)
    if found is None:
        raise invalid("not a duration", "ter:InvalidKeepAliveTime")
    seconds = float(found.group(1) or 0) * 60 + float(found.group(2) or 0)
    return min(max(seconds, KEEP_ALIVE_S[0]), KEEP_ALIVE_S[1])


SERVICE: Final = Service(
    prefix="tse",
    paths={"": "/onvif/search_service", "HIKVISION": "/onvif/SearchRecording", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetRecordingSummary": _summary,
        "GetRecordingInformation": _information,
        "GetMediaAttributes": _media_attributes,
        "FindRecordings": _find_recordings,
        "GetRecordingSearchResults": _results,
        "FindEvents": _find_events,
        "GetEventSearchResults": _results,
        "GetSearchState": _state,
        "EndSearch": _end,
    },
)
