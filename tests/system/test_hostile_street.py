"""A whole house in a street whose devices do everything wrong that simulated devices can do."""

import asyncio
import gc
import selectors
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.domain.health import HealthState
from simulators.city import SimDevice
from tests.system.standing import Standing, standing

UP, DEGRADED, DOWN = HealthState.UP, HealthState.DEGRADED, HealthState.DOWN
VISITS = 4
MIB = 1 << 20

# What is wrong with a camera: the state and the reason that it gets, and the check that gives it.
FAULTS: dict[str, tuple[dict[str, Any], tuple[HealthState, str, str]]] = {
    "garbage": ({"answer": "garbage"}, (DEGRADED, "not-http", "identity")),
    "nothing": ({"answer": "silent"}, (DOWN, "service-silent", "reach")),
    "a byte now and then": ({"answer": "drip", "delay_s": 0.2}, (DEGRADED, "slow", "identity")),
    "without end": ({"answer": "endless"}, (DEGRADED, "too-large", "identity")),
    "a gzip bomb": ({"answer": "gzip-bomb"}, (DEGRADED, "too-large", "identity")),
    "the answer to something else": ({"answer": "wrong-operation"}, (DEGRADED, "wrong-operation", "identity")),
    "go elsewhere": ({"answer": "redirect"}, (DEGRADED, "redirect", "identity")),
    "somebody else's address": ({"answer": "foreign-xaddr"}, (UP, "", "reach")),
    "the door closed": ({"answer": "refuse"}, (DOWN, "closed", "reach")),
    "a reset": ({"answer": "reset"}, (DOWN, "reset", "reach")),
    "half an answer": ({"answer": "truncated"}, (DEGRADED, "truncated", "identity")),
    "a login page": ({"answer": "not-xml"}, (DEGRADED, "malformed", "identity")),
    "a document type": ({"answer": "dtd"}, (DEGRADED, "dtd", "identity")),
    "another password": ({"password": "changed-on-the-device"}, (DEGRADED, "bad-credentials", "identity")),
    "another serial number": ({"serial": "SOMEBODY-ELSE-1"}, (DEGRADED, "wrong-device", "identity")),
    "another time": ({"clock_offset_s": 90.0}, (DEGRADED, "clock-drift", "clock")),
}


class Meter(selectors.EpollSelector):
    """The loop's selector; knows how much CPU each turn of the loop took, which is how long it was deaf, whatever else the machine does."""

    def __init__(self) -> None:
        super().__init__()
        self.worst_ms = 0.0
        self._woke = time.thread_time()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.worst_ms = max(self.worst_ms, (time.thread_time() - self._woke) * 1000)
        ready = super().select(timeout)
        self._woke = time.thread_time()
        return ready


@dataclass
class Calls:
    """Every address that this process has sent something to, by Python's own audit events."""

    addresses: set[str] = field(default_factory=set)
    listening: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listening and event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
            self.addresses.add(arguments[1][0])


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    hook = Calls()
    sys.addaudithook(hook)  # there is no way back: it falls silent instead
    yield hook
    hook.listening = False


def test_each_misbehaviour_has_its_own_reason_and_hurts_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    meter = Meter()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(meter)) as runner:
        runner.run(_all_at_once(tmp_path, monkeypatch, meter, calls))


async def _all_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch, meter: Meter, calls: Calls) -> None:
    async with standing(folder, monkeypatch) as stand:
        await stand.until_all_are_up()
        faulty = dict(zip(FAULTS, _plain(stand), strict=False))
        assert len(faulty) == len(FAULTS), "the street has a camera for each fault"
        await stand.visit(list(faulty.values()), VISITS)  # once before measuring: what is loaded and cached counts for no device
        cursor = (await stand.call("GET", "/v1/health/summary"))["event_cursor"]
        gc.collect()
        gc.freeze()
        before_mib, meter.worst_ms, calls.listening = _rss_mib(), 0.0, True

        for name, (fault, _) in FAULTS.items():
            await stand.give_fault(faulty[name], **fault)
        await stand.visit(list(faulty.values()), VISITS)

        seen = {name: await _standing(stand, device) for name, device in faulty.items()}
        if seen["the door closed"][1] == "reset":  # what we wrote came after the door was closed: the kernel answers that so
            seen["the door closed"] = (DOWN, "closed", "reach")
        assert seen == {name: wanted for name, (_, wanted) in FAULTS.items()}
        await _stays_at_its_address(stand, faulty["somebody else's address"])
        grown_mib, worst_ms, calls.listening = _rss_mib() - before_mib, meter.worst_ms, False
        gc.unfreeze()
        assert calls.addresses <= {device.address for device in stand.street.devices} | {"127.0.0.1"}
        assert {device.address for device in faulty.values()} <= calls.addresses
        assert grown_mib < 4
        assert worst_ms < 50
        await _others_are_well(stand, faulty, cursor)
        await _all_are_well_once_mended(stand, faulty)


def _plain(stand: Standing) -> list[SimDevice]:
    """Cameras without a peculiarity of their own."""
    return [one for one in stand.street.of_kind("camera") if one.auth == "wsse" and not one.lacks and abs(one.clock_offset_s) < 2]


async def _standing(stand: Standing, device: SimDevice) -> tuple[str, str, str]:
    shown = await stand.call("GET", f"/v1/devices/{device.id}")
    return shown["state"], shown["reason"], shown["check"]


async def _stays_at_its_address(stand: Standing, camera: SimDevice) -> None:
    """The services, streams and pictures of a camera that names somebody else's address are asked for at its own."""
    streams = (await stand.call("GET", f"/v1/cameras/{camera.id}/stream"))["items"]
    assert {urlsplit(stream["url"]).hostname for stream in streams} == {camera.address}
    await stand.call("POST", f"/v1/cameras/{camera.id}/captures", json={})


async def _others_are_well(stand: Standing, faulty: dict[str, SimDevice], cursor: int) -> None:
    """No healthy device has changed its state, and the wheel keeps up."""
    states = (await stand.call("GET", "/v1/health/summary"))["states"]
    assert states["up"] == len(stand.street.devices) - sum(state is not UP for _, (state, _, _) in FAULTS.values())
    async with stand.listening("device.state", after=cursor) as listener:
        changed = [await listener.next() for _ in range(sum(state is not UP for _, (state, _, _) in FAULTS.values()))]
    assert {event["subject"] for event in changed} <= {device.id for device in faulty.values()}
    assert await stand.metric("gateway_health_lateness_seconds") < 3
    assert await stand.metric("gateway_health_blind") == 0


async def _all_are_well_once_mended(stand: Standing, faulty: dict[str, SimDevice]) -> None:
    for device in faulty.values():
        await stand.heal(device)
    await stand.visit(list(faulty.values()), 2)
    states = {name: (await _standing(stand, device))[:2] for name, device in faulty.items()}
    assert states.pop("another password") == (DEGRADED, "bad-credentials"), "what was refused is left alone for a while"
    assert set(states.values()) == {(UP, "")}


def _rss_mib() -> float:
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024
