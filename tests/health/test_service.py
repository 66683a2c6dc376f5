"""The health service over real sockets: a simulated street is looked at, judged, committed, and shown."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.devices import Credentials, DeviceId
from gateway.domain.events import SYSTEM
from gateway.domain.health import Board, CheckResult, HealthState, Introduction, Outcome
from gateway.domain.policy import Limits
from gateway.drivers.echo import Echoes
from gateway.errors import NotFound
from gateway.health.asked import AskedVisits
from gateway.health.service import HealthService
from gateway.health.wheel import Pace
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer
from tests.conftest import running as store_running
from tests.health import street as streets
from tests.health.street import Street
from tests.waiting import stopped, until

UNKNOWN, UP, DEGRADED, DOWN = HealthState.UNKNOWN, HealthState.UP, HealthState.DEGRADED, HealthState.DOWN


@pytest.fixture
async def street(clock: SimulatedClock) -> AsyncIterator[Street]:
    async with streets.standing(clock) as standing:
        yield standing


@pytest.fixture
def camera(street: Street) -> SimDevice:
    return next(device for device in street.of("camera") if abs(device.clock_offset_s) < 1 and device.auth == "wsse" and not device.lacks)


async def looked(service: HealthService, device: SimDevice, times: int = 1) -> None:
    for _ in range(times):
        await service.check_now(DeviceId(device.id))


async def opened(street: Street, store: Store, clock: SimulatedClock, **inventory: str) -> HealthService:
    """A loaded service for an inventory of cameras alone."""
    street.adopt(street.of("camera"), **inventory)
    service = street.service(store, clock)
    await service.load()
    return service


async def test_a_camera_is_up_at_its_first_answer_with_its_clock_and_identity(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    assert street.board[DeviceId(camera.id)].state is UNKNOWN
    results = await service.check_now(DeviceId(camera.id))
    assert [(result.check, result.outcome) for result in results] == [(name, Outcome.OK) for name in ("reach", "clock", "identity")]
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.since, standing.last_seen) == (UP, clock.now(), clock.now())
    assert standing.facts["identity"]["model"] == camera.model
    assert standing.offset is not None
    assert abs(standing.offset) <= timedelta(seconds=1)


async def test_who_answers_without_saying_who_it_is_is_seen_and_no_longer_identified(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, begun = await opened(street, store, clock), clock.monotonic()
    await looked(service, camera)
    street.break_(camera, answer=Answer.WRONG_OPERATION)
    await clock.advance(60)
    await looked(service, camera)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.last_seen, standing.introduction) == (clock.now(), Introduction((camera.address, street.ports), begun))
    street.break_(camera, serial="another")
    await clock.advance(60)
    await looked(service, camera)
    assert street.board[DeviceId(camera.id)].introduction == Introduction((camera.address, street.ports), clock.monotonic())


async def test_who_was_identified_by_the_last_run_is_not_by_this_one(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    await looked(await opened(street, store, clock), camera)
    assert street.board[DeviceId(camera.id)].introduction is not None
    street.board = Board()
    await opened(street, store, clock)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.introduction) == (UP, None)


async def test_every_device_of_the_inventory_counts_from_the_beginning(street: Street, store: Store, clock: SimulatedClock) -> None:
    await opened(street, store, clock)
    assert street.board.counts() == {UNKNOWN: len(street.of("camera")), UP: 0, DEGRADED: 0, DOWN: 0}


async def test_a_silent_camera_is_down_after_three_visits_and_up_again_after_two(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    street.break_(camera, answer=Answer.REFUSE)
    seen = []
    for _ in range(3):
        await looked(service, camera)
        seen.append(street.board[device].state)
    assert seen == [UP, UP, DOWN]
    street.mend(camera)
    await looked(service, camera)
    assert street.board[device].state is DOWN
    await looked(service, camera)
    assert street.board[device].state is UP
    assert [each.transition.after for each in await service.history(device)] == [UP, DOWN, UP]


async def test_who_is_silent_is_suspected_until_it_answers_or_is_down(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    assert not service.suspects()
    street.break_(camera, answer=Answer.REFUSE)
    await looked(service, camera)
    assert service.suspects() == {device}
    street.mend(camera)
    await looked(service, camera)
    assert not service.suspects()
    street.break_(camera, answer=Answer.REFUSE)
    await looked(service, camera, times=3)
    assert street.board[device].state is DOWN
    assert not service.suspects()


async def test_each_transition_is_one_event_and_what_changes_nothing_is_not_written(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    await looked(service, camera, 5)
    commits = store.writer.commits
    assert commits == 1
    await looked(service, camera, 5)
    assert store.writer.commits == commits
    (event,) = await streets.events(store)
    assert (event.type, event.subject) == ("device.state", camera.id)
    assert (event.data["before"], event.data["after"], event.data["reason"]) == ("unknown", "up", "")


async def test_a_camera_that_takes_connections_and_says_nothing_hangs_and_is_not_without_power(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    street.silence(camera)
    (result,) = await service.check_now(DeviceId(camera.id))
    assert (result.check, result.outcome, result.reason) == ("reach", Outcome.FAIL, "service-silent")


async def test_a_host_that_answers_an_echo_while_its_port_takes_nothing_is_alive_and_down(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    echoes = Echoes(loopback=True)
    if await echoes.answered(camera.address, 5.0) is None:
        pytest.skip("neither net.ipv4.ping_group_range nor CAP_NET_RAW permits an echo")
    with socket.create_server(("127.250.0.2", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(4):  # its queue is full: further connections hang
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        gone = SimDevice("gone", "camera", "gone", "127.250.0.2")
        street.devices, street.ports = {DeviceId("gone"): gone}, type(street.ports)(onvif=full.getsockname()[1])
        street.adopt([gone])
        service = street.service(store, clock, timeout_s=0.3, echo=echoes.answered)
        await service.load()
        for _ in range(3):
            (result,) = await service.check_now(DeviceId("gone"))
    assert (result.outcome, result.reason, result.facts) == (Outcome.FAIL, "host-alive", {"found": "timeout"})
    assert street.board[DeviceId("gone")].state is DOWN, "alive or not: it does not do its work"
    echoes.close()


async def test_where_nobody_listens_the_reason_is_another(street: Street, store: Store, clock: SimulatedClock, camera: SimDevice) -> None:
    street.devices = {DeviceId("gone"): SimDevice("gone", "camera", "gone", "127.250.0.1")}
    street.ports = type(street.ports)(onvif=9)
    service = await opened(street, store, clock)
    (result,) = await service.check_now(DeviceId("gone"))
    assert (result.outcome, result.reason) == (Outcome.FAIL, "refused")


@pytest.mark.parametrize("answer", [Answer.GARBAGE, Answer.NOT_XML, Answer.WRONG_OPERATION, Answer.REDIRECT, Answer.DTD])
async def test_a_camera_that_answers_nonsense_is_alive_and_degraded(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice, answer: Answer
) -> None:
    service = await opened(street, store, clock)
    street.break_(camera, answer=answer)
    await looked(service, camera)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.check) == (DEGRADED, "identity")
    assert standing.reason not in ("", "timeout")


@pytest.mark.parametrize(
    ("fault", "reason"), [({"answer": Answer.DRIP, "delay_s": 0.1}, "slow"), ({"answer": Answer.TRUNCATED}, "truncated")]
)
async def test_half_an_answer_proves_that_a_camera_is_alive(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice, fault: dict[str, object], reason: str
) -> None:
    service = await opened(street, store, clock)
    street.break_(camera, **fault)
    await looked(service, camera)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.reason) == (DEGRADED, reason)


async def test_slowness_while_we_lag_ourselves_is_nobodys_fault(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    street.break_(camera, answer=Answer.DRIP, delay_s=0.1)
    async with asyncio.TaskGroup() as group:
        wheel = group.create_task(service.run())
        visit = group.create_task(service.check_now(device))
        await clock.advance(0)
        clock._elapsed += 5.0  # the loop was held up: nobody was woken
        results = await visit
        await stopped(wheel)
    assert [(result.check, result.outcome, result.reason) for result in results if result.outcome is not Outcome.OK] == [
        ("identity", Outcome.UNKNOWN, "gateway-lagging")
    ]
    assert street.board[device].state is UP


async def test_a_wrong_password_degrades_and_stops_being_tried_while_up_and_down_stay_known(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    street.break_(camera, password="changed-on-the-device")
    await looked(service, camera, 10)
    assert (street.board[device].state, street.board[device].reason) == (DEGRADED, "bad-credentials")
    assert street.board[device].offset is not None, "the clock needs no login"
    refused = street.state.counters["http.digest_bad.camera"]
    assert refused <= 5
    await looked(service, camera, 10)
    assert street.state.counters["http.digest_bad.camera"] == refused
    street.break_(camera, answer=Answer.REFUSE)
    await looked(service, camera, 3)
    assert street.board[device].state is DOWN


async def test_a_clock_that_is_off_degrades_and_its_offset_is_known(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    street.break_(camera, clock_offset_s=-95.0)
    await looked(service, camera)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.reason) == (DEGRADED, "clock-drift")
    assert standing.offset is not None
    assert -96 <= standing.offset.total_seconds() <= -94


async def test_another_device_at_the_address_is_noticed_by_its_serial_number(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    street.break_(camera, serial="SOMEBODY-ELSE")
    await looked(service, camera)
    standing = street.board[DeviceId(camera.id)]
    assert (standing.state, standing.reason) == (DEGRADED, "wrong-device")
    assert standing.facts["identity"]["expected_serial"] == camera.serial


async def test_new_firmware_is_told_once_with_the_old_and_the_new(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock)
    await looked(service, camera)
    before = store.events.latest
    street.break_(camera, firmware="V9.9.9 build 261125")
    await looked(service, camera, 3)
    told = [event for event in await store.events.read_after(before, limit=10) if event.type == "device.notice"]
    assert [(event.subject, event.data["reason"], event.data["facts"]) for event in told] == [
        (camera.id, "firmware-changed", {"before": camera.firmware, "after": "V9.9.9 build 261125"})
    ]
    assert street.board[DeviceId(camera.id)].state is UP


async def test_an_inventory_without_serial_numbers_accepts_any(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service = await opened(street, store, clock, serial="")
    await looked(service, camera)
    assert street.board[DeviceId(camera.id)].state is UP


async def test_a_restart_takes_up_the_states_without_a_new_transition(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    street.break_(camera, clock_offset_s=60.0)
    await looked(service, camera)
    since = street.board[device].since
    await clock.advance(3_600)
    again = Street(street.state, street.devices, street.ports)
    service = await opened(again, store, clock)
    assert (again.board[device].state, again.board[device].since, again.board[device].reason) == (DEGRADED, since, "clock-drift")
    await looked(service, camera, 3)
    assert len(await service.history(device)) == 1
    assert sum(again.board.counts().values()) == len(street.of("camera"))


async def test_a_state_that_cannot_be_committed_is_not_shown_and_comes_again(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    store.writer._closing = True  # refuses every change, as a store that is closing does
    await looked(service, camera)
    assert street.board[device].state is UNKNOWN
    store.writer._closing = False
    await looked(service, camera)
    assert street.board[device].state is UP
    assert len(await streets.events(store)) == 1


async def test_a_new_inventory_drops_who_is_gone_and_takes_up_who_is_new(street: Street, store: Store, clock: SimulatedClock) -> None:
    first, second, *_ = street.of("camera")
    street.adopt([first])
    service = street.service(store, clock)
    await service.load()
    await looked(service, first)
    street.adopt([second])
    service.resync()
    assert [standing.device for standing in street.board] == [second.id]
    with pytest.raises(NotFound):
        await looked(service, first)
    async with running(service):
        await clock.advance(2)
        await until(lambda: first.id not in service._gone)
    async with store.read() as tx:
        assert await tx.health.standings() == []
    assert len(await service.history(DeviceId(first.id))) == 1


async def test_when_nobody_answers_any_more_it_is_the_gateway_that_is_blind(street: Street, store: Store, clock: SimulatedClock) -> None:
    cameras = street.of("camera")
    assert len(cameras) > 20, "enough to tell"
    service = await opened(street, store, clock)
    for camera in cameras:
        await looked(service, camera)
    await clock.advance(30)
    for camera in cameras:
        street.break_(camera, answer=Answer.REFUSE)
    for _ in range(6):
        for camera in cameras:
            await looked(service, camera)
    counts = street.board.counts()
    assert counts[DOWN] == 0
    assert counts[UNKNOWN] == len(cameras)
    assert {street.board[DeviceId(camera.id)].reason for camera in cameras} == {"gateway-blind"}


# -- SNMP -------------------------------------------------------------------------------------------------------------


def switch(street: Street, version: str) -> SimDevice:
    return next(device for device in street.of("switch") if device.snmp and device.snmp.version == version)


async def everything(street: Street, store: Store, clock: SimulatedClock) -> HealthService:
    street.adopt(list(street.devices.values()))
    service = street.service(store, clock)
    await service.load()
    return service


async def test_every_kind_of_device_is_up_over_its_own_protocols(street: Street, store: Store, clock: SimulatedClock) -> None:
    service = await everything(street, store, clock)
    for device in street.devices.values():
        await looked(service, device)
    assert street.board.counts() == {UNKNOWN: 0, UP: len(street.devices), DEGRADED: 0, DOWN: 0}
    speaker = street.board[DeviceId(street.of("speaker")[0].id)]
    assert {"reach", "clock", "identity", "snmp"} <= speaker.facts.keys()
    ports = street.board[DeviceId(switch(street, "v3").id)].facts["snmp"]["sensors"]
    assert "up" in ports["port_state"].values()
    assert "delivering" in ports["poe_port"].values()


@pytest.mark.parametrize("version", ["v2c", "v3"])
async def test_a_silent_switch_is_down_with_the_reason_that_its_version_allows(
    street: Street, store: Store, clock: SimulatedClock, version: str
) -> None:
    service, device = await everything(street, store, clock), switch(street, version)
    street.silence(device)
    await looked(service, device, 3)
    standing = street.board[DeviceId(device.id)]
    assert (standing.state, standing.check) == (DOWN, "reach")
    assert standing.reason == {"v2c": "silent-or-wrong-community", "v3": "timeout"}[version]


async def test_a_switch_that_refuses_our_key_is_alive_and_its_key_is_not_tried_again(
    street: Street, store: Store, clock: SimulatedClock
) -> None:
    device = switch(street, "v3")
    right = streets.snmp_of(device)
    assert right is not None
    street.logins[DeviceId(device.id)] = Credentials(snmp=replace(right, auth_key="not-the-right-key"))
    service = street.service(store, clock, timeout_s=5.0)
    street.adopt([device])
    await service.load()
    await looked(service, device)
    assert (street.board[DeviceId(device.id)].state, street.board[DeviceId(device.id)].reason) == (DEGRADED, "wrong-auth-key")
    wrong = street.state.counters["snmp.wrong_digest.switch"]
    assert wrong
    await looked(service, device, 5)
    assert street.state.counters["snmp.wrong_digest.switch"] == wrong
    assert street.board[DeviceId(device.id)].state is DEGRADED
    street.silence(device)
    await looked(service, device, 3)
    assert street.board[DeviceId(device.id)].state is DOWN, "up and down stay known without the key"


async def test_a_loudspeaker_whose_agent_is_silent_is_degraded_and_not_down(street: Street, store: Store, clock: SimulatedClock) -> None:
    service = await everything(street, store, clock)
    speaker = next(device for device in street.of("speaker") if device.snmp and device.snmp.version == "v2c")
    street.break_(speaker, answer=Answer.SILENT, protocols=("snmp",))
    await looked(service, speaker, 4)
    standing = street.board[DeviceId(speaker.id)]
    assert (standing.state, standing.check, standing.reason) == (DEGRADED, "snmp", "silent-or-wrong-community")


async def test_a_switch_without_snmp_credentials_stays_unknown_and_says_why(street: Street, store: Store, clock: SimulatedClock) -> None:
    device = switch(street, "v2c")
    street.logins[DeviceId(device.id)] = Credentials()
    service = await everything(street, store, clock)
    await looked(service, device, 5)
    assert street.board[DeviceId(device.id)].state is UNKNOWN
    assert (await service.check_now(DeviceId(device.id)))[0].reason == "no-snmp-credentials"


@contextlib.asynccontextmanager
async def running(service: HealthService) -> AsyncIterator[None]:
    task = asyncio.create_task(service.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_wheel_verifies_the_whole_street_and_finds_one_loss(sqlite_url: str) -> None:
    clock = SystemClock()
    async with streets.standing(clock) as street, store_running(sqlite_url, clock) as store:
        cameras = street.of("camera")
        street.adopt(cameras)
        pace = Pace(interval_s=0.6, first_round_s=0.3, tick_s=0.05, suspect_s=0.1)
        service = street.service(store, clock, limits=Limits(degrade=1, flap_changes=100), pace=pace)
        await service.load()
        async with running(service):
            await until(lambda: not street.board.counts()[UNKNOWN])
            street.break_(cameras[0], answer=Answer.REFUSE)
            await until(lambda: street.board[DeviceId(cameras[0].id)].state is DOWN)
        assert street.board.counts()[DOWN] == 1
        assert service.figures.visits >= len(cameras)


async def test_a_complaint_is_written_down_from_its_rise_to_its_end_and_so_is_our_watch(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    street.break_(camera, clock_offset_s=3600.0)
    began = clock.now()
    await looked(service, camera, 2)
    async with store.read() as tx:
        assert [(each.check, each.since, each.until) for each in await tx.complaints.of(device)] == [("clock", began, None)]
        assert (await tx.complaints.checked())[device] == {"clock", "identity"}
    await clock.advance(60)
    street.mend(camera)
    await looked(service, camera)
    async with store.read() as tx:
        assert [each.until for each in await tx.complaints.of(device)] == [clock.now()]
    async with running(service):
        await clock.advance(0)
        await until(lambda: watched(store))


async def watched(store: Store) -> bool:
    async with store.read() as tx:
        return await tx.complaints.first_watch() is not None


# -- what is told between the visits ----------------------------------------------------------------------------------


async def test_a_report_degrades_a_camera_at_once_where_it_says_so_and_its_end_brings_it_back(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    ill = CheckResult(device, "trap-cover", Outcome.WARN, clock.now(), "cover-open", {"port": 3}, at_once=True)
    assert await service.report(device, [ill])
    standing = street.board[device]
    assert (standing.state, standing.reason, standing.facts["trap-cover"]) == (DEGRADED, "cover-open", {"port": 3})
    assert await service.report(device, [replace(ill, outcome=Outcome.OK, reason="")])
    assert street.board[device].state is UP
    assert [event.data["after"] for event in await streets.events(store)] == ["up", "degraded", "up"]


async def test_a_report_waits_for_no_visit_that_is_under_way(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    street.silence(camera)
    visit = asyncio.create_task(service.check_now(device))
    await asyncio.sleep(0)
    await service.report(device, [CheckResult(device, "trap", Outcome.WARN, clock.now(), "cover-open", at_once=True)])
    assert not visit.done()
    assert street.board[device].state is DEGRADED
    await visit
    assert street.board[device].reason == "cover-open"


async def test_what_the_store_does_not_take_may_be_told_again(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    ill = CheckResult(device, "trap", Outcome.WARN, clock.now(), "cover-open", at_once=True)
    async with streets.broken(store):
        assert not await service.report(device, [ill])
    assert street.board[device].state is UP
    assert await service.report(device, [ill])
    assert street.board[device].state is DEGRADED


async def test_nothing_is_heard_of_who_is_not_watched(street: Street, store: Store, clock: SimulatedClock) -> None:
    service = await opened(street, store, clock)
    assert await service.report(DeviceId("stranger"), [CheckResult(DeviceId("stranger"), "trap", Outcome.WARN, clock.now(), "x")])
    assert DeviceId("stranger") not in {standing.device for standing in street.board}


async def test_a_login_that_was_mended_on_the_device_is_tried_again_when_somebody_says_so(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice
) -> None:
    service, device = await opened(street, store, clock), DeviceId(camera.id)
    await looked(service, camera)
    street.break_(camera, password="another")
    for _ in range(8):
        await looked(service, camera)
        await clock.advance(120)
    street.mend(camera)
    await looked(service, camera)
    assert street.board[device].reason == "bad-credentials", "known to be bad: not tried any more"
    asked = AskedVisits(service, store, clock, lambda one: street.driver(one).try_again())
    for _ in range(2):
        await asked.visit(device, retry_credentials=True, actor=SYSTEM)
        await clock.advance(301)
    assert street.board[device].state is UP
