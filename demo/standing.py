"""Stands the whole demo up: simulators, broker and gateway, in order, and down again in the reverse order."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from demo import city, processes
from demo.alerts import duty_desk
from demo.observer import Observer

ANSWER_WITHIN = aiohttp.ClientTimeout(total=5)
ROLES = ("operator", "liaison", "approver", "engineer", "viewer", "platform")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which city, the gateway's port on 127.0.0.1 (another is taken when it is in use), and its health settings beside the usual ones."""

    seed: int = 2019
    groups: int = 759
    speakers: int = 110
    port: int = 8080
    health: Mapping[str, float] = field(default_factory=dict)


@asynccontextmanager
async def standing_city(folder: Path, wanted: Plan) -> AsyncIterator[tuple[city.Layout, Observer]]:
    """The whole demo in `folder`, up and answering, for the duration. Raises DemoFailed when a part of it does not come up."""
    layout, ports = city.Layout(folder), city.choose_ports(wanted.port)
    say(f"planning a city of {wanted.groups} camera groups and {wanted.speakers} loudspeakers")
    await city.plan(layout, ports, seed=wanted.seed, groups=wanted.groups, speakers=wanted.speakers)
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        serve = ("simulators", "serve", "--city", str(layout.city), "--control", f"127.0.0.1:{ports.control}")
        await start(processes.running(serve, log=layout.log("simulators")))
        await start(processes.running(("demo.broker", str(ports.mqtt)), log=layout.log("broker")))
        desk = await start(duty_desk(ports.desk))
        say("importing its inventory")
        admin = await city.prepare(layout, ports, wanted.health)
        daemon = await start(
            processes.running(("gateway", "serve", "--config", str(layout.config)), log=layout.log("gateway"), ready=False)
        )
        http = await start(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        here = "http://127.0.0.1"
        observer = Observer(http, f"{here}:{ports.gateway}", f"{here}:{ports.control}", {"admin": admin}, daemon.pid, desk)
        await _until_ready(observer, daemon, layout)
        for role in ROLES:
            observer.keys[role] = await observer.new_key(role)
        await observer.put_on_duty("王建国", phone="13800000000")
        watch = asyncio.create_task(tell_of_its_end(daemon, layout), name="the gateway's end")
        stack.callback(watch.cancel)
        yield layout, observer


async def tell_of_its_end(daemon: asyncio.subprocess.Process, layout: city.Layout) -> None:
    """Say that the gateway ended while the demo goes on, where its last words are, and how it is started again on the same city."""
    code = await daemon.wait()
    say(f"the gateway ended with {code}; its log: {layout.log('gateway')}; start it again: ./gw run --config {layout.config}")


async def _until_ready(observer: Observer, daemon: asyncio.subprocess.Process, layout: city.Layout) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(processes.READY_WITHIN_S):
            while daemon.returncode is None:
                if await _answers(observer):
                    return
                await asyncio.sleep(0.2)
    ended = "did not answer in time" if daemon.returncode is None else f"ended with {daemon.returncode}"
    raise processes.DemoFailed(f"the gateway {ended}:\n{layout.log('gateway').read_text()[-3000:]}")


async def _answers(observer: Observer) -> bool:
    """Whether it does; what listens there and is silent is not taken for the gateway."""
    try:
        async with observer.http.get(observer.gateway + "/healthz", timeout=ANSWER_WITHIN) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def say(what: str) -> None:
    print(f"demo: {what}", file=sys.stderr, flush=True)
