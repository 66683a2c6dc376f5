"""Replay of footage over real sockets, held against the ONVIF Streaming Specification's chapter "Playback"."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import av
import pytest

from simulators import footage
from simulators.footage import Span
from simulators.views import View
from tests.simulators.block import CITY, NOW, RECORDER, Block, device, rtsp_block
from tests.simulators.rtsp_client import Answer, Client, Packet, Picture, pictures
from tests.waiting import until

NOON = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
FAST = {"Require": "onvif-replay", "Rate_Control": "no"}
START = b"\x00\x00\x00\x01"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block() as running:
        yield running


def clock(start: datetime, end: datetime | None = None) -> str:
    def stamp(when: datetime | None) -> str:
        return when.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z" if when else ""

    return f"clock={stamp(start)}-{stamp(end)}"


@asynccontextmanager
async def replaying(block: Block, token: str = "rec-01", **play: str) -> AsyncIterator[tuple[Client, Answer]]:
    """A connection on which PLAY was answered."""
    async with block.client(RECORDER, f"replay/{token}") as client:
        await client.ask("DESCRIBE")
        session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")).session
        yield client, await client.ask("PLAY", Session=session, **play)


async def replay(block: Block, start: datetime, end: datetime, token: str = "rec-01", **more: str) -> list[Picture]:
    async with replaying(block, token, Range=clock(start, end), **FAST, **more) as (client, answer):
        assert answer.status == 200
        return pictures(await client.until_bye())


def times(found: list[Picture]) -> list[datetime]:
    return [picture.first.time for picture in found]


def a_gap() -> Span:
    """A gap of the gappy channel, the first of yesterday."""
    return footage.gaps(RECORDER, RECORDER.channels[1], Span(NOW - 86_400, NOW))[0]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_a_range_comes_whole_with_true_times_and_ends_with_bye(block: Block) -> None:
    found = await replay(block, NOON, NOON + timedelta(seconds=30))
    assert times(found) == [NOON + timedelta(milliseconds=80 * index) for index in range(375)]
    assert {picture.first.profile for picture in found} == {0xABAC}


async def test_the_footage_decodes_to_its_last_picture(block: Block) -> None:
    decoder = av.CodecContext.create("h264", "r")
    found = await replay(block, NOON, NOON + timedelta(seconds=12))
    frames = [frame for picture in found for frame in decoder.decode(av.Packet(b"".join(START + nal for nal in picture.nals)))]
    assert len(frames + decoder.decode(None)) == 150


async def test_the_same_moment_is_the_same_footage_whenever_asked(block: Block) -> None:
    first = await replay(block, NOON, NOON + timedelta(seconds=4))
    block.clock.advance(7 * 3600)
    again = await replay(block, NOON, NOON + timedelta(seconds=4))
    assert [picture.nals for picture in first] == [picture.nals for picture in again]


async def test_it_begins_at_the_clean_point_at_or_before_the_start(block: Block) -> None:
    found = await replay(block, NOON + timedelta(seconds=3.5), NOON + timedelta(seconds=6))
    assert times(found)[0] == NOON + timedelta(seconds=2)
    assert found[0].nals[-1][0] & 31 == 5
    assert times(found)[-1] == NOON + timedelta(seconds=5.92)


async def test_clean_points_are_flagged_and_nothing_else_is(block: Block) -> None:
    found = await replay(block, NOON, NOON + timedelta(seconds=6))
    flags = [picture.first.flags for picture in found]
    assert [index for index, flag in enumerate(flags) if flag] == [0, 25, 50]
    assert set(flags) == {"C", ""}


async def test_the_cseq_of_play_is_in_every_extension(block: Block) -> None:
    async with replaying(block, Range=clock(NOON, NOON + timedelta(seconds=1)), **FAST) as (client, _):
        cseq = client.cseq
        assert {picture.first.extension[9] for picture in pictures(await client.until_bye())} == {cseq}


async def test_key_pictures_name_the_camera_and_the_moment(block: Block) -> None:
    (first, *_) = await replay(block, NOON, NOON + timedelta(seconds=1))
    assert f"{RECORDER.channels[0].camera} {int(NOON.timestamp())}.000".encode() in b"".join(first.nals)


# -- gaps and ends ----------------------------------------------------------------------------------------------------


async def test_a_gap_is_flagged_before_and_after_and_the_time_jumps_over_it(block: Block) -> None:
    gap = a_gap()
    found = await replay(block, moment(gap.start - 10), moment(gap.end + 10), token="rec-02")
    at = next(index for index, picture in enumerate(found) if "E" in picture.first.flags)
    last, following = found[at].first, found[at + 1].first
    assert (last.flags, following.flags) == ("E", "CD") or (last.flags, following.flags) == ("CE", "CD")
    assert moment(gap.start) - timedelta(milliseconds=80) <= last.time < moment(gap.start)
    assert moment(gap.end) <= following.time < moment(gap.end + 2)
    jump = (following.time - last.time).total_seconds()
    assert (following.timestamp - last.timestamp) % 2**32 == round(jump * 90_000) % 2**32
    assert sum("E" in picture.first.flags for picture in found) == sum("D" in picture.first.flags for picture in found) == 1


async def test_a_start_inside_a_gap_begins_with_the_first_clean_point_after_it(block: Block) -> None:
    gap = a_gap()
    found = await replay(block, moment(gap.start + 5), moment(gap.end + 6), token="rec-02")
    assert moment(gap.end) <= times(found)[0] < moment(gap.end + 2)
    assert found[0].first.flags == "C"


async def test_a_range_with_nothing_in_it_is_457(block: Block) -> None:
    gap = a_gap()
    for window in (
        clock(moment(gap.start + 3), moment(gap.start + 13)),
        clock(moment(NOW + 60), moment(NOW + 90)),
        clock(NOON, NOON - timedelta(minutes=1)),
        "clock=x-y",
        "smpte=0-",
    ):
        async with replaying(block, "rec-02", Range=window, **FAST) as (_, answer):
            assert answer.status == 457


async def test_the_end_of_the_footage_is_terminal(block: Block) -> None:
    found = await replay(block, moment(NOW - 4), moment(NOW + 60))
    assert found[-1].first.flags == "T"
    assert times(found)[-1] == moment(NOW) - timedelta(milliseconds=80)


async def test_a_recorder_that_ignores_the_end_goes_on(block: Block) -> None:
    stubborn = device("recorder", 9, channels=RECORDER.channels, retention_days=1, quirks={"ignores-range-end": {}})
    async with (
        rtsp_block(type(CITY)(1, 0, 0, 0, (), (*CITY.devices, stubborn))) as other,
        other.client(stubborn, "replay/rec-01") as client,
    ):
        session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")).session
        await client.ask("PLAY", Session=session, Range=clock(moment(NOW - 10), moment(NOW - 5)), **FAST)
        assert len(pictures(await client.until_bye())) == 125


async def test_nobody_waits_through_a_gap_when_the_server_sets_the_pace(block: Block) -> None:
    """The playback goes on after the gap as if there were none, in timestamps too; only the extension tells."""
    month = footage.gaps(RECORDER, RECORDER.channels[1], Span(NOW - 20 * 86_400, NOW))
    gap = next(gap for gap in month if gap.start % 2 == 1)
    started = asyncio.get_running_loop().time()
    async with replaying(block, "rec-02", Range=clock(moment(gap.start - 1), moment(gap.end + 2.5))) as (client, _):
        found = pictures(await client.until_bye())
    assert gap.end - gap.start >= 30
    assert asyncio.get_running_loop().time() - started < 30
    assert {(after.first.timestamp - before.first.timestamp) % 2**32 for before, after in itertools.pairwise(found)} == {7200}
    assert times(found)[-1] - times(found)[0] > timedelta(seconds=gap.end - gap.start)


# -- how it is asked for ----------------------------------------------------------------------------------------------


async def test_intra_sends_key_pictures_alone_and_no_closer_than_asked(block: Block) -> None:
    found = await replay(block, NOON, NOON + timedelta(seconds=20), Frames="intra")
    assert times(found) == [NOON + timedelta(seconds=2 * index) for index in range(10)]
    found = await replay(block, NOON, NOON + timedelta(seconds=20), Frames="intra/4000")
    assert times(found) == [NOON + timedelta(seconds=4 * index) for index in range(5)]


async def test_without_rate_control_it_is_much_faster_than_real_time(block: Block) -> None:
    started = asyncio.get_running_loop().time()
    assert len(await replay(block, NOON, NOON + timedelta(seconds=300))) == 3750
    assert asyncio.get_running_loop().time() - started < 100


async def test_with_rate_control_it_comes_in_real_time(block: Block) -> None:
    started = asyncio.get_running_loop().time()
    async with replaying(block, Range=clock(NOON, NOON + timedelta(seconds=0.6))) as (client, _):
        found = pictures(await client.until_bye())
    assert len(found) == 8
    assert asyncio.get_running_loop().time() - started > 0.5


async def test_play_says_what_it_plays(block: Block) -> None:
    async with replaying(block, Range=clock(NOON + timedelta(seconds=1), NOON + timedelta(seconds=5)), **FAST) as (client, answer):
        first = pictures(await client.until_bye())[0].first
    assert answer.headers["range"] == "clock=20260501T120000.000Z-20260501T120005.000Z"
    assert answer.headers["rtp-info"].endswith(f"/replay/rec-01/trackID=0;seq={first.sequence};rtptime={first.timestamp}")


@pytest.mark.parametrize("asked", [{"Range": "npt=0.000-"}, {}], ids=["npt", "none"])
async def test_ordinary_players_begin_with_the_oldest_footage(block: Block, asked: dict[str, str]) -> None:
    async with replaying(block, **asked) as (client, answer):
        assert answer.status == 200
        _, data = await client.frame()
    assert Packet.parse(data).time == moment(NOW - 30 * 86_400)


async def test_immediate_cancels_what_is_playing_and_marks_the_break(block: Block) -> None:
    async with replaying(block, Range=clock(NOON), Require="onvif-replay") as (client, first):
        await client.frame()
        later = clock(NOON + timedelta(hours=1), NOON + timedelta(hours=1, seconds=1))
        await client.ask("PLAY", Session=first.session, Range=later, Immediate="yes", **FAST)
        cseq = client.cseq
        client.frames.clear()
        found = pictures(await client.until_bye())
    assert times(found)[0] == NOON + timedelta(hours=1)
    assert found[0].first.flags == "CD"
    assert found[0].first.extension[9] == cseq


async def test_a_paused_replay_goes_on_where_it_was(block: Block) -> None:
    async with replaying(block, Range=clock(NOON, NOON + timedelta(seconds=1))) as (client, first):
        packets = [Packet.parse((await client.frame())[1])]
        assert (await client.ask("PAUSE", Session=first.session)).status == 200
        assert (await client.ask("PLAY", Session=first.session)).status == 200
        packets = [*packets, *(await client.until_bye())]
    assert times(pictures(packets)) == [NOON + timedelta(milliseconds=80 * index) for index in range(13)]


async def test_only_so_many_replays_at_once(block: Block) -> None:
    clients = [
        await Client.connect(RECORDER.address, block.port, "replay/rec-01", (RECORDER.username, RECORDER.password)) for _ in range(9)
    ]
    answers = [await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1") for client in clients]
    assert [answer.status for answer in answers] == [200] * 8 + [453]
    await clients[0].ask("TEARDOWN", Session=answers[0].session)
    assert (await clients[8].ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")).status == 200
    for client in clients:
        await client.close()


async def test_an_unknown_recording_is_404(block: Block) -> None:
    async with block.client(RECORDER, "replay/rec-99") as client:
        assert (await client.ask("DESCRIBE")).status == 404


async def test_replay_over_udp(block: Block) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        async with block.client(RECORDER, "replay/rec-01") as client:
            session = (await client.ask("SETUP", "trackID=0", Transport=f"RTP/AVP;unicast;client_port={port}-{port + 1}")).session
            await client.ask("PLAY", Session=session, Range=clock(NOON, NOON + timedelta(seconds=2)), **FAST)
            packets: list[Packet] = []
            async with asyncio.timeout(60):
                while sum(packet.marker for packet in packets) < 25:
                    packets.append(Packet.parse(await loop.sock_recv(sock, 2048)))
    assert times(pictures(packets)) == [NOON + timedelta(milliseconds=80 * index) for index in range(25)]


# -- back-pressure ----------------------------------------------------------------------------------------------------


async def test_a_client_that_stops_reading_holds_the_replay_up_instead_of_filling_memory(block: Block) -> None:
    """A day of footage is asked for and not read: what waits stays near the high-water mark; read on, it goes on without a hole."""
    async with replaying(block, Range=clock(NOON - timedelta(days=1), NOON), **FAST) as (client, _):
        (connection,) = block.server.connections
        await until(lambda: connection.blocked, within_s=60)
        (session,) = block.server.book.by_id.values()
        assert session.replay is not None
        position = session.replay.position_s
        for _ in range(100):
            await asyncio.sleep(0)
        assert session.replay.position_s == position
        assert connection.transport.get_write_buffer_size() < 2 * 256 * 1024
        frames = [await client.frame() for _ in range(40_000)]
    packets = [Packet.parse(data) for channel, data in frames if channel == 0]
    assert all((after.sequence - before.sequence) % 65536 == 1 for before, after in itertools.pairwise(packets))
    assert max(packet.time for packet in packets if packet.profile).timestamp() > (position or 0)


async def test_footage_of_two_cameras_differs(block: Block) -> None:
    one, other = [await replay(block, NOON, NOON + timedelta(seconds=1), token=token) for token in ("rec-01", "rec-02")]
    assert one[0].nals[-2:] != other[0].nals[-2:]


# -- direction, speed, order ------------------------------------------------------------------------------------------

BACKWARDS = device("recorder", 8, vendor="Dahua", channels=RECORDER.channels, retention_days=30)


async def test_a_recorder_that_says_so_plays_backwards_group_by_group() -> None:
    async with (
        rtsp_block(type(CITY)(1, 0, 0, 0, (), (*CITY.devices, BACKWARDS))) as other,
        other.client(BACKWARDS, "replay/rec-01") as client,
    ):
        session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")).session
        window = clock(NOON + timedelta(seconds=6), NOON)
        answer = await client.ask("PLAY", Session=session, Range=window, Scale="-1.0", **FAST)
        found = pictures(await client.until_bye())
    assert (answer.headers["scale"], answer.headers["range"]) == ("-1.0", "clock=20260501T120006.000Z-20260501T120000.000Z")
    grouped = [NOON + timedelta(seconds=second, milliseconds=80 * index) for second in (4, 2, 0) for index in range(25)]
    assert times(found) == grouped
    assert [picture.first.flags for picture in found] == (["CD"] + [""] * 24) * 3


async def test_a_recorder_that_does_not_refuses_a_range_that_runs_backwards(block: Block) -> None:
    async with replaying(block, Range=clock(NOON + timedelta(seconds=6), NOON), Scale="-1.0", **FAST) as (_, answer):
        assert answer.status == 457


async def test_scale_is_the_speed_when_the_server_sets_the_pace(block: Block) -> None:
    started = asyncio.get_running_loop().time()
    async with replaying(block, Range=clock(NOON, NOON + timedelta(seconds=8)), Scale="16.0") as (client, answer):
        assert len(pictures(await client.until_bye())) == 100
    assert answer.headers["scale"] == "16.0"
    assert asyncio.get_running_loop().time() - started < 7.5


async def test_without_immediate_a_second_range_waits_for_the_first(block: Block) -> None:
    async with replaying(block, Range=clock(NOON, NOON + timedelta(seconds=0.4))) as (client, first):
        later = clock(NOON + timedelta(hours=1), NOON + timedelta(hours=1, seconds=0.4))
        await client.ask("PLAY", Session=first.session, Range=later)
        found = pictures(await client.until_bye())
    assert times(found) == [NOON + timedelta(hours=hour, milliseconds=80 * index) for hour in (0, 1) for index in range(5)]
    assert found[5].first.flags == "CD"


async def test_footage_keeps_what_the_camera_saw_at_that_moment(block: Block) -> None:
    camera = CITY.by_id(RECORDER.channels[0].camera)
    assert camera is not None
    block.state.look(camera, View.BLACK)
    block.clock.advance(60)
    block.state.look(camera, View.STREET)
    block.clock.advance(60)
    dark, street = [await replay(block, moment(NOW + at), moment(NOW + at + 2)) for at in (20, 80)]
    assert sum(map(len, dark[0].nals)) < sum(map(len, street[0].nals)) / 2
