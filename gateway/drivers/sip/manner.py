"""How a model of horn is called, with what its profile says of it."""

from dataclasses import dataclass, field

from gateway.domain.speaking import SipHabits, SpeakerWays
from gateway.drivers.sip.wire import Transport


@dataclass(frozen=True, slots=True)
class SipManner:
    """`habits`: those of the model; `swallows_s`, `buffers_s`: as in `AudioFormat`."""

    habits: SipHabits = field(default_factory=SipHabits)
    swallows_s: float = 0.0
    buffers_s: float = 0.0

    @property
    def transport(self) -> Transport:
        return Transport(self.habits.carrier.value)


def manner_of(ways: SpeakerWays) -> SipManner:
    return SipManner(ways.sip, ways.lead_in_s, ways.buffer_s)
