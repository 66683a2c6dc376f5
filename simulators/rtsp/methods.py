"""The RTSP methods (RFC 2326 §10): each takes a request of somebody who has logged in and gives the answer."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators.city import Parameters
from simulators.heard import HeardSession
from simulators.rtsp import playback, ranges
from simulators.rtsp.message import Request, Response
from simulators.rtsp.outlets import InterleavedOutlet, Outlet, UdpOutlet
from simulators.rtsp.plays import LivePlay
from simulators.rtsp.resources import BACKCHANNEL, REPLAY, Resource, resolve, split_track
from simulators.rtsp.rtp import Stream
from simulators.rtsp.sessions import TIMEOUT_S, Phase, Session, Track
from simulators.rtsp.talk import Talk, horn_of
from simulators.rtsp.transport import Offer, choose
from simulators.sights import sight_of

if TYPE_CHECKING:
    from simulators.rtsp.server import Connection, RtspServer

MAX_REPLAYS: Final = 8
"""Replays that one recorder plays at once; the quirk "few-replays" leaves fewer."""
MAX_WATCHERS: Final = 20
"""Live sessions of one camera."""
MAX_SESSIONS: Final = 64
"""Sessions of one connection."""
PUBLIC: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"


@dataclass(slots=True)
class Exchange:
    """One request on its way to an answer. `after`: done when the answer has been written."""

    server: "RtspServer"
    connection: "Connection"
    request: Request
    after: Callable[[], None] | None = None

    def resource(self) -> tuple[Resource | None, int | None]:
        """What the request's URL names, and which of its tracks."""
        path, track = split_track(self.request.path)
        device = self.connection.device
        return resolve(device, path, city=self.server.city, speaker=self.server.speaker_of(device)), track

    def session(self) -> Session | None:
        """The session that the request names, kept alive by it; None when there is none of this device."""
        found = self.server.book.by_id.get(self.request.session)
        if found is None or found.device.id != self.connection.device.id:
            return None
        found.last_seen = self.server.state.now()
        return found

    def quirk(self, switch: str) -> Parameters | None:
        """The parameters of a quirk of the device that was asked, None when it has not; one without parameters has an empty dict."""
        return self.server.state.quirk(self.connection.device, switch)

    def requirement_missing(self, resource: Resource) -> bool:
        """Whether the device wants the backchannel to be required in this request, too, and it is not."""
        strict = resource.speaker is not None and self.quirk("requires-everywhere") is not None
        return strict and BACKCHANNEL not in self.request.required

    def unsupported(self) -> Response | None:
        """551 when a feature is required that this device lacks (RFC 2326 §12.32)."""
        device = self.connection.device
        known = {REPLAY} if device.channels else set()
        if self.server.speaker_of(device) and "backchannel" not in device.lacks and self.quirk("refuses-require") is None:
            known.add(BACKCHANNEL)
        missing = sorted(self.request.required - known)
        return Response(551, (("Unsupported", ", ".join(missing)),)) if missing else None


def options(exchange: Exchange) -> Response:
    """What there is; keeps the session alive that it names, if any."""
    exchange.session()
    return Response(200, (("Public", PUBLIC),))


def describe(exchange: Exchange) -> Response:
    resource, track = exchange.resource()
    if resource is None or track is not None:
        return Response(404)
    if "application/sdp" not in (exchange.request.header("accept") or "application/sdp"):
        return Response(406)
    offered = BACKCHANNEL in exchange.request.required or exchange.quirk("refuses-require") is not None
    body = resource.sdp(exchange.connection.device.address, backchannel=offered)
    base = exchange.connection.own_url(resource.path) + "/"
    return Response(200, (("Content-Base", base), ("Content-Type", "application/sdp")), body)


def setup(exchange: Exchange) -> Response:
    resource, number = exchange.resource()
    number = 0 if number is None and resource and len(resource.tracks) == 1 else number
    if resource is None or (number is not None and number >= len(resource.tracks)):
        return Response(404)
    if number is None:
        return Response(459)
    if exchange.requirement_missing(resource):
        return Response(551)
    offer = choose(exchange.request.header("transport"))
    if offer is None:
        return Response(461)
    session = exchange.session() if exchange.request.session else None
    if session is None and exchange.request.session:
        return Response(454)
    if session and (session.phase is Phase.PLAYING or number in session.tracks or session.resource.path != resource.path):
        return Response(455)
    if refusal := _no_room(exchange, resource, number, new=session is None):
        return refusal
    return _set_up(exchange, session or _new_session(exchange, resource), number, offer)


def _no_room(exchange: Exchange, resource: Resource, number: int, *, new: bool) -> Response | None:
    """453 when another talker has the loudspeaker or too much is being replayed."""
    book, device = exchange.server.book, exchange.connection.device
    if resource.speaker and resource.tracks[number].talk and book.talker_to(resource.speaker, exchange.server.state.now()):
        exchange.server.count("second_talker", device)
        quirk = exchange.quirk("single-talker")
        return Response(453 if quirk is None else int(quirk["status"]))
    if new and resource.channel and book.replays_of(device) >= _replays_at_once(exchange):
        exchange.server.count("too_many_replays", device)
        return Response(453)
    if new and resource.camera and not resource.channel and book.watchers_of(device) >= MAX_WATCHERS:
        exchange.server.count("too_many_watchers", device)
        return Response(453)
    if new and sum(1 for _ in book.on(exchange.connection)) >= MAX_SESSIONS:
        return Response(453)
    return None


def _replays_at_once(exchange: Exchange) -> int:
    quirk = exchange.server.state.quirk(exchange.connection.device, "few-replays")
    return MAX_REPLAYS if quirk is None else int(quirk["sessions"])


def _new_session(exchange: Exchange, resource: Resource) -> Session:
    connection = exchange.connection
    session = Session(secrets.token_hex(8), connection.device, resource, connection.peer, exchange.server.state.now())
    exchange.server.book.by_id[session.id] = session
    return session


def _set_up(exchange: Exchange, session: Session, number: int, offer: Offer) -> Response:
    server, connection = exchange.server, exchange.connection
    stream = Stream(secrets.randbits(32), secrets.randbits(16), secrets.randbits(32), session.resource.codec)
    medium = session.resource.tracks[number]
    outlet: Outlet
    if offer.udp:
        device = connection.device
        outlet = UdpOutlet(server.udp, device.address, connection.peer, offer.udp, muted=lambda: server.dead(device))
        track = Track(number, stream, outlet, udp=offer.udp)
        server.book.add_ports(session, offer.udp)
        way = f"RTP/AVP;unicast;client_port={_dashed(offer.udp)};server_port={_dashed(server.udp.ports)}"
    else:
        channels = offer.channels or connection.free_channels()
        outlet = InterleavedOutlet(connection, *channels)
        track = Track(number, stream, outlet, channels=channels)
        session.connection = connection
        connection.take_channels(channels, session, talk=medium.talk)
        way = f"RTP/AVP/TCP;unicast;interleaved={_dashed(channels)}"
    session.tracks[number] = track
    if medium.talk:
        _take_the_floor(exchange, session, "udp" if offer.udp else "tcp")
    transport = f'{way};ssrc={stream.ssrc:08X};mode="PLAY"'
    return Response(200, (("Transport", transport), ("Session", f"{session.id};timeout={TIMEOUT_S}")))


def _take_the_floor(exchange: Exchange, session: Session, transport: str) -> None:
    speaker = session.resource.speaker
    assert speaker is not None
    heard = exchange.server.state.heard_by(speaker)
    state, started_ns = exchange.server.state, exchange.server.now_ns()
    noted = HeardSession(session.peer, transport, horn=horn_of(speaker, state), started_ns=started_ns, level=state.volume(speaker))
    heard.sessions.append(noted)
    session.talk = Talk(speaker, heard, noted, session.resource.encodings())


def play(exchange: Exchange) -> Response:
    session, server = exchange.session(), exchange.server
    if session is None:
        return Response(454)
    if not session.tracks:
        return Response(455)
    if exchange.requirement_missing(session.resource):
        return Response(551)
    try:
        started = playback.ready(server.state, server.city, session, exchange.request) if session.resource.channel else None
    except (ranges.InvalidRange, ValueError):
        return Response(457)
    session.phase = Phase.PLAYING
    exchange.after = lambda: _start(server, session)
    headers = [("Session", f"{session.id};timeout={TIMEOUT_S}")]
    if session.video:
        headers.append(("Range", started.range if started else ranges.clock(server.state.device_time(session.device), None)))
        if started:
            headers.append(("Scale", f"{started.scale:g}" if started.scale % 1 else f"{started.scale:.1f}"))
        headers.append(("RTP-Info", _rtp_info(exchange.connection, session, session.video)))
    return Response(200, tuple(headers))


def _rtp_info(connection: "Connection", session: Session, track: Track) -> str:
    url = f"{connection.own_url(session.resource.path)}/trackID={track.index}"
    timestamp = session.replay.timestamp if session.replay else track.stream.timestamp_base
    return f"url={url};seq={track.stream.sequence};rtptime={timestamp}"


def _start(server: "RtspServer", session: Session) -> None:
    """Let everything flow that was set up, once PLAY has been answered; a session ended meanwhile stays silent."""
    if session.id not in server.book.by_id or session.phase is not Phase.PLAYING:
        return
    if session.talk:
        session.talk.open()
    if session.replay:
        session.replay.start()
    elif session.video and session.live is None:
        sight = sight_of(server.state, server.city, session.resource.camera)
        session.live = LivePlay(
            playback.reel_of(sight, session), stream=session.video.stream, outlet=session.video.outlet, offset_s=sight.offset_s
        )
        server.live.add(session.live)


def pause(exchange: Exchange) -> Response:
    session = exchange.session()
    if session is None:
        return Response(454)
    if not session.tracks:
        return Response(455)
    exchange.server.halt(session)
    session.phase = Phase.READY
    return Response(200, (("Session", session.id),))


def parameter(exchange: Exchange) -> Response:
    """GET_PARAMETER and SET_PARAMETER: there are no parameters, so this keeps a session alive and says nothing."""
    session = exchange.session()
    if session is None:
        return Response(454) if exchange.request.session else Response(200)
    return Response(200, (("Session", f"{session.id};timeout={TIMEOUT_S}"),))


def teardown(exchange: Exchange) -> Response:
    session = exchange.session()
    if session is None:
        return Response(454)
    exchange.server.end(session)
    return Response(200, (("Session", session.id),))


def _dashed(pair: tuple[int, int]) -> str:
    return f"{pair[0]}-{pair[1]}"


METHODS: Final[Mapping[str, Callable[[Exchange], Response]]] = {
    "OPTIONS": options,
    "DESCRIBE": describe,
    "SETUP": setup,
    "PLAY": play,
    "PAUSE": pause,
    "GET_PARAMETER": parameter,
    "SET_PARAMETER": parameter,
    "TEARDOWN": teardown,
}
