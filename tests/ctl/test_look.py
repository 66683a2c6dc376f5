"""What `get`, `describe`, `events` and `top` show."""

import asyncio
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len

from gateway.ctl.client import AWAY_S, Client
from gateway.ctl.contexts import Target
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.live import Live, Seen
from gateway.ctl.output import Format, column, harmless, local, show, tell
from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Standing
from tests.api.house import CAMERA, House
from tests.ctl.running import gatewayctl, started


async def test_lists_are_tables_for_people_and_json_or_yaml_for_programs(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    table = await gatewayctl(house, "get", "devices", "--kind", "camera", role=Role.VIEWER)
    assert (table.code, table.err) == (0, "")
    heading, first, *_ = table.out.splitlines()
    assert heading.split()[:5] == ["ID", "KIND", "NAME", "STATE", "REASON"]
    assert first.split()[:5] == ["cam-1", "camera", "东门枪机", "down", "refused"]
    found = json.loads((await gatewayctl(house, "get", "devices", "--kind", "camera", "-o", "json")).out)
    assert [device["id"] for device in found] == ["cam-1", "cam-2", "cam-3"]
    found = yaml.safe_load((await gatewayctl(house, "get", "zones", "-o", "yaml")).out)
    assert found == [{"id": "z-1", "name": "全部", "speakers": ["spk-1", "spk-2"], "multicast": ""}]
    wide = await gatewayctl(house, "get", "devices", "-o", "wide", "--limit", "1")
    assert "127.8.0.1" in wide.out
    assert len(wide.out.splitlines()) == 2


@pytest.fixture
def in_china(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CST-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_china")
def test_people_read_times_of_their_own_zone_and_programs_those_of_the_api(capsys: pytest.CaptureFixture[str]):
    item = {"id": "F-1", "start": "2026-11-22T01:00:00Z", "spans": [{"end": "2026-11-21T20:30:00.250000-05:00"}]}
    show([item], [column("id"), column("start")], Format.TABLE)
    tell(item, Format.TABLE)
    told = capsys.readouterr().out
    assert (told.count("2026-11-22T09:00:00+08:00"), told.count("end: 2026-11-22T09:30:00.250000+08:00")) == (2, 1)
    for form in (Format.JSON, Format.YAML):
        show([item], [column("start")], form)
        assert "2026-11-22T01:00:00Z" in capsys.readouterr().out


@pytest.mark.usefixtures("in_china")
@pytest.mark.parametrize(
    "text", ["2026-11-22", "2026-11-22T09:00:00", "2026-13-22T09:00:00Z", "0001-01-01T00:00:00+14:00", "since 2026-11-22T01:00:00Z"]
)
def test_what_is_no_moment_stays_as_it_is(text: str):
    assert local(text) == text


async def test_columns_stand_under_their_headings_whatever_the_script(house: House):
    done = await gatewayctl(house, "get", "devices")
    heading, *rows = done.out.splitlines()
    at = heading.index("STATE")
    assert all(cell_len(row[: row.index("unknown")]) == at for row in rows)


async def test_one_thing_is_described_with_what_belongs_to_it(house: House):
    done = await gatewayctl(house, "describe", "devices", CAMERA)
    assert done.code == 0
    assert "127.8.0.1" in done.out
    found = json.loads((await gatewayctl(house, "describe", "groups", "g-1", "-o", "json")).out)
    assert found["street"] == "舜耕"


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (["get", "trees"], 2, "There are: devices"),
        (["get", "zones", "--kind", "camera"], 2, "gatewayctl get zones"),
        (["get", "devices", "--kind", "tree"], 2, "?kind"),
        (["describe", "devices", "nowhere"], 4, "gatewayctl get devices lists"),
        (["keys", "create", "--name", "x", "--role", "king"], 2, "/roles/0"),
        (["say", "--clip", "nofile.wav", "--speaker", "spk-1"], 2, "gatewayctl get clips"),
        (["say", "nofile.wav", "--speaker", "spk-1"], 2, "--clip nofile.wav"),
        (["say", "--speaker", "spk-1"], 2, "请勿占道经营"),
        (["say", "走", "--circle", "36,115"], 2, "LAT,LON,R"),
        (["say", "走", "--polygon", "36,115 36,116"], 2, "corners"),
        (["say", "走", "--polygon", "36,115 36,116 37"], 2, "corners"),
        (["say", "走", "--preset", "2"], 2, "--near"),
        (["broadcasts", "outcome", "b-9", "left"], 4, "list"),
        (["broadcasts", "outcome", "b-9", "gone"], 2, "/outcome"),
        (["say", "走"], 2, "--speaker"),
        (["import", "nofile.csv"], 2, "name right"),
        (["footage", "approve", "F-9"], 4, "permission"),
        (["nonsense"], 2, "No such command"),
        (["--server", "ftp://x", "get", "zones"], 2, "http://HOST"),
        (["--context", "moon", "get", "zones"], 3, "context set moon"),
        (["--server", "http://127.0.0.1:1", "get", "zones"], 3, "doctor"),
    ],
)
async def test_an_error_has_its_exit_code_and_the_next_thing_to_do(
    house: House, tmp_path: Path, arguments: list[str], code: int, hint: str
):
    done = await gatewayctl(house, *arguments, XDG_CONFIG_HOME=str(tmp_path))
    assert (done.code, done.out) == (code, "")
    assert hint in done.err
    assert "Traceback" not in done.err


async def test_what_a_device_calls_itself_cannot_steer_the_terminal():
    assert harmless("a\x1b[2Jb\x9b31mc\u202egpj\x07") == "a\ufffd[2Jb\ufffd31mc\ufffdgpj\ufffd"
    assert harmless("\u202e", escape=True) == "\\u202e"


async def test_top_and_events_show_how_things_are_and_what_happened(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    picture = await gatewayctl(house, "top", "--once")
    assert picture.code == 0
    assert ["camera", "2", "0", "0", "1"] in [line.split() for line in picture.out.splitlines()]
    assert ["1", "refused"] in [line.split() for line in picture.out.splitlines()]
    await house.emit(house.event("cam-1", after="down"), house.event("cam-2", after="up"), house.event("x", "other.type"))
    done = await gatewayctl(house, "events", "--after", "1", "--types", "device.*", "-o", "json")
    assert [json.loads(line)["subject"] for line in done.out.splitlines()] == ["cam-2"]


async def test_events_are_a_line_each_for_a_person(house: House):
    forged = house.event("cam-2", after="up", comment="well\n12:00:00  9  device.state  cam-1  after=down")
    await house.emit(house.event("cam-1", after="down", since="2026-07-01T00:10:00+00:00"), forged)
    done = await gatewayctl(house, "events", TZ="CST-8")
    assert "since=2026-07-01T08:10:00+08:00" in done.out
    assert [line.split()[1:5] for line in done.out.splitlines()] == [
        ["1", "device.state", "cam-1", "after=down"],
        ["2", "device.state", "cam-2", "after=up"],
    ]


@asynccontextmanager
async def breaking_streams(*, events: int) -> AsyncIterator[Client]:
    """Of a gateway that resets every stream after so many events, which count on from the one that was asked for."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        after = re.search(rb"(?i)last-event-id: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(events):
            writer.write(f'event: told\ndata: {{"cursor": {int(after[1] if after else 0) + 1 + number}}}\n\n'.encode())
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    async with server:
        yield Client(Target(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "gwk_000000000000_x"))


async def test_events_go_on_from_the_last_one_where_their_stream_breaks() -> None:
    async with breaking_streams(events=2) as client:
        told = await asyncio.to_thread(lambda: list(itertools.islice(client.events(after=7), 5)))
    assert [event["cursor"] for event in told] == [8, 9, 10, 11, 12]


@asynccontextmanager
async def restarted(*, away: int) -> AsyncIterator[tuple[Client, list[float]]]:
    """Of a gateway that ends its stream after an event and is away until the client has waited `away` times; how long each time."""
    waited: list[float] = []
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == away:
            serve(socket.create_server(address), cursor=8)

    def serve(door: socket.socket, *, cursor: int) -> None:
        threading.Thread(target=answer, args=(door, cursor)).start()

    def answer(door: socket.socket, cursor: int) -> None:
        with door, door.accept()[0] as peer:
            door.close()
            peer.recv(65_536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            peer.sendall(head + f'event: told\ndata: {{"cursor": {cursor}}}\n\n'.encode())

    serve(listening, cursor=7)
    yield Client(Target(f"http://127.0.0.1:{address[1]}", "gwk_000000000000_x"), pause=wait), waited


async def test_events_go_on_when_the_gateway_has_started_anew() -> None:
    async with restarted(away=3) as (client, waited):
        told = await asyncio.to_thread(lambda: list(itertools.islice(client.events(after=6), 2)))
    assert [event["cursor"] for event in told] == [7, 8]
    assert waited == [1.0] * 3


async def test_a_gateway_that_does_not_come_back_is_told_to_be_away() -> None:
    async with restarted(away=0) as (client, waited):
        with pytest.raises(Failed, match="cannot be reached"):
            await asyncio.to_thread(lambda: list(itertools.islice(client.events(after=6), 2)))
    assert sum(waited) == AWAY_S


async def test_a_stream_that_breaks_before_the_first_event_has_no_place_to_go_on_from() -> None:
    async with breaking_streams(events=0) as client:
        with pytest.raises(Failed, match="The event stream broke") as caught:
            await asyncio.to_thread(lambda: next(client.events()))
    assert caught.value.exit_code is Exit.ENVIRONMENT


async def test_top_names_the_worst_groups_first(house: House):
    for device, state in (("cam-1", HealthState.DOWN), ("spk-1", HealthState.DEGRADED), ("cam-3", HealthState.DOWN)):
        house.services.board.put(Standing(DeviceId(device), state, house.clock.now(), "timeout"))
    picture = (await gatewayctl(house, "top", "--once")).out.splitlines()
    at = picture.index("worst groups")
    assert [line.split() for line in picture[at + 1 : at + 3]] == [
        ["g-1", "1", "down,", "1", "degraded", "of", "4", "东门"],
        ["g-2", "1", "down", "of", "2", "广场"],
    ]


async def test_a_picture_is_kept_true_by_events_and_says_when_it_is_not(house: House):
    live = Live("x", "2026-01-01T00:00:00Z", 0, {"c": Seen("camera", "g", "up", "")}, {"g": "G"})
    event = {
        "type": "device.state",
        "subject": "c",
        "cursor": 1,
        "at": "2026-01-01T00:00:01Z",
        "data": {"after": "down", "reason": "refused"},
    }
    assert live.take(event)
    assert (live.counts()["camera"]["down"], live.reasons(), live.cursor) == (1, [("refused", 1)], 1)
    told = {"id": "I-1", "state": "open", "severity": "major", "opened_at": "2026-01-01T00:00:00Z"}
    worse = {**told, "id": "I-2", "severity": "critical"}
    for number, incident in enumerate((told, worse)):
        assert live.take({**event, "type": "incident.opened", "cursor": 2 + number, "data": {"incident": incident}})
    assert [one["id"] for one in live.open_incidents()] == ["I-2", "I-1"]
    assert live.take({**event, "type": "incident.resolved", "cursor": 4, "data": {"incident": {**worse, "state": "resolved"}}})
    assert [one["id"] for one in live.open_incidents()] == ["I-1"]
    assert not live.take({**event, "subject": "new", "cursor": 5})


async def test_what_is_watched_is_shown_again_when_it_changes(house: House):
    process = await started(house, "get", "devices", "--state", "down", "--watch", "-o", "table")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert (await process.stdout.readline()).split()[:2] == [b"ID", b"KIND"]
            house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
            await house.emit(house.event("cam-2", after="up"), house.event(CAMERA, after="down"))
            assert (await process.stdout.readline()).split()[3:5] == [b"down", b"refused"]
            house.services.board.put(Standing(CAMERA, HealthState.UP, house.clock.now()))
            await house.emit(house.event(CAMERA, after="up"))
            assert b" up " in await process.stdout.readline()
    finally:
        process.terminate()
        await process.communicate()
    refused = await gatewayctl(house, "get", "zones", "--watch")
    assert (refused.code, "devices" in refused.err) == (2, True)
