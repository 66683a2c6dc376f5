"""A faulty device does what its fault says, and nothing else of the city notices."""

import asyncio
import time
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from simulators import footage, misbehaviour
from simulators.faults import Answer, Fault
from simulators.http import Response
from simulators.reboot import reboot
from simulators.state import State
from tests.simulators.street import Street, envelope, parse

INFORMATION = envelope("<tds:GetDeviceInformation/>")


def breaks(street: Street, answer: Answer = Answer.NORMAL, **fields: Any) -> None:
    street.state.faults[street.camera.id] = Fault(answer=answer, **fields)


async def ask(street: Street) -> bytes:
    body = envelope("<tds:GetDeviceInformation/>", street.login(street.camera))
    head = f"POST /onvif/device_service HTTP/1.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return await street.raw(street.camera, head.encode() + body)


async def test_a_silent_device_takes_the_request_and_says_nothing(street: Street) -> None:
    breaks(street, Answer.SILENT)
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()


async def test_a_refusing_device_closes_before_a_word(street: Street) -> None:
    breaks(street, Answer.REFUSE)
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)

    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()


async def test_a_resetting_device_resets(street: Street) -> None:
    breaks(street, Answer.RESET)

    with pytest.raises(ConnectionResetError):
        await ask(street)


async def test_a_truncated_answer_ends_before_its_length(street: Street) -> None:
    breaks(street, Answer.TRUNCATED)
    head, _, body = (await ask(street)).partition(b"\r\n\r\n")

    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(body) < length


async def test_a_slow_device_answers_late_and_in_order(street: Street) -> None:
    breaks(street, delay_s=0.15)
    start = time.monotonic()

    assert parse(await ask(street)).texts("SerialNumber") == [street.camera.serial]
    assert time.monotonic() - start >= 0.15


async def test_garbage_is_no_http(street: Street) -> None:
    breaks(street, Answer.GARBAGE)

    assert not (await ask(street)).startswith(b"HTTP/")


async def test_a_login_page_is_html_with_status_200(street: Street) -> None:
    breaks(street, Answer.NOT_XML)
    answer = parse(await ask(street))

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")


async def test_the_wrong_operations_answer_is_good_soap(street: Street) -> None:
    breaks(street, Answer.WRONG_OPERATION)

    assert parse(await ask(street)).texts("WsdlUrl") == ["http://www.onvif.org/"]


async def test_a_redirect_leads_to_another_host(street: Street) -> None:
    breaks(street, Answer.REDIRECT)
    answer = parse(await ask(street))

    assert answer.status == 302
    assert answer.headers["location"].startswith("http://203.0.113.77/")


async def test_an_endless_answer_goes_on_and_waits_for_its_reader(street: Street) -> None:
    breaks(street, Answer.ENDLESS)
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    assert len(await asyncio.wait_for(reader.readexactly(5_000_000), 60)) == 5_000_000
    writer.close()


class HungUp(Exception):
    """The reader of a wire went away."""


class Narrow:
    """A wire that takes three pieces and then has no reader any more."""

    def __init__(self) -> None:
        self.written = 0
        self._drained = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    async def drain(self) -> None:
        self._drained += 1
        if self._drained == 3:
            raise HungUp

    def close(self) -> None: ...

    def reset(self) -> None: ...


async def test_an_endless_answer_is_never_kept_waiting_in_memory() -> None:
    behaviour, wire = misbehaviour.of(Answer.ENDLESS, 0.0, address="127.16.0.1"), Narrow()
    assert behaviour is not None

    with pytest.raises(HungUp):
        await behaviour(wire, Response())
    assert wire.written < 100_000


async def test_a_gzip_bomb_is_small_and_unpacks_to_very_much(street: Street) -> None:
    breaks(street, Answer.GZIP_BOMB)
    head, _, body = (await ask(street)).partition(b"\r\n\r\n")

    assert b"Content-Encoding: gzip" in head
    assert len(body) < 1 << 20
    assert len(zlib.decompressobj(31).decompress(body, 64 << 20)) == 64 << 20


async def test_a_dtd_carries_entities(street: Street) -> None:
    breaks(street, Answer.DTD)

    assert b"<!ENTITY" in parse(await ask(street)).body


async def test_a_foreign_address_stands_in_every_url(street: Street) -> None:
    breaks(street, Answer.FOREIGN_XADDR)
    answer = await street.call(street.camera, "tds", "GetServices", header="")

    assert answer.texts("XAddr")
    assert all(url.startswith("http://203.0.113.77:") for url in answer.texts("XAddr"))


async def test_a_busy_device_says_401_without_a_challenge(street: Street) -> None:
    breaks(street, Answer.BUSY)
    answer = parse(await ask(street))

    assert answer.status == 401
    assert "www-authenticate" not in answer.headers


async def test_a_changed_password_refuses_the_old_one(street: Street) -> None:
    breaks(street, password="other")

    assert parse(await ask(street)).subcodes == ["s:Sender", "ter:NotAuthorized"]


async def test_a_swapped_device_tells_another_serial_number(street: Street) -> None:
    breaks(street, serial="SWAPPED")

    assert parse(await ask(street)).texts("SerialNumber") == ["SWAPPED"]


async def test_a_wrong_clock_is_shown(street: Street) -> None:
    breaks(street, clock_offset_s=-400 * 86_400)
    answer = await street.call(street.camera, "tds", "GetSystemDateAndTime", header="")

    assert answer.texts("Year")[0] == "2025"


async def test_a_fault_of_another_protocol_leaves_http_alone(street: Street) -> None:
    breaks(street, Answer.SILENT, protocols=("snmp",))

    assert parse(await ask(street)).status == 200


async def test_other_devices_do_not_notice(street: Street) -> None:
    breaks(street, Answer.SILENT)
    others = [device for device in street.city.of_kind("camera") if device.auth == "wsse" and device.id != street.camera.id][:20]

    assert all([(await street.call(device, "tds", "GetDeviceInformation")).status == 200 for device in others])


async def test_a_dripping_device_gives_one_byte_at_a_time(street: Street) -> None:
    breaks(street, Answer.DRIP, delay_s=0.02)
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    assert [await asyncio.wait_for(reader.read(100), 60) for _ in range(4)] == [b"H", b"T", b"T", b"P"]
    writer.close()


def test_a_fault_is_read_from_json_as_it_is_shown() -> None:
    fault = Fault(Answer.DRIP, delay_s=2.0, clock_offset_s=-5.0, password="p", serial="s", protocols=("http",))

    assert Fault.parse(fault.told() | {"password": "p"}) == fault
    assert Fault.parse({}) == Fault()


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"answr": "silent"}, "a fault has no answr"),
        ({"answer": "sleepy"}, "no answer is called 'sleepy'"),
        ({"delay_s": "5"}, "delay_s is a number of seconds"),
        ({"delay_s": True}, "delay_s is a number of seconds"),
        ({"protocols": ["ftp"]}, "protocols are some of"),
        ({"protocols": []}, "protocols are some of"),
    ],
)
def test_a_fault_that_is_none_is_refused_by_name(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Fault.parse(raw)


# -- what is left to chance, and several ills at once -------------------------------------------------------------------


async def test_a_half_open_connection_begins_an_answer_and_never_goes_on(street: Street) -> None:
    breaks(street, Answer.HALF_OPEN)
    reader, writer = await asyncio.open_connection(street.camera.address, street.city.http_port)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nContent-Length: 0\r\n\r\n")

    assert await asyncio.wait_for(reader.readexactly(12), 60) == b"HTTP/1.1 400"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()


def test_loss_and_jitter_come_from_the_seed_and_keep_to_their_share(street: Street) -> None:
    def drawn(seed: int) -> list[tuple[Answer, float]]:
        state = State(street.state.now, seed=seed)
        state.ail(street.camera, Fault(loss=0.3, delay_s=0.1, jitter_s=0.2))
        return [state.ill(street.camera, "http") for _ in range(2000)]

    assert drawn(1) == drawn(1) != drawn(2)
    lost = [delay_s for answer, delay_s in drawn(1) if answer is Answer.SILENT]
    assert 500 < len(lost) < 700
    assert all(0.1 <= delay_s <= 0.3 for answer, delay_s in drawn(1) if answer is Answer.NORMAL)


def test_faults_of_several_causes_are_merged_and_taken_back_one_by_one(street: Street) -> None:
    state, camera = street.state, street.camera
    state.ail(camera, Fault(answer=Answer.DTD, clock_offset_s=60, protocols=("http",)), cause="one")
    state.ail(camera, Fault(answer=Answer.TRUNCATED, delay_s=0.5, clock_offset_s=5, serial="X", protocols=("http", "rtsp")), cause="two")

    both = state.fault(camera)
    assert both.on("http") == (Answer.TRUNCATED, 0.5) and both.on("snmp") == (Answer.NORMAL, 0.0)
    assert both.clock_offset_s == 65 and state.body(camera).serial == "X"
    state.cure(camera, cause="two")
    assert state.fault(camera).on("rtsp") == (Answer.NORMAL, 0.0) and state.fault(camera).clock_offset_s == 60
    state.cure(camera, cause="one")
    assert not state.troubled and state.body(camera) is camera


async def test_a_device_that_has_moved_answers_there_and_no_longer_here(street: Street) -> None:
    street.state.ail(street.camera, Fault(address="127.95.0.9"))
    moved = replace(street.camera, address="127.95.0.9")

    answer = await street.call(moved, "tds", "GetNetworkInterfaces")
    assert answer.texts("Address") == ["127.95.0.9"]
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await (await asyncio.open_connection(street.camera.address, street.city.http_port))[0].readexactly(1)
    street.state.cure(street.camera)
    assert parse(await ask(street)).texts("SerialNumber") == [street.camera.serial]


async def test_a_swapped_device_has_another_number_model_and_hardware_address(street: Street) -> None:
    breaks(street, serial="S1", model="M1", mac="02:00:00:00:00:01", firmware="F1")

    told = parse(await ask(street))
    assert [told.texts(name) for name in ("SerialNumber", "Model", "FirmwareVersion")] == [["S1"], ["M1"], ["F1"]]
    assert (await street.call(street.camera, "tds", "GetNetworkInterfaces")).texts("HwAddress") == ["02:00:00:00:00:01"]


def test_a_full_disk_ends_the_coverage_and_leaves_a_gap_when_it_is_emptied(street: Street) -> None:
    recorder, clock = street.recorder, street.clock
    channel = recorder.channels[0]
    began = street.state.device_time(recorder)
    street.state.ail(recorder, Fault(disk_full=True))
    clock.now += 3600
    body, later = street.state.body(recorder), street.state.device_time(recorder)

    assert footage.kept(body, later).end == int(began)
    assert footage.recorded(body, channel, footage.Span(began + 10, later), later) == []
    street.state.cure(recorder)
    clock.now += 3600
    body, now = street.state.body(recorder), street.state.device_time(recorder)
    assert footage.kept(body, now).end == int(now)
    assert footage.Span(float(int(began)), float(int(later))) in footage.gaps(body, channel, footage.Span(began - 60, now))


def test_a_picture_that_is_worth_nothing_comes_and_goes_with_its_fault(street: Street) -> None:
    street.state.ail(street.camera, Fault(view="black"))
    assert street.state.view(street.camera.id).view == "black"
    street.state.cure(street.camera)
    assert street.state.view(street.camera.id).view == "street"


async def test_a_reboot_ends_what_was_open_and_takes_the_clock_where_the_quirk_says_so(street: Street) -> None:
    street.state.switch_quirk(street.camera, "reboot-resets-clock", {"year": 2020})
    back = asyncio.Event()
    street.state.at_reboot(lambda _: back.set())
    reboot(street.state, (street.camera,), dark_s=0.05)
    assert street.state.dark(street.camera)

    await asyncio.wait_for(back.wait(), 60)
    assert datetime.fromtimestamp(street.state.device_time(street.camera), UTC).year == 2020
    assert [entry.what for entry in street.state.journal.since(0)] == ["quirk", "dark", "lit", "clock", "reboot"]


@pytest.mark.parametrize(
    "raw",
    [
        {"loss": 1.5},
        {"loss": True},
        {"delay_s": -1},
        {"address": "8.8.8.8"},
        {"address": "here"},
        {"view": "rainbow"},
        {"disk_full": 1},
        {"serial": 7},
        {"protocols": []},
        {"parts": []},
        {"clock_offset_s": float("inf")},
    ],
)
def test_a_fault_that_cannot_be_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(raw))):
        Fault.parse(raw)
