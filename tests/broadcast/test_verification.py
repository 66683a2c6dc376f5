from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.broadcast.verification import FRESH_S, Verify, verification
from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board, HealthState, Introduction, Standing
from gateway.domain.quirks import NONE, Quirk, Quirks
from gateway.domain.remarks import Remark, RemarkKind
from gateway.drivers.base import Hardware, Identity
from gateway.errors import DeviceError, DeviceFault, NotSupported, WrongDevice

HORN = DeviceId("SPK-1")
SHARED = Quirks({"shared-serial": Quirk("Q18", "shared-serial")})
MAC = "3c:ef:8c:00:00:01"
PORTS = Ports()


@dataclass
class Street:
    """One loudspeaker whose serial number a test sets; counts how often it was asked."""

    serial: str = "SN1"
    asked: int = 0
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    board: Board = field(default_factory=Board)
    hardware_told: str | DeviceError = ""
    quirks: Quirks = NONE

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        if isinstance(self.hardware_told, DeviceError):
            raise self.hardware_told
        return Hardware([self.hardware_told], self.clock.monotonic())

    async def identity(self, *, timeout_s: float) -> Identity:
        self.asked += 1
        return Identity("maker", "horn", "1.0", self.serial)

    def seen(self, serial: str, hardware: str = "", *, hardware_age_s: float = 0.0) -> None:
        """A health check of now was told this by what answers at 127.0.0.1, and its hardware so long ago."""
        facts = {"identity": {"manufacturer": "maker", "model": "horn", "serial": serial, "hardware": hardware}}
        now_s = self.clock.monotonic()
        told = Introduction(("127.0.0.1", PORTS), now_s, now_s - hardware_age_s if hardware else None)
        self.board.put(Standing(HORN, HealthState.UP, last_seen=self.clock.now(), facts=facts, introduction=told))

    def verify(
        self,
        *,
        inventory_serial: str = "SN1",
        address: str = "127.0.0.1",
        ports: Ports = PORTS,
        **known: str,
    ) -> Verify:
        city = City()
        horn = Device(HORN, DeviceKind.SPEAKER, "horn", address, ports, serial=inventory_serial, **known)
        city.replace(devices=[horn], groups=[], cells=[], zones=[])
        return verification(
            city=city, board=self.board, clock=self.clock, identity_of=lambda _device: self, quirks_of=lambda _device: self.quirks
        )


async def test_a_fresh_health_check_spares_the_question() -> None:
    street = Street()
    street.seen("sn1 ")
    await street.verify()(HORN)
    assert street.asked == 0


async def test_what_a_health_check_found_too_long_ago_does_not_count() -> None:
    street = Street(serial="SN2")
    street.seen("SN1")
    await street.clock.advance(FRESH_S + 1)
    with pytest.raises(WrongDevice):
        await street.verify()(HORN)
    assert street.asked == 1


async def test_a_device_that_has_answered_since_without_saying_who_it_is_is_asked() -> None:
    street = Street(serial="SN2")
    street.seen("SN1")
    await street.clock.advance(FRESH_S + 1)
    street.board.put(replace(street.board[HORN], last_seen=street.clock.now()))
    with pytest.raises(WrongDevice):
        await street.verify()(HORN)
    assert street.asked == 1


@pytest.mark.parametrize("moved", [{"address": "127.0.0.2"}, {"ports": Ports(onvif=8080)}])
async def test_what_was_told_elsewhere_than_the_inventory_has_the_speaker_now_does_not_count(moved: dict[str, Any]) -> None:
    street = Street(serial="SN2")
    street.seen("SN1")
    with pytest.raises(WrongDevice):
        await street.verify(**moved)(HORN)
    assert street.asked == 1


async def test_a_clock_that_is_set_back_makes_nothing_fresher() -> None:
    street = Street(serial="SN2")
    street.seen("SN1")
    street.clock.step(timedelta(hours=-1))
    await street.clock.advance(FRESH_S + 1)
    with pytest.raises(WrongDevice):
        await street.verify()(HORN)
    assert street.asked == 1


async def test_hardware_that_a_fresh_check_was_told_long_ago_is_asked_for_anew() -> None:
    street, known = Street(hardware_told="3c:ef:8c:00:00:02", quirks=SHARED), {"vendor": "Maker", "model": "horn", "mac": MAC}
    street.seen("SN1", MAC, hardware_age_s=FRESH_S)
    assert await street.verify(**known)(HORN) is None
    street.seen("SN1", MAC, hardware_age_s=FRESH_S + 1)
    with pytest.raises(WrongDevice):
        await street.verify(**known)(HORN)


async def test_a_swapped_speaker_that_a_health_check_has_seen_is_refused_at_once() -> None:
    street = Street()
    street.seen("SN9")
    with pytest.raises(WrongDevice) as caught:
        await street.verify()(HORN)
    assert "serial number SN9, where the inventory has SN1" in str(caught.value)


async def test_what_a_stranger_calls_itself_is_told_as_far_as_it_can_be_shown() -> None:
    street = Street(serial="\x1b[2Jevil\n" + "x" * 500)
    with pytest.raises(WrongDevice) as caught:
        await street.verify()(HORN)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


async def test_a_speaker_that_the_inventory_has_nothing_to_know_by_passes_with_a_remark() -> None:
    street = Street(serial="anything")
    assert await street.verify(inventory_serial="")(HORN) == Remark(RemarkKind.IDENTITY_UNLISTED)
    assert street.asked == 0


async def test_one_that_has_shown_who_it_is_passes_without_a_remark() -> None:
    street = Street(hardware_told=MAC)
    assert await street.verify()(HORN) is None
    assert await street.verify(inventory_serial="", mac=MAC)(HORN) is None


async def test_a_speaker_of_which_the_inventory_has_the_hardware_alone_is_known_by_that() -> None:
    street = Street(hardware_told="3c:ef:8c:00:00:02")
    with pytest.raises(WrongDevice):
        await street.verify(inventory_serial="", mac=MAC)(HORN)


@pytest.mark.parametrize("told", ["", "nonsense", NotSupported("no such operation"), DeviceFault("not now")])
async def test_one_that_tells_no_hardware_to_compare_passes_with_a_remark(told: str | DeviceError) -> None:
    street = Street(hardware_told=told)
    assert await street.verify(inventory_serial="", mac=MAC)(HORN) == Remark(RemarkKind.HARDWARE_UNTOLD)


async def test_a_serial_number_that_tells_nothing_is_a_remark_where_the_inventory_has_no_hardware_either() -> None:
    street = Street(serial="123456789", quirks=SHARED)
    assert await street.verify(vendor="Maker", model="horn")(HORN) == Remark(RemarkKind.HARDWARE_UNLISTED)


async def test_a_speaker_whose_serial_number_tells_nothing_is_known_by_its_hardware() -> None:
    street = Street(serial="123456789", hardware_told="3C-EF-8C-00-00-01", quirks=SHARED)
    await street.verify(vendor="Maker", model="horn", mac="3c:ef:8c:00:00:01")(HORN)
    street.hardware_told = "3c:ef:8c:00:00:02"
    with pytest.raises(WrongDevice):
        await street.verify(vendor="Maker", model="horn", mac="3c:ef:8c:00:00:01")(HORN)


async def test_a_speaker_that_only_claims_to_be_of_such_a_model_is_still_known_by_its_serial_number() -> None:
    street = Street(serial="123456789", quirks=SHARED)
    with pytest.raises(WrongDevice):
        await street.verify(vendor="Other", model="horn")(HORN)
