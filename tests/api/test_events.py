"""The event stream on a real socket: from a cursor, filtered, with heartbeats, honest about gaps."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import delete, update

from gateway.api.app import SHUTDOWN_S
from gateway.api.routes.events import HEARTBEAT_S, TYPES
from gateway.domain.access import Role
from gateway.storage.events import event_head, events
from gateway.storage.store import Tx
from gateway.storage.writer import Lane
from tests.api.house import STREAMS, House, open_house


class Listener:
    """Reads blocks of a stream as a browser does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def block(self) -> dict[str, str]:
        """The next block: its fields by name; comments under ''."""
        fields: dict[str, str] = {}
        while line := (await self._answer.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        return fields

    async def event(self) -> dict[str, str]:
        """The next block that has data."""
        while "data" not in (block := await self.block()):
            pass
        return block


@asynccontextmanager
async def listening(house: House, query: str = "", *, last: int | None = None) -> AsyncIterator[Listener]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with house.call("GET", f"/v1/events{query}", role=Role.VIEWER, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        listener = Listener(answer)
        await listener.block()
        yield listener


async def test_a_listener_hears_what_happens_after_it_came(house: House):
    await house.emit(house.event("cam-0"))
    async with listening(house) as listener:
        await house.emit(house.event("cam-1", after="down"))
        block = await listener.event()
    body = json.loads(block["data"])
    assert (block["event"], block["id"], body["subject"], body["data"]) == ("device.state", "2", "cam-1", {"after": "down"})
    assert body["cursor"] == 2
    assert body["at"].endswith("Z")


async def test_a_listener_that_comes_back_misses_nothing_and_hears_nothing_twice(house: House):
    await house.emit(*(house.event(f"cam-{n}") for n in range(10)))
    async with listening(house, "?after=2", last=4) as listener:
        heard = [json.loads((await listener.event())["data"])["cursor"] for _ in range(6)]
    assert heard == [5, 6, 7, 8, 9, 10]


async def test_a_filter_lets_only_its_types_through(house: House):
    async with listening(house, "?types=broadcast.*,device.state") as listener:
        await house.emit(house.event("a", "inventory.imported"), house.event("b", "broadcast.delivery"), house.event("c", "device.state"))
        heard = [json.loads((await listener.event())["data"])["subject"] for _ in range(2)]
    assert heard == ["b", "c"]


async def test_a_quiet_stream_beats_and_moves_the_cursor_past_what_it_filtered(house: House):
    async with listening(house, "?types=footage.*") as listener:
        await house.emit(house.event(), house.event())
        for _ in range(50):  # the stream takes the events in before the clock moves
            await house.json("GET", "/v1/session")
        await house.advance(HEARTBEAT_S)
        block = await listener.block()
    assert block == {"": "still here", "id": "2"}


async def test_text_with_line_breaks_cannot_forge_an_event(house: House):
    async with listening(house) as listener:
        await house.emit(house.event("x\n\nevent: forged\ndata: {}\n\n", note="a\r\n\r\nid: 99\n\n"))
        block = await listener.event()
    assert block["event"] == "device.state"
    assert json.loads(block["data"])["data"]["note"] == "a\r\n\r\nid: 99\n\n"


async def test_a_cursor_of_another_log_and_one_that_is_no_number_are_refused(house: House):
    status, problem = await house.json("GET", "/v1/events", headers={"Last-Event-ID": "12"})
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:cursor-ahead")
    status, _ = await house.json("GET", "/v1/events", headers={"Last-Event-ID": "१२"})
    assert status == 422


async def test_listeners_are_bounded_and_their_places_come_free(house: House):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        house.session, old = session, house.session
        answers = [await house.call("GET", "/v1/events") for _ in range(STREAMS)]
        status, problem = await house.json("GET", "/v1/events")
        assert (status, problem["type"]) == (503, "urn:city-gateway:problem:overloaded")
        for answer in answers:
            answer.close()
        house.session = old
    for _ in range(5):
        await house.emit(house.event())
    for _ in range(200):
        async with house.call("GET", "/v1/events") as answer:
            if answer.status == 200:
                break
    assert answer.status == 200


async def test_a_stream_ends_at_once_when_the_door_closes(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template) as house:
        answer = await house.call("GET", "/v1/events")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < SHUTDOWN_S
    answer.close()


async def test_a_listener_that_retention_has_passed_is_told_so(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template) as before:
        await before.emit(*(before.event(str(n)) for n in range(5)))

        async def forget(tx: Tx) -> None:
            await tx.conn.execute(delete(events).where(events.c.cursor <= 3))
            await tx.conn.execute(update(event_head).values(floor=3))

        await before.services.store.writer.write(forget, lane=Lane.STOP)
    async with open_house(tmp_path, template) as house:
        status, problem = await house.json("GET", "/v1/events", headers={"Last-Event-ID": "1"})
        assert (status, problem["type"]) == (410, "urn:city-gateway:problem:cursor-too-old")
        async with listening(house, last=3) as listener:
            assert json.loads((await listener.event())["data"])["cursor"] == 4


@pytest.mark.parametrize("types", ["nope", "device.state,nope", "nope.*", "device"])
async def test_a_type_that_there_is_not_is_refused_rather_than_never_heard(house: House, types: str):
    status, problem = await house.json("GET", f"/v1/events?types={types}")
    assert (status, problem["errors"][0]["pointer"]) == (422, "?types")
    assert "device.state" in problem["errors"][0]["detail"]


def test_every_type_that_the_gateway_gives_can_be_asked_for():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / "gateway").rglob("*.py"))
    given = set(re.findall(r'(?:NewEvent\(|EVENT\b[^=\n]*= |_note\(tx, call, )"([a-z.-]+)"', sources))
    assert given == TYPES
