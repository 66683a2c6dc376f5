"""Q26: numbers with their unit as text, a clock as text of local time, and GETBULK that is never answered."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.quirks import Quirk, Quirks
from gateway.drivers.snmp.reference import PysnmpEngine
from simulators.city import SimDevice
from tests.quirks.agents import CAMERA, SPEAKER, SWITCH, USER_SWITCH, Agents, answering

pytestmark = pytest.mark.quirk("Q26")
IF_STATUS = "1.3.6.1.2.1.2.2.1.8"
DROPPED = "snmp.bulk_dropped.switch"


@pytest.fixture
async def agents() -> AsyncIterator[Agents]:
    async with answering() as running:
        yield running


async def test_numbers_with_their_unit_as_text_are_numbers(agents: Agents) -> None:
    for one in (CAMERA, SPEAKER):
        plain = (await agents.read(one)).readings.facts["sensors"]
        agents.state.switch_quirk(one, "text-numbers", {})
        texts = (await agents.read(one)).readings.facts["sensors"]
        for name in ("cpu", "memory_gb", "memory_used") if one is CAMERA else ("volume",):
            assert isinstance(texts[name], int | float)
            assert texts[name] == plain[name]


async def test_a_clock_as_text_is_local_time_and_nothing_else(agents: Agents) -> None:
    camera = replace(CAMERA, profile="samsung-ipolis")
    assert (await agents.read(camera)).readings.facts["clock"] == "2026-01-01T08:00:00+08:00"
    agents.state.switch_quirk(CAMERA, "local-clock-text", {})
    assert (await agents.read(camera)).readings.facts["clock"] == "2026-01-01T08:00:00"
    assert (await agents.read(CAMERA)).readings.facts["clock"] == "2026-01-01T08:00:00"


@pytest.mark.parametrize(("one", "tries"), [(SWITCH, 3), (USER_SWITCH, 2)], ids=["v2c", "v3"])
async def test_a_device_that_drops_bulk_is_walked_step_by_step_and_remembered(agents: Agents, one: SimDevice, tries: int) -> None:
    whole = await agents.engine.walk(agents.target(SWITCH), IF_STATUS, timeout_s=5)
    agents.state.switch_quirk(one, "drops-bulk", {})
    for _ in range(2):
        rows = await agents.engine.walk(agents.target(one), IF_STATUS, timeout_s=5)
        assert [index for index, _ in rows] == [index for index, _ in whole]
    dropped = agents.state.counters[DROPPED]
    assert dropped == 2 * tries  # two walks, each datagram sent so often
    await agents.engine.walk(agents.target(one), IF_STATUS, timeout_s=5)
    assert agents.state.counters[DROPPED] == dropped


async def test_a_profile_that_says_so_spares_the_device_every_bulk(agents: Agents) -> None:
    agents.state.switch_quirk(SWITCH, "drops-bulk", {})
    target = replace(agents.target(SWITCH), quirks=Quirks({"drops-bulk": Quirk("Q26", "drops-bulk")}))
    reference = PysnmpEngine(try_s=0.2)
    for engine in (agents.engine, reference):
        assert len(await engine.walk(target, IF_STATUS, timeout_s=5)) == 8
    await reference.close()
    assert agents.state.counters[DROPPED] == 0


async def test_the_reference_engine_learns_it_likewise(agents: Agents) -> None:
    agents.state.switch_quirk(SWITCH, "drops-bulk", {})
    engine = PysnmpEngine(try_s=0.2)
    assert len(await engine.walk(agents.target(SWITCH), IF_STATUS, timeout_s=5)) == 8
    await engine.close()
