"""What was wrong in a world: asked of its loudspeakers, of what they heard, and of the store."""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence

from bench.deeds import Command
from bench.street import Heard
from bench.world import World
from gateway.domain.broadcast import Broadcast, BroadcastId, Delivery, DeliveryState

_TOLERANCE_S = 0.02
_LEAD_IN_S = 0.05
"""Of silence that nobody notes, and of the pacer's slot."""
_HEARD = {DeliveryState.DONE, DeliveryState.FAILED, DeliveryState.PREEMPTED, DeliveryState.CANCELLED, DeliveryState.UNKNOWN}


async def faults(world: World) -> AsyncIterator[str]:
    """Every breach, in words."""
    for number, command in enumerate(world.schedule.commands, 1):
        async with world.store.read() as tx:
            known = await tx.broadcasts.find(BroadcastId(command.id))
            deliveries = await tx.broadcasts.deliveries(BroadcastId(command.id))
        for serial, horn in world.street.horns.items():
            heard = [packet for packet in horn.heard if packet.sound == number]
            mine = next((one for one in deliveries if f"serial-{one.speaker}" == serial), None)
            for fault in (*_of_record(mine, heard), *_of_sound(world, command, known, mine, heard)):
                yield f"{command.id} at {serial}: {fault}"


def _of_record(delivery: Delivery | None, heard: Sequence[Heard]) -> Iterator[str]:
    """Whether what is written agrees with what was heard."""
    if delivery is None:
        return
    if delivery.open:
        yield f"is still {delivery.state}"
    if heard and delivery.state not in _HEARD:
        yield f"was heard, and is {delivery.state}"
    if not heard and delivery.state is DeliveryState.DONE:
        yield "is said to be done, and nothing was heard"


def _of_sound(world: World, command: Command, known: Broadcast | None, delivery: Delivery | None, heard: Sequence[Heard]) -> Iterator[str]:
    """Whether what was heard was allowed."""
    if not heard:
        return
    if known is None or delivery is None:
        yield "was heard, and is not known there"
        return
    if not command.copies:
        yield "was heard, though it never came but retained"
    if any(later.number <= earlier.number for earlier, later in itertools.pairwise(heard)):
        yield f"was heard twice: {[packet.number for packet in heard]}"
    late_s = heard[0].at - world.given[command.id] - command.ttl_s
    if min(late_s, (heard[0].wall - known.not_after).total_seconds()) > _TOLERANCE_S + _LEAD_IN_S:
        yield f"began {late_s:.2f} s late"
    if any(heard[-1].at > stop + _TOLERANCE_S and _came_before(world, command, stop) for stop in world.stopped_at):
        yield "was heard after everything had been stopped"


def _came_before(world: World, command: Command, stop: float) -> bool:
    """Whether `command` was ordered before everything was stopped, as far as the gateway can know it: every copy had reached it, or it
    says when it was given, by a clock that nobody set."""
    if command.dated and not world.schedule.clock_steps:
        return world.given[command.id] < stop - _TOLERANCE_S
    return all(world.begun + at < stop - _TOLERANCE_S for at in command.copies)
