"""The trap service over real sockets, with its real receiving process: what is believed, what it does, what is lost and said."""

import asyncio
import contextlib
import os
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pysnmp.proto.rfc1902 import Integer32, OctetString
from structlog.testing import capture_logs

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceKind
from gateway.domain.health import Outcome, Standing
from gateway.storage.store import Store
from gateway.traps import engine
from gateway.traps.service import SWEEP_S
from gateway.traps.telling import AGAIN_S
from tests.conftest import running
from tests.drivers.snmp.test_notifications import v2_message
from tests.traps import house as houses
from tests.traps.house import AXIS, CAMERA, KEYLESS, SWITCH, House
from tests.waiting import until

COLD_START, LINK_DOWN, LINK_UP = "1.3.6.1.6.3.1.1.5.1", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.6.3.1.1.5.4"
ALARM_NEW, ALARM_CLEARED = "1.3.6.1.4.1.368.4.2.0.1", "1.3.6.1.4.1.368.4.2.0.2"


def link(trap: str, port: int) -> bytes:
    return v2_message(trap, [(f"1.3.6.1.2.1.2.2.1.1.{port}", Integer32(port)), (f"1.3.6.1.2.1.2.2.1.8.{port}", Integer32(2))])


def alarm(trap: str, number: int, text: bytes = b"casing open") -> bytes:
    return v2_message(trap, [("1.3.6.1.4.1.368.4.2.1.0", Integer32(number)), ("1.3.6.1.4.1.368.4.2.3.0", OctetString(text))])


def complaints(house: House) -> list[tuple[str, Outcome, str]]:
    return [(device, result.outcome, result.reason) for device, result in house.reports]


# -- what it does


async def test_a_link_that_goes_down_is_a_complaint_of_whoever_hangs_there_until_it_is_up(house: House, clock: SimulatedClock) -> None:
    house.send(link(LINK_DOWN, 3))
    await until(lambda: house.reports)
    assert complaints(house) == [(CAMERA.id, Outcome.FAIL, "trap-link-down")]
    await clock.advance(1)
    assert house.visits == [CAMERA.id]
    house.send(link(LINK_UP, 3))
    await until(lambda: len(house.reports) == 2)
    assert complaints(house)[1:] == [(CAMERA.id, Outcome.OK, "")]
    down, up = await house.until_events(2)
    assert (down.type, down.subject, down.data["about"], down.data["effect"], down.data["key"]) == (
        "device.trap", SWITCH.id, CAMERA.id, "raised", "3"
    )  # fmt: skip
    assert (up.data["name"], up.data["effect"]) == ("link-up", "cleared")


async def test_a_port_that_nobody_is_known_at_is_told_and_nothing_more(house: House, clock: SimulatedClock) -> None:
    house.send(link(LINK_DOWN, 7))
    (event,) = await house.until_events(1)
    await clock.advance(1)
    assert event.data["about"] is None and event.data["effect"] == ""
    assert house.reports == [] and house.visits == []


async def test_a_pair_of_a_profile_raises_and_clears_by_its_key(house: House) -> None:
    for data in (alarm(ALARM_NEW, 17), alarm(ALARM_NEW, 18), alarm(ALARM_CLEARED, 17)):
        house.send(data, AXIS.address)
    await until(lambda: house.counts.get("opened", 0) == 3)
    await house.until_events(3)
    assert [alarm.key for alarm in house.service.alarms] == ["18"]
    assert house.reports[-1][1].outcome is Outcome.WARN
    assert house.reports[-1][1].facts["alarms"][0]["text"] == "casing open"


async def test_a_device_s_text_is_clean_wherever_it_goes(house: House) -> None:
    house.send(alarm(ALARM_NEW, 1, b"\x1b[31m\xe9\x97\xa8\x00open\n" + b"x" * 2_000), AXIS.address)
    (event,) = await house.until_events(1)
    for text in (event.data["text"], house.reports[0][1].facts["alarms"][0]["text"]):
        assert text.isprintable() and text.startswith("[31m门 open") and len(text) <= 256


async def test_a_new_start_ends_the_alarms_of_whoever_started_and_has_it_visited(house: House, clock: SimulatedClock) -> None:
    house.send(link(LINK_DOWN, 3))
    house.send(alarm(ALARM_NEW, 5), AXIS.address)
    await house.until_events(2)
    house.send(v2_message(COLD_START, []))
    await house.until_events(3)
    assert [alarm.device for alarm in house.service.alarms] == [AXIS.id]
    await clock.advance(1)
    assert SWITCH.id in house.visits


async def test_an_answer_refutes_a_link_that_is_down_though_its_clear_got_lost(house: House, clock: SimulatedClock) -> None:
    house.send(link(LINK_DOWN, 3))
    await house.until_events(1)
    house.board.put(Standing(CAMERA.id, last_seen=clock.now() + timedelta(seconds=6)))
    await clock.advance(SWEEP_S + 1)
    await until(lambda: complaints(house)[-1] == (CAMERA.id, Outcome.OK, ""))
    assert list(house.service.alarms) == []


async def test_an_alarm_that_nobody_clears_expires(house: House, clock: SimulatedClock) -> None:
    house.send(alarm(ALARM_NEW, 5), AXIS.address)
    await house.until_events(1)
    for _ in range(24 * 4 + 1):
        await clock.advance(900)
    await until(lambda: complaints(house)[-1] == (AXIS.id, Outcome.OK, ""))
    async with house.store.read() as tx:
        assert list(await tx.alarms.load()) == []


async def test_alarms_outlive_a_restart_and_are_complained_of_anew(sqlite_url: str, clock: SimulatedClock, tmp_path: Path) -> None:
    async with running(sqlite_url, clock) as store, houses.standing(store, clock, tmp_path) as house:
        house.send(alarm(ALARM_NEW, 5), AXIS.address)
        await house.until_events(1)
    async with running(sqlite_url, clock) as store, houses.standing(store, clock, tmp_path) as house:
        await until(lambda: house.reports)
        assert complaints(house) == [(AXIS.id, Outcome.WARN, "trap-alarm")]


async def test_a_report_that_the_store_did_not_take_is_told_again(house: House, clock: SimulatedClock) -> None:
    house.takes_reports = False
    house.send(alarm(ALARM_NEW, 5), AXIS.address)
    await until(lambda: len(house.reports) == 1)
    house.takes_reports = True
    await house.until_events(1)
    await clock.advance(SWEEP_S + 1)
    await until(lambda: len(house.reports) == 2)


# -- who is believed


async def test_strangers_are_counted_and_named_and_not_believed(house: House) -> None:
    house.send(link(LINK_DOWN, 3), "127.66.9.9")
    await until(lambda: "127.66.9.9" in house.service.figures.strangers)
    assert house.counts["unknown_source"] >= 1
    assert await house.events() == []


async def test_another_device_s_community_and_none_at_all_are_refused(house: House) -> None:
    house.send(v2_message(COLD_START, [], "public"))
    house.send(v2_message(COLD_START, []), KEYLESS.address)
    await until(lambda: house.counts.get("wrong_community") == 2)
    assert await house.events() == []


async def test_a_device_is_believed_and_forgotten_as_the_inventory_changes(house: House) -> None:
    house.city.replace(devices=[device for device in houses.DEVICES if device.id != AXIS.id] + [replace(KEYLESS, enabled=False)])
    house.logins[CAMERA.id] = replace(houses.V2C, community="another")
    house.service.renew()
    await until(house.events, meanwhile=lambda: house.send(v2_message(COLD_START, [], "another"), CAMERA.address))
    strangers = house.counts.get("unknown_source", 0)
    house.send(alarm(ALARM_NEW, 5), AXIS.address)
    await until(lambda: house.counts.get("unknown_source", 0) == strangers + 1)


async def test_rubbish_is_counted_and_hurts_nobody(house: House) -> None:
    before = house.counts["malformed"]
    for data in (b"", b"\x30", os.urandom(200), link(LINK_DOWN, 3)[:-3]):
        house.send(data)
    house.send(b"x" * 9_000)
    await until(lambda: house.counts["malformed"] >= before + 3 and house.counts.get("too_large") == 1)
    house.send(link(LINK_DOWN, 3))
    assert await house.until_events(1)


# -- storms


async def test_a_storm_of_one_device_is_cut_and_said_and_others_are_heard(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with houses.standing(store, clock, tmp_path, per_device_s=1, burst=50) as house:
        for _ in range(400):
            house.send(v2_message(COLD_START, []))
        house.send(alarm(ALARM_NEW, 5), AXIS.address)
        await until(lambda: house.counts.get("limited", 0) >= 300 and house.counts.get("opened", 0) <= 101)
        await until(lambda: AXIS.id in {device for device, _ in house.reports})


async def test_the_same_news_is_told_once_a_minute_with_how_often_it_came(house: House, clock: SimulatedClock) -> None:
    for _ in range(30):
        house.send(v2_message(COLD_START, []))
    await until(lambda: house.counts.get("opened", 0) == 30)
    await until(lambda: house.counts["unsaid"] == 29)
    await clock.advance(AGAIN_S)
    house.send(v2_message(COLD_START, []))
    first, again = await house.until_events(2)
    assert (first.data["repeated"], again.data["repeated"]) == (0, 29)


async def test_visits_for_traps_are_few_a_second_and_none_twice(house: House, clock: SimulatedClock) -> None:
    for _ in range(5):
        house.send(link(LINK_DOWN, 3))
        house.send(link(LINK_UP, 3))
        house.send(v2_message(COLD_START, []))
    await until(lambda: house.counts.get("opened", 0) == 15)
    await house.until_events(3)
    await clock.advance(5)
    assert sorted(house.visits) == [CAMERA.id, SWITCH.id]


async def test_what_thousands_of_devices_tell_at_once_is_all_heard(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    count = 1_000
    crowd = [houses.device(f"D-{n}", DeviceKind.SWITCH, f"127.67.{n // 250}.{n % 250 + 1}") for n in range(count)]
    logins = {device.id: houses.V2C for device in crowd}
    async with houses.standing(store, clock, tmp_path, devices=[*houses.DEVICES, *crowd], logins=logins | houses.LOGINS) as house:
        for data in (v2_message(COLD_START, []), link(LINK_DOWN, 1)):
            for device in crowd:
                house.send(data, device.address)
        await until(lambda: house.counts.get("opened", 0) + house.counts.get("kernel_dropped", 0) >= 2 * count)
        assert house.counts.get("kernel_dropped", 0) == house.counts.get("ring_full", 0) == 0
        assert len({event.subject for event in await house.until_events(2 * count)}) == count


# -- the process


async def test_a_receiver_that_dies_is_started_anew_with_another_boot_and_nothing_is_lost_meanwhile(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    async with houses.standing(store, clock, tmp_path, running=False) as house:
        first = asyncio.create_task(house.service.run())
        await until(lambda: house.service.receiver_pid)
        pid = house.service.receiver_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            await first
        house.send(v2_message(COLD_START, []))  # waits in the kernel
        second = asyncio.create_task(house.service.run())
        await until(lambda: house.counts.get("received") == 1)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
    assert engine.started(tmp_path).boots == 3


async def test_what_a_receiver_loses_after_another_died_is_said_though_it_is_less(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    async with houses.standing(store, clock, tmp_path, running=False, per_device_s=0.001, burst=1) as house:
        said: list[int] = []
        for at_a_time, least in ((20, 1_000), (1, 1)):
            with capture_logs() as lines:
                work = asyncio.create_task(house.service.run())
                await until(lambda: house.service.receiver_pid)
                house.service.renew()
                await _limited(house, at_a_time, least)
                await until(lambda lines=lines: any(line["event"] == "traps.lost" for line in lines))
                os.kill(house.service.receiver_pid or 0, signal.SIGKILL)
                with contextlib.suppress(Exception):
                    await work
            said.append(max(line["limited"] for line in lines if line["event"] == "traps.lost"))
        assert said[0] > said[1] > 0


async def _limited(house: House, at_a_time: int, least: int) -> None:
    """Until the process, which first has to hear of the device, has cut at least so many."""

    def send() -> None:
        for _ in range(at_a_time):
            house.send(v2_message(COLD_START, []))

    await until(lambda: house.counts.get("limited", 0) >= least, meanwhile=send)


async def test_the_receiver_ends_with_whoever_started_it(house: House) -> None:
    pid = house.service.receiver_pid
    assert pid is not None
    house.service._receiver._process.stdin.close()  # what a daemon that is killed leaves behind
    await until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


async def test_the_buffer_is_what_the_kernel_granted(house: House) -> None:
    assert 65_536 <= house.service.figures.buffer_bytes <= 4 << 20
