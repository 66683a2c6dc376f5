"""When a live talk is over: what the talker, the microphone and the loudspeakers do, against the bounds of a talk."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.broadcast import Delivery, DeliveryState


class TalkEnd(StrEnum):
    """Why a talk is over. Where the loudspeakers ended it, the reason is theirs (`preempted`, `stop-all`, `busy`, …)."""

    RELEASED = "released"
    """The talker has let go."""
    LOST_FOCUS = "lost-focus"
    """The talker looks at something else: nobody speaks into the street unawares."""
    SILENT = "talk-silent"
    LOST = "talk-lost"
    """The talker, or the way to the talker, has gone."""
    TOO_LONG = "talk-too-long"
    FLOODED = "talk-flooded"
    """More came than anybody can say in that time."""
    STOPPING = "gateway-stopped"


@dataclass(frozen=True, slots=True)
class TalkBounds:
    """`silent_s`: how long nothing may be said; `lost_s`: how long no frame may come; `longest_s`: how long one may be heard."""

    silent_s: float = 15.0
    lost_s: float = 2.0
    longest_s: float = 120.0


USUAL = TalkBounds()


@dataclass(slots=True)
class TalkTimes:
    """Moments of a talk, in seconds of one clock that only goes forward. `on_air`: since when it is heard anywhere; None: not yet."""

    begun: float
    last_frame: float
    last_voice: float
    on_air: float | None = None


def over(times: TalkTimes, bounds: TalkBounds, now: float) -> TalkEnd | None:
    """Why a talk must end at `now`; None: it may go on. Before it is heard, nobody need speak, but the frames must come."""
    if now - times.last_frame >= bounds.lost_s:
        return TalkEnd.LOST
    if times.on_air is None:
        return None
    if now - times.on_air >= bounds.longest_s:
        return TalkEnd.TOO_LONG
    if now - max(times.on_air, times.last_voice) >= bounds.silent_s:
        return TalkEnd.SILENT
    return None


def why_over(deliveries: Sequence[Delivery]) -> str:
    """The reason for which a talk ended that all its loudspeakers left: that of the most of them, of those first that were heard."""
    heard = [one.reason for one in deliveries if one.reason and (one.state is DeliveryState.DONE or one.figures.packets)]
    reasons = heard or [one.reason for one in deliveries if one.reason]
    return max(dict.fromkeys(reasons), key=reasons.count, default="")
