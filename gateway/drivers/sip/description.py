"""What a call offers and what the device made of it (RFC 3264): audio one way, from us to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.drivers import sdp
from gateway.errors import NotSupported, ProtocolError

PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8, "G722": 9}
"""What we can speak, by its static payload type (RFC 3551, 6); all with one byte for every 1/8000 s, which is their RTP clock."""
FIRST_UNPRIVILEGED_PORT: Final = 1024  # a device must not aim our packets at the system services of its address


@dataclass(frozen=True, slots=True)
class Agreed:
    """The way for our sound: the device's RTP port, what it wants to hear, in packets of how many milliseconds."""

    port: int
    encoding: str
    payload_type: int
    packet_ms: float


def offer(*, address: str, port: int, encodings: Sequence[str], packet_ms: float, one_way: bool, session: int) -> bytes:
    """An offer to send audio from `port` on, `one_way` or with an ear open. Raises NotSupported when we can speak none of `encodings`."""
    known = [name for name in encodings if name in PAYLOAD_TYPES]
    if not known:
        raise NotSupported(f"over SIP we speak {', '.join(PAYLOAD_TYPES)}, not {', '.join(encodings)}", code="no-common-encoding")
    where = f"IN IP{6 if ':' in address else 4} {address}"
    types = " ".join(str(PAYLOAD_TYPES[name]) for name in known)
    lines = ["v=0", f"o=- {session} {session} {where}", "s=city-gateway", f"c={where}", "t=0 0", f"m=audio {port} RTP/AVP {types}"]
    lines += [f"a=rtpmap:{PAYLOAD_TYPES[name]} {name}/8000" for name in known]
    return "\r\n".join([*lines, f"a=ptime:{packet_ms:g}", "a=sendonly" if one_way else "a=sendrecv", ""]).encode()


def agreed(answer: bytes, encodings: Sequence[str], *, packet_ms: float = 0.0) -> Agreed:
    """What the device's answer means. Its c= line is not looked at: sound goes to the inventory's address alone (rule 1).
    `packet_ms`: how long packets shall be; 0: as the device says.

    Raises ProtocolError for what is no answer to an offer, NotSupported (no-common-encoding, refuses-audio).
    """
    audio = [media for media in sdp.parse(answer).media if media.kind == "audio"]
    if not audio:
        raise ProtocolError("the device's answer describes no audio")
    media, port = audio[0], audio[0].port
    if port == 0 or media.direction in ("sendonly", "inactive"):
        raise NotSupported("the device takes the call and no audio", code="refuses-audio")
    if not FIRST_UNPRIVILEGED_PORT <= port < 65_535:  # its reports come by the next one
        raise ProtocolError("the device names no usable port for RTP")
    for encoding in media.encodings:  # in the device's own order: the first one is what it wants (RFC 3264, 6.1)
        ours = PAYLOAD_TYPES.get(encoding.name) == encoding.payload_type and encoding.is_telephony(encoding.name)
        if ours and encoding.name in encodings:
            return Agreed(port, encoding.name, encoding.payload_type, packet_ms or media.packet_ms)
    offered = sorted({str(encoding) for encoding in media.encodings})
    raise NotSupported(f"the device takes {', '.join(offered) or 'nothing known'}, not {', '.join(encodings)}", code="no-common-encoding")
