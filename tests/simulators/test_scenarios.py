"""Scenarios: the same from the same seed, told in the journal, and everything healed at their end."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from simulators.journal import Entry
from simulators.scenarios import SCENARIOS
from tests.simulators.street import Street

QUICK = {"seed": 3, "scale": 0.1, "pace": 0.01}


@pytest.fixture
async def control(street: Street) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{street.control_port}") as session:
        yield session


async def played(street: Street, control: aiohttp.ClientSession, name: str, **said: Any) -> list[Entry]:
    """Everything that a scenario did, from its begin to its end."""
    mark, ended = street.state.journal.last, asyncio.Event()
    street.state.journal.watchers.append(lambda entry: ended.set() if entry.detail == "ended" else None)
    async with control.post(f"/scenarios/{name}", json={**QUICK, **said}) as answer:
        assert answer.status == 200
    await asyncio.wait_for(ended.wait(), 60)
    return list(street.state.journal.since(mark))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_hits_somebody_says_what_it_does_and_heals_everything(
    street: Street, control: aiohttp.ClientSession, name: str
) -> None:
    entries = await played(street, control, name)

    assert [entry.detail for entry in entries if entry.what == "scenario"][:1] == ["begun"]
    assert len({entry.device for entry in entries if entry.device}) > 0
    assert {entry.scenario for entry in entries if entry.what in {"dark", "lit", "fault", "healed"}} == {name}
    assert not street.state.troubled
    assert all(street.state.at(street.city, device.address) == street.state.body(device) for device in street.city.devices)


@pytest.mark.parametrize("name", ["flapping", "clock-storm", "hostile"])
async def test_the_same_seed_does_the_same_to_the_same(street: Street, control: aiohttp.ClientSession, name: str) -> None:
    def hit(entries: list[Entry]) -> set[tuple[str, str, str]]:
        return {(entry.device, entry.what, entry.detail) for entry in entries if entry.what in {"dark", "fault"}}

    once, again = [hit(await played(street, control, name)) for _ in range(2)]
    assert once == again != hit(await played(street, control, name, seed=4))


async def test_one_scenario_runs_at_a_time_and_can_be_ended_early(street: Street, control: aiohttp.ClientSession) -> None:
    async def shown(method: str, path: str, **options: Any) -> tuple[int, Mapping[str, Any]]:
        async with control.request(method, path, **options) as answer:
            return answer.status, await answer.json()

    assert (await shown("POST", "/scenarios/hostile", json={"pace": 50.0}))[0] == 200
    assert (await shown("POST", "/scenarios/power-cut", json={}))[0] == 409
    assert (await shown("GET", "/scenarios"))[1]["running"] == "hostile"
    assert (await shown("DELETE", "/scenarios"))[1]["running"] is None
    assert not street.state.troubled


@pytest.mark.parametrize(("name", "body", "status"), [("none", {}, 404), ("hostile", {"pace": 0}, 400), ("hostile", {"sped": 1}, 400)])
async def test_a_scenario_that_cannot_be_is_refused(
    control: aiohttp.ClientSession, name: str, body: Mapping[str, Any], status: int
) -> None:
    async with control.post(f"/scenarios/{name}", json=body) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]
