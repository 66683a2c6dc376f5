"""`kill -9` of the pacer's process, and of the whole daemon, 200 times each, amid broadcasts: what is heard twice or left unexplained.

What is counted of the daemon's deaths stands in `bench.lives`; those figures have `_daemon` behind them.

Of the pacer's: the whole service over real drivers and loudspeakers that count packets (`bench.calls`). Each broadcast goes to three of
them, and the pacer is killed at a random moment from before the first packet to after the last.

    duplicates        speakers that heard more packets than the sound has
    unexplained       deliveries in no end state, or ended otherwise than as done or `pacer-died`
    lied              deliveries that are said to be done, and were not heard whole
    restart_p99_ms    from the kill until a pacer was ready again

Takes about a quarter of an hour.
"""

import asyncio
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from bench import calls, lives
from bench.choir import percentile
from gateway.domain.broadcast import BroadcastId, DeliveryState

KILLS = 200
AT_ONCE = 3
SECONDS = 0.4
PACKETS = round((SECONDS + 0.2) / 0.02)  # the lead-in included


@dataclass(slots=True)
class _Found:
    died: int = 0
    done: int = 0
    duplicates: int = 0
    unexplained: int = 0
    lied: int = 0
    restarts: list[float] = field(default_factory=list)


def measure(*, kills: int = KILLS) -> dict[str, Any]:
    """Run it."""
    found = asyncio.run(_kill(kills, random.Random(5)))
    outlived = asyncio.run(lives.kill(kills, random.Random(6)))
    return {
        "figures": {
            "kills": kills,
            "deliveries": found.died + found.done + found.unexplained,
            "pacer_died": found.died,
            "done": found.done,
            "duplicates": found.duplicates,
            "unexplained": found.unexplained,
            "lied": found.lied,
            "restart_p99_ms": round(1000 * percentile(found.restarts, 99), 1),
            **{f"{name}_daemon": figure for name, figure in outlived.figures(kills).items()},
        }
    }


async def _kill(kills: int, chance: random.Random) -> _Found:
    found = _Found()
    async with calls.street(seconds=SECONDS) as house:
        for number in range(kills):
            speakers = chance.sample(house.speakers, AT_ONCE)
            await house.order(f"b-{number}", speakers)
            await asyncio.sleep(chance.uniform(0.0, SECONDS + 0.5))
            pid, at = house.pacer.standing.pid, time.monotonic()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            await house.ended(f"b-{number}")
            while house.pacer.standing.pid in (None, pid):  # a state of the pacer, not an event
                await asyncio.sleep(0.005)
            found.restarts.append(time.monotonic() - at)
            await _judge(house, f"b-{number}", found)
    return found


async def _judge(house: calls.House, name: str, found: _Found) -> None:
    heard = await house.heard()
    for delivery in (await house.service.get(BroadcastId(name))).deliveries:
        packets = heard.get(house.addresses[delivery.speaker], [0.0, 0.0, 0])[2]
        found.duplicates += packets > PACKETS
        if delivery.state is DeliveryState.DONE:
            found.done += 1
            found.lied += packets < PACKETS
        elif (delivery.state, delivery.reason) == (DeliveryState.FAILED, "pacer-died"):
            found.died += 1
        else:
            found.unexplained += 1
            print(delivery.speaker, delivery.state, delivery.reason, packets, flush=True)
