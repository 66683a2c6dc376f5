"""The health repository on both stores."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Transition
from gateway.errors import Conflict
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAMERA, SPEAKER = DeviceId("camera-1"), DeviceId("speaker-1")
UNKNOWN, UP, DEGRADED, DOWN = HealthState.UNKNOWN, HealthState.UP, HealthState.DEGRADED, HealthState.DOWN
LIFE = [
    Transition(CAMERA, UNKNOWN, UP, NOON, "", "reach"),
    Transition(SPEAKER, UNKNOWN, DEGRADED, NOON + timedelta(minutes=1), "bad-credentials", "identity", {"model": "喇叭\x00"}),
    Transition(CAMERA, UP, DOWN, NOON + timedelta(minutes=2), "timeout", "reach"),
    Transition(CAMERA, DOWN, UP, NOON + timedelta(minutes=3), "", "reach"),
]


async def record(store: Store, *life: Transition) -> None:
    for transition in life:

        async def change(tx: Tx, transition: Transition = transition) -> None:
            await tx.health.record(transition)

        await store.writer.write(change, lane=Lane.HEALTH)


async def test_a_device_has_the_state_that_its_last_transition_led_to(store: Store) -> None:
    await record(store, *LIFE)
    async with store.read() as tx:
        found = {standing.device: standing for standing in await tx.health.standings()}
    assert set(found) == {CAMERA, SPEAKER}
    assert (found[CAMERA].state, found[CAMERA].since, found[CAMERA].reason) == (UP, LIFE[3].at, "")
    assert (found[SPEAKER].state, found[SPEAKER].reason, found[SPEAKER].check) == (DEGRADED, "bad-credentials", "identity")
    assert found[SPEAKER].facts == {"model": "喇叭\x00"}


async def test_history_is_paged_from_the_newest_on_and_numbered_without_gaps(store: Store) -> None:
    await record(store, *LIFE)
    async with store.read() as tx:
        newest = await tx.health.history(CAMERA, limit=2)
        rest = await tx.health.history(CAMERA, before=newest[-1].number, limit=2)
    assert [each.number for each in (*newest, *rest)] == [3, 2, 1]
    assert [each.transition for each in (*newest, *rest)] == [LIFE[3], LIFE[2], LIFE[0]]


async def test_the_transitions_of_a_time_are_those_from_its_start_until_before_its_end(store: Store) -> None:
    await record(store, *LIFE)
    async with store.read() as tx:
        assert list(await tx.health.between(NOON + timedelta(minutes=1), NOON + timedelta(minutes=3))) == LIFE[1:3]


async def test_a_forgotten_device_has_no_state_but_keeps_its_history(store: Store) -> None:
    await record(store, *LIFE)

    async def change(tx: Tx) -> None:
        await tx.health.forget([CAMERA])

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        assert [standing.device for standing in await tx.health.standings()] == [SPEAKER]
        assert len(await tx.health.history(CAMERA)) == 3


async def test_a_transition_to_the_same_state_is_refused_by_the_store(store: Store) -> None:
    with pytest.raises(Conflict):
        await record(store, Transition(CAMERA, UP, UP, NOON, "", "reach"))
