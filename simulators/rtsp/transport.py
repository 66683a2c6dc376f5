"""The Transport header of SETUP (RFC 2326 §12.39): which of the offered ways is taken."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """One acceptable way: the client's UDP ports, or interleaved channels (None: ours to choose)."""

    udp: tuple[int, int] | None = None
    interleaved: bool = False
    channels: tuple[int, int] | None = None


def choose(header: str) -> Offer | None:
    """The first of the offered ways that we can go: unicast RTP/AVP over UDP or interleaved. None: 461."""
    return next(filter(None, (_offer(option) for option in header.split(","))), None)


def _offer(option: str) -> Offer | None:
    protocol, *rest = (part.strip() for part in option.split(";"))
    parameters = dict(part.lower().partition("=")[::2] for part in rest)
    if "multicast" in parameters:
        return None
    if protocol.upper() == "RTP/AVP/TCP":
        channels = _pair(parameters.get("interleaved", ""), most=255)
        return Offer(interleaved=True, channels=channels) if channels or "interleaved" not in parameters else None
    if protocol.upper() in {"RTP/AVP", "RTP/AVP/UDP"}:
        ports = _pair(parameters.get("client_port", ""), most=65_535)
        return Offer(udp=ports) if ports and ports[0] else None
    return None


def _pair(text: str, *, most: int) -> tuple[int, int] | None:
    first, dash, second = text.partition("-")
    if not first.isdigit() or len(first) > 5 or (dash and (not second.isdigit() or len(second) > 5)):
        return None
    pair = int(first), int(second) if dash else int(first) + 1
    return pair if max(pair) <= most else None
