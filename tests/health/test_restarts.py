"""A switch that started anew is told of once, as a notice, and stays up."""

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState
from gateway.health.service import NOTICE_EVENT
from gateway.storage.store import Store
from simulators.city import City
from simulators.wiring import set_power
from tests.health import street as streets


async def test_a_restart_is_one_notice_and_a_fact(store: Store, clock: SimulatedClock) -> None:
    async with streets.standing(clock) as street:
        street.adopt(street.of("switch"))
        service = street.service(store, clock)
        await service.load()
        switch = next(one for one in street.of("switch") if one.snmp and one.snmp.version == "v2c")
        device = DeviceId(switch.id)
        await service.check_now(device)
        alone = City(1, 0, 0, 0, groups=(), devices=(switch,))
        set_power(alone, street.state, switch, on=False)
        await clock.advance(30)
        set_power(alone, street.state, switch, on=True)
        await clock.advance(30)
        for _ in range(3):
            await service.check_now(device)
        told = [event.data for event in await streets.events(store) if event.type == NOTICE_EVENT]
        assert [(one["check"], one["reason"]) for one in told] == [("uptime", "restarted")]
        standing = street.board[device]
        assert standing.state is HealthState.UP
        assert standing.facts["uptime"]["restarted"] == standing.facts["snmp"]["restarted"]
