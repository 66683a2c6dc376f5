"""Q24: the uptime is not the device's: it wraps after 497 days, or is its agent's, and snmpEngineTime may be nonsense."""

from collections.abc import AsyncIterator

import pytest

from tests.quirks.agents import SPEAKER, SWITCH, USER_SWITCH, Agents, answering

pytestmark = pytest.mark.quirk("Q24")


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    async with answering() as running:
        yield running


async def test_an_uptime_that_wraps_after_497_days_is_no_restart(agents: Agents) -> None:
    agents.state.switch_quirk(SWITCH, "uptime-wraps", {"seconds": 60})
    before = (await agents.read(SWITCH)).readings.facts["sensors"]["uptime"]
    await agents.clock.advance(90)
    reading = await agents.read(SWITCH)
    assert reading.readings.facts["sensors"]["uptime"] == 30 < before
    assert reading.restarted is None


async def test_an_agent_that_starts_anew_on_a_device_that_runs_on_is_no_restart(agents: Agents) -> None:
    agents.state.switch_quirk(SPEAKER, "agent-restarts", {"seconds": 60})
    told = []
    for _ in range(5):
        reading = await agents.read(SPEAKER)
        told.append(reading.readings.facts["sensors"]["uptime"])
        assert reading.restarted is None
        await agents.clock.advance(35)
    assert told != sorted(told)


async def test_a_negative_engine_time_says_nothing_and_breaks_nothing(agents: Agents) -> None:
    agents.state.switch_quirk(USER_SWITCH, "engine-time-negative", {})
    agents.state.switch_quirk(USER_SWITCH, "uptime-wraps", {"seconds": 60})
    assert (await agents.read(USER_SWITCH)).restarted is None
    await agents.clock.advance(90)
    assert (await agents.read(USER_SWITCH)).restarted is None


@pytest.mark.parametrize("switch", ["", "uptime-wraps", "agent-restarts", "engine-time-negative"])
async def test_a_restart_is_told_once_and_kept_as_a_fact(agents: Agents, switch: str) -> None:
    if switch:
        agents.state.switch_quirk(SWITCH, switch, {"seconds": 6_000})
    assert (await agents.read(SWITCH)).restarted is None
    await agents.clock.advance(20)
    agents.reboot(SWITCH)
    await agents.clock.advance(40)
    reading = await agents.read(SWITCH)
    assert reading.restarted is not None
    assert (agents.clock.now() - reading.restarted).total_seconds() == pytest.approx(40, abs=1)
    again = await agents.read(SWITCH)
    assert again.restarted is None
    assert again.readings.facts["restarted"] == reading.restarted.isoformat(timespec="seconds")
