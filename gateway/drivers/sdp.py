"""Session descriptions (RFC 8866) as far as RTSP and SIP need them: media, payload types, direction, control."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.drivers.base import TrackDescription
from gateway.errors import ProtocolError

LINE_LIMIT = 2_000
USUAL_PACKET_MS = 20.0  # RFC 3551, 4.5
SHORTEST_PACKET_MS = 5.0
LONGEST_PACKET_MS = 150.0  # 1,200 bytes of G.711: what goes through every network in one piece
MEDIA_LIMIT = 32

_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9._\-]{1,32})/(\d{1,7})(?:/(\d{1,3}))?")
_PACKET_TIME = re.compile(r"\d{1,4}(?:\.\d{1,3})?")
_NUMBER = re.compile(r"\d{1,3}")
_DIRECTIONS = ("sendonly", "recvonly", "sendrecv", "inactive")
# RFC 3551, 6: payload types that need no rtpmap.
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 9: ("G722", 8000), 14: ("MPA", 90000), 26: ("JPEG", 90000), 33: ("MP2T", 90000)}


@dataclass(frozen=True, slots=True)
class Encoding:
    """One payload type of a media: encoding name (upper case), clock rate in Hz, format parameters, channels of sound."""

    payload_type: int
    name: str
    clock_rate: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    channels: int = 1

    def is_telephony(self, name: str) -> bool:
        """Whether it is the sound of that name as we make it: 8000 Hz (G.722 says so too: RFC 3551, 4.5.2) and one channel."""
        return (self.name, self.clock_rate, self.channels) == (name, 8000, 1)

    def __str__(self) -> str:
        """Its name, with what is unusual about it."""
        return self.name if self.is_telephony(self.name) else f"{self.name}/{self.clock_rate}" + f"/{self.channels}" * (self.channels != 1)


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` section. `direction` is the server's view: `sendonly` on an ONVIF backchannel means that we send (ONVIF Streaming, 5.3).

    `packet_ms`: how much time each packet shall cover (RFC 8866, 6.4 and 6.5: ptime, or less where maxptime says so). `port`: that of
    the media line, which means something in SIP alone; 0: refused.
    """

    kind: str
    encodings: tuple[Encoding, ...]
    direction: str = ""
    control: str = ""
    packet_ms: float = 20.0
    port: int = 0

    def tracks(self) -> tuple[TrackDescription, ...]:
        """This media in the words of `drivers.base`, one for each payload type."""
        return tuple(TrackDescription(self.kind, e.name, e.clock_rate, e.payload_type, e.parameters) for e in self.encodings)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    media: tuple[Media, ...]
    control: str = ""


def parse(body: bytes) -> SessionDescription:
    """What a DESCRIBE answered. Raises ProtocolError when it is not SDP or exceeds the bounds; unknown lines are passed over."""
    lines = body.decode("utf-8", "replace").lstrip().splitlines()
    if not lines or not lines[0].startswith("v="):
        raise ProtocolError("the description is not SDP")
    if any(len(line) > LINE_LIMIT for line in lines):
        raise ProtocolError("an SDP line is too long", code="too-large")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    if len(sections) > MEDIA_LIMIT + 1:
        raise ProtocolError("an SDP with too many media", code="too-large")
    session = _attributes(sections[0])
    media = tuple(_media(section, _direction(session)) for section in sections[1:])
    return SessionDescription(media, _first(session, "control"))


def _attributes(lines: list[str]) -> list[tuple[str, str]]:
    pairs = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def _first(attributes: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in attributes if key == name), "")


def _direction(attributes: list[tuple[str, str]], default: str = "") -> str:
    return next((name for name, _ in attributes if name in _DIRECTIONS), default)


def _media(lines: list[str], session_direction: str) -> Media:
    words = lines[0][2:].split()
    if len(words) < 4:
        raise ProtocolError("an SDP media line is malformed")
    rtp = "RTP/" in words[2].upper()  # what else there is (T.38 over UDPTL) has formats of its own
    attributes = _attributes(lines)
    # TP-LINK's cameras say "smart/1/90000" where a payload type belongs, others "(null)": their other media are as good as any.
    encodings = (_encoding(int(word), attributes) for word in words[3:] if rtp and _NUMBER.fullmatch(word))
    return Media(
        kind=words[0].lower(),
        encodings=tuple(encoding for encoding in encodings if encoding is not None),
        direction=_direction(attributes, session_direction),
        control=_first(attributes, "control"),
        packet_ms=min([*(_milliseconds(attributes, "ptime") or [USUAL_PACKET_MS]), *_milliseconds(attributes, "maxptime")]),
        port=_port(words[1]),
    )


def _port(word: str) -> int:
    """The port of a media line, without the number of ports that may follow it; 0 for what is none."""
    number = word.partition("/")[0]
    return int(number) if re.fullmatch(r"[0-9]{1,5}", number) and int(number) <= 65_535 else 0


def _milliseconds(attributes: list[tuple[str, str]], name: str) -> list[float]:
    """None or one: a time that a packet can have. A device that names another one is taken to have named none."""
    match = _PACKET_TIME.fullmatch(_first(attributes, name))
    return [float(match[0])] if match and SHORTEST_PACKET_MS <= float(match[0]) <= LONGEST_PACKET_MS else []


def _encoding(payload_type: int, attributes: list[tuple[str, str]]) -> Encoding | None:
    """None for a payload type that is neither static nor mapped: nobody can tell what it is."""
    (name, rate), channels = _STATIC.get(payload_type, ("", 0)), 1
    for value in (value for key, value in attributes if key == "rtpmap"):
        match = _RTPMAP.match(value)
        if match and int(match[1]) == payload_type:
            name, rate, channels = match[2].upper(), int(match[3]), int(match[4] or 1)
            break
    if not name or payload_type > 127:
        return None
    return Encoding(payload_type, name, rate, _parameters(payload_type, attributes), channels)


def _parameters(payload_type: int, attributes: list[tuple[str, str]]) -> dict[str, str]:
    for value in (value for key, value in attributes if key == "fmtp"):
        number, _, text = value.partition(" ")
        if number == str(payload_type):
            pairs = (part.partition("=") for part in text.split(";") if part.strip())
            return {name.strip().lower(): content.strip() for name, _, content in pairs}
    return {}
