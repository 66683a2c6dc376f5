"""Q25: an SNMPv3 engine that forgets to count its boots, or becomes another one, shuts out every client that remembers it."""

from collections.abc import AsyncIterator

import pytest

from tests.quirks.agents import USER_SWITCH, Agents, answering

pytestmark = pytest.mark.quirk("Q25")


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    async with answering() as running:
        yield running


async def test_an_engine_whose_boots_are_stuck_is_met_anew_and_named(agents: Agents) -> None:
    agents.state.switch_quirk(USER_SWITCH, "engine-boots-stuck", {})
    await agents.read(USER_SWITCH)
    await agents.clock.advance(1_000)
    agents.reboot(USER_SWITCH)
    await agents.clock.advance(30)
    reading = await agents.read(USER_SWITCH)
    assert (reading.boots_stuck, reading.engine_id_changed) == (True, False)
    assert not (await agents.read(USER_SWITCH)).boots_stuck
    assert agents.state.counters["snmp.not_in_window.switch"] > 0


async def test_an_engine_that_becomes_another_one_is_met_anew_and_told_once(agents: Agents) -> None:
    agents.state.switch_quirk(USER_SWITCH, "engine-changes", {})
    assert not (await agents.read(USER_SWITCH)).engine_id_changed
    agents.reboot(USER_SWITCH)
    await agents.clock.advance(30)
    reading = await agents.read(USER_SWITCH)
    assert (reading.boots_stuck, reading.engine_id_changed) == (False, True)
    assert not (await agents.read(USER_SWITCH)).engine_id_changed


async def test_an_engine_that_counts_its_boots_is_not_called_stuck(agents: Agents) -> None:
    await agents.read(USER_SWITCH)
    agents.reboot(USER_SWITCH)
    await agents.clock.advance(30)
    reading = await agents.read(USER_SWITCH)
    assert (reading.boots_stuck, reading.restarted is not None) == (False, True)
