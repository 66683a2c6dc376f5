"""The count of the whole city: true after whatever happened, and counted again only then."""

import random
from collections import Counter

from gateway.api.census import Census
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, HealthState, Standing


def test_it_is_true_whatever_has_happened_to_city_and_board() -> None:
    chance, city, board = random.Random(3), City(), Board()
    census = Census(city, board)
    for _ in range(2_000):
        name = DeviceId(f"device-{chance.randrange(30)}")
        match chance.randrange(10):
            case 0:
                numbers = chance.sample(range(30), chance.randrange(1, 30))
                kinds = list(DeviceKind)
                city.replace(devices=[Device(DeviceId(f"device-{n}"), kinds[n % 4], "", f"127.0.0.{n + 1}") for n in numbers])
            case 1:
                board.drop(name)
            case _:
                board.put(Standing(name, chance.choice(list(HealthState)), reason=chance.choice(["", "timeout", "flapping"])))
        counted = census.count()
        standings = {device: board[device] for device in city.devices}
        for kind in DeviceKind:
            found = Counter(standings[device.id].state for device in city.of_kind(kind))
            assert counted.kinds[kind] == {state: found[state] for state in HealthState}
        ill = Counter(one.reason for one in standings.values() if one.reason and one.state is not HealthState.UP)
        assert counted.reasons == ill


def test_what_changes_no_state_and_no_reason_is_not_counted_anew() -> None:
    city, board = City(), Board()
    city.replace(devices=[Device(DeviceId("camera"), DeviceKind.CAMERA, "", "127.0.0.1")])
    census = Census(city, board)
    board.put(Standing(DeviceId("camera"), HealthState.UP))
    first = census.count()
    board.put(Standing(DeviceId("camera"), HealthState.UP, facts={"reach": {"rtt_ms": 3}}))
    assert census.count() is first
    assert board.counts()[HealthState.UP] == 1
    board.put(Standing(DeviceId("camera"), HealthState.DOWN))
    assert census.count() is not first
