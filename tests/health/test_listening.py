"""Listening to simulated devices: what they tell of their health, whom is listened to, what becomes of a silent subscription."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, CheckResult, HealthState, Outcome, Standing
from gateway.drivers.http import Http
from gateway.drivers.onvif.events import Subscriber
from gateway.health.checks import events
from gateway.health.checks.subject import Subject
from gateway.health.listening import Listening, Wanted, wanted_of
from gateway.health.service import HealthService
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer
from tests.conftest import running as store_running
from tests.health import street as streets
from tests.health.street import Street
from tests.waiting import until


class Ears:
    """A house that listens on a street, in real time."""

    def __init__(self, street: Street, service: HealthService, wanted: Wanted) -> None:
        clock, http, kept = SystemClock(), Http(), dict[DeviceId, Subscriber]()

        def events_of(device: DeviceId) -> Subscriber:
            return kept.setdefault(device, Subscriber(street.driver(device, clock), http, clock, pull_s=0.2))

        self.listening = Listening(
            wanted,
            city=street.city,
            board=street.board,
            clock=clock,
            events_of=events_of,
            report=service.report,
            complains=service.complains,
        )


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with streets.standing(SystemClock(), protocols=("http",)) as standing:
        standing.adopt(standing.of("camera"))
        yield standing


@pytest.fixture
async def service(street: Street, sqlite_url: str) -> AsyncIterator[HealthService]:
    async with store_running(sqlite_url, SystemClock()) as store:
        made = street.service(store, SystemClock())
        await made.load()
        yield made


@contextlib.asynccontextmanager
async def at_work(ears: Ears) -> AsyncIterator[Listening]:
    task = asyncio.create_task(ears.listening.run())
    try:
        yield ears.listening
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def well(street: Street) -> SimDevice:
    return next(device for device in street.of("camera") if not device.lacks and not device.quirks and device.auth == "wsse")


async def test_tampering_is_told_at_once_and_its_end_too(street: Street, service: HealthService) -> None:
    camera = well(street)
    device = DeviceId(camera.id)
    await service.check_now(device)
    async with at_work(Ears(street, service, Wanted(devices=frozenset({camera.id})))) as listening:
        await until(lambda: listening.events > 0)
        assert street.board[device].state is HealthState.UP, "states that are off are no news"
        street.state.happen(camera, "tamper")
        await until(lambda: street.board[device].state is HealthState.DEGRADED)
        assert (street.board[device].reason, street.board[device].check) == ("tampering", "alarm-tampering")
        street.state.happen(camera, "tamper", on=False)
        await until(lambda: street.board[device].state is HealthState.UP)
        assert listening.silent_s(device) is not None


async def test_a_device_that_is_down_waits_and_one_that_is_not_wanted_is_left_alone(street: Street, service: HealthService) -> None:
    camera = well(street)
    device = DeviceId(camera.id)
    async with at_work(Ears(street, service, Wanted(devices=frozenset({camera.id})))) as listening:
        await asyncio.sleep(0)
        assert listening.subscriptions == 0, "nobody knows yet whether it answers"
        await service.check_now(device)
        await until(lambda: listening.subscriptions == 1)
        street.city.replace(devices=[replace(street.city.devices[device], enabled=False)])
        await until(lambda: listening.silent_s(device) is None)


def test_whom_the_configuration_means(street_of_three: Listening) -> None:
    assert [device.id for device in street_of_three.chosen()] == ["a", "b"]
    assert wanted_of("off", ["a"], at_most=9) == Wanted(at_most=9)
    assert wanted_of("listed", ["a"], at_most=9) == Wanted(devices=frozenset({"a"}), at_most=9)
    assert wanted_of("all", ["a"], at_most=9).everybody


@pytest.fixture
def street_of_three() -> Listening:
    city = City()
    city.replace(devices=[Device(DeviceId(name), DeviceKind.CAMERA, name, "127.0.0.9") for name in "abc"])

    async def report(*_: object) -> bool:
        return True

    return Listening(
        Wanted(everybody=True, at_most=2),
        city=city,
        board=Board(),
        clock=SystemClock(),
        events_of=lambda _device: Silent(),
        report=report,
        complains=lambda _device, _check: False,
    )


class Silent:
    heard_at = None

    async def run(self, _take: object) -> None:
        await asyncio.Event().wait()


async def test_what_a_device_told_does_not_stand_when_it_is_not_listened_to_any_more(
    street: Street, service: HealthService, store: Store
) -> None:
    device = DeviceId(well(street).id)
    await service.check_now(device)
    ill = CheckResult(device, "alarm-tampering", Outcome.WARN, SystemClock().now(), "tampering", at_once=True)
    await service.report(device, [ill])
    tools = replace(street.slow_tools(SystemClock(), store), complains=service.complains)
    results = await events.check(Subject(street.city.devices[device], 0.0), tools)
    assert [(result.check, result.outcome) for result in results] == [("alarm-tampering", Outcome.OK)]


@pytest.mark.parametrize(("silent_s", "outcome"), [(None, None), (5.0, Outcome.OK), (601.0, Outcome.WARN)])
async def test_a_subscription_that_was_silent_for_too_long_is_an_illness(
    street: Street, store: Store, silent_s: float | None, outcome: Outcome | None
) -> None:
    camera = street.city.devices[DeviceId(well(street).id)]
    tools = replace(street.slow_tools(SystemClock(), store), silent_s=lambda _device: silent_s)
    results = await events.check(Subject(camera, 0.0), tools)
    assert [result.outcome for result in results] == ([] if outcome is None else [outcome])


async def test_the_silence_of_a_device_that_answers_no_pull_grows(street: Street, service: HealthService) -> None:
    camera = well(street)
    street.board.put(Standing(DeviceId(camera.id), HealthState.UP))
    street.break_(camera, answer=Answer.GARBAGE)
    async with at_work(Ears(street, service, Wanted(devices=frozenset({camera.id})))) as listening:
        await until(lambda: (listening.silent_s(DeviceId(camera.id)) or 0) > 1.5)
