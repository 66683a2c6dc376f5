"""A city in which every device is as odd as its model: all are let in, and none is brought to lock us out."""

from gateway.clock import SimulatedClock
from simulators.city import plan
from simulators.quirks import QuirkBook
from simulators.serving import running
from simulators.state import State
from tests.quirks.meeting import meet
from tests.simulators.street import Hand, Street, free_ports

ROUNDS = 3


async def test_every_model_with_all_its_quirks_is_let_in_again_and_again(clock: SimulatedClock) -> None:
    http, rtsp, snmp = free_ports(3)
    city = QuirkBook.load().dealt(plan(seed=7, groups=30, speakers=8, http_port=http, rtsp_port=rtsp, snmp_port=snmp))
    state = State(lambda: clock.now().timestamp())
    async with running(city, state, control=("127.0.0.1", 0), only=("http",)) as ports:
        street = Street(city, state, Hand(), ports["control"])
        met = [meet(street, clock, device) for kind in ("camera", "speaker", "recorder") for device in city.of_kind(kind)]
        for _ in range(ROUNDS):
            for one in met:
                assert await one.serial() == one.device.serial, one.device.model
            await clock.advance(30)
    assert {switch for one in met for switch in one.device.quirks} >= {"lock-out", "busy-401", "nonce-per-request", "strict-created"}
    assert not [name for name, count in state.counters.items() if count and name.startswith(("http.locked_out", "http.crowded"))]
