"""Traps: whether devices that tell something unasked are heard, and what they have told and not taken back."""

from pydantic import Field

from gateway.api.models import Instant, Output
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.health import Outcome

routes = Routes("traps", "What devices tell unasked by SNMP.")

_SHOWN = 500


class AlarmOut(Output):
    """Something that a device has told and not taken back."""

    device: str = Field(description="Whom it is about.")
    source: str = Field(description="Who told it.")
    event: str
    key: str
    outcome: Outcome
    since: Instant
    expires: Instant
    text: str = Field(description="The device's own words.")


class TrapsOut(Output):
    """How the reception of traps fares."""

    listening: bool
    buffer_bytes: int = Field(description="What the kernel granted the socket; 0 while nobody listens.")
    counts: dict[str, int] = Field(description="Datagrams by what became of them; docs/operate/traps.md explains each.")
    strangers: list[str] = Field(description="The latest addresses that sent something and are none of the inventory's.")
    open_alarms: int
    alarms: list[AlarmOut] = Field(description=f"The oldest {_SHOWN} of them.")


@routes.op("GET", "/v1/traps", needs=Permission.HEALTH_READ)
async def read_traps(call: Call) -> TrapsOut:
    """What was heard, what was lost and why, and which alarms are open."""
    traps = call.services.traps
    if traps is None:
        return TrapsOut(listening=False, buffer_bytes=0, counts={}, strangers=[], open_alarms=0, alarms=[])
    figures, alarms = traps.figures, sorted(traps.alarms, key=lambda alarm: alarm.since)
    return TrapsOut(
        listening=figures.buffer_bytes > 0,
        buffer_bytes=figures.buffer_bytes,
        counts=dict(figures.counts),
        strangers=list(figures.strangers),
        open_alarms=figures.alarms,
        alarms=[
            AlarmOut(
                device=alarm.device,
                source=alarm.source,
                event=alarm.event,
                key=alarm.key,
                outcome=alarm.outcome,
                since=alarm.since,
                expires=alarm.expires,
                text=alarm.text,
            )
            for alarm in alarms[:_SHOWN]
        ],
    )
