"""How a loudspeaker wants to be spoken to: the paths by which a voice can reach it, best first, and its model's habits."""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.quirks import Quirks


class SpeakerPath(StrEnum):
    """A way for a voice to a loudspeaker: a clip that it keeps and plays by itself, or a stream that it hears: by ONVIF's backchannel over
    RTSP, in a call by SIP, as RTP to a group's address."""

    AUDIO_CLIP = "audio-clip"
    BACKCHANNEL = "backchannel"
    SIP = "sip"
    MULTICAST = "multicast"


class KeepAlive(StrEnum):
    """What a device wants to be asked so that an RTSP session does not run out (RFC 2326, 10.8)."""

    GET_PARAMETER = "get-parameter"
    SET_PARAMETER = "set-parameter"
    OPTIONS = "options"


class Carrier(StrEnum):
    """What carries RTP, or SIP, to a device."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class BackchannelHabits:
    """`require`: takes Require; `packet_bytes`: plays nothing but packets of so many bytes, 0: as the description says; `unstamped`: wants
    each packet with its marker and the timestamp 0; `carriers`: in order of preference; `all_tracks`: what the device sends is set up as
    well, and dropped."""

    require: bool = True
    packet_bytes: int = 0
    unstamped: bool = False
    keep_alive: KeepAlive = KeepAlive.GET_PARAMETER
    carriers: tuple[Carrier, ...] = (Carrier.TCP, Carrier.UDP)
    all_tracks: bool = True


class AutoAnswer(StrEnum):
    """How a telephone is asked to take the call by itself; most horns take every call, and pass over what they do not know."""

    NONE = "none"
    CALL_INFO = "call-info"
    ALERT_INFO = "alert-info"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class SipHabits:
    """How a model wants to be called. `user`: the user part of its URI, "" for none; `carrier`: of the calls; `codecs`: encodings, best
    first, () for the caller's own order; `packet_ms`: 0: as the device says; `one_way`: offer to send alone; models that take that for
    being put on hold, and play nothing, are offered both ways, and what they send is dropped; `early_media`: speak as soon as it describes
    its ear in a 183, before it has taken the call."""

    user: str = ""
    carrier: Carrier = Carrier.UDP
    codecs: tuple[str, ...] = ()
    packet_ms: float = 0.0
    one_way: bool = True
    early_media: bool = False
    auto_answer: AutoAnswer = AutoAnswer.BOTH


@dataclass(frozen=True, slots=True)
class SpeakerWays:
    """How a model wants to be spoken to. `paths`: those that it has, the best first.

    `lead_in_s`: so much of the beginning it does not play; `buffer_s`: it plays so long after hearing, and nothing after the session;
    `single_talker`: whoever talks there by one path keeps others out of all of them.
    """

    paths: tuple[SpeakerPath, ...] = (SpeakerPath.BACKCHANNEL,)
    lead_in_s: float = 0.0
    buffer_s: float = 0.0
    single_talker: bool = True
    backchannel: BackchannelHabits = field(default_factory=BackchannelHabits)
    sip: SipHabits = field(default_factory=SipHabits)

    @property
    def telephone(self) -> bool:
        """Whether it speaks SIP and nothing else that could tell who it is."""
        return self.paths == (SpeakerPath.SIP,)


USUAL = SpeakerWays()


def by_quirks(quirks: Quirks) -> SpeakerWays:
    """The ways that a device with these quirks (Q21) asks for, where nobody says more."""
    packet_bytes = int(quirks.number("packet-bytes", "bytes", 0))
    return SpeakerWays(
        lead_in_s=quirks.number("loses-first", "ms", 0) / 1000,
        buffer_s=quirks.number("late-buffer", "seconds", 0),
        backchannel=BackchannelHabits(require="refuses-require" not in quirks, packet_bytes=packet_bytes, unstamped=packet_bytes > 0),
    )
