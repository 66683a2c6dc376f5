import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace as with_changes
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.drivers.base import MediaPacket, Span
from gateway.drivers.rtsp.probe import first_packet
from gateway.drivers.rtsp.replay import Replay, ReplayEnd, ReplayManner, clock_time, replay
from gateway.errors import Busy, DeadlineExceeded, DeviceError, NotSupported, ProtocolError, Unreachable
from tests.drivers.rtsp.peer import REPLAY_SDP, Asked, Login, Peer, Reply, frame, listening, rtp
from tests.waiting import PATIENCE_S, until

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
WINDOW = Span(START, START + timedelta(seconds=10))
NTP = (START - datetime(1900, 1, 1, tzinfo=UTC)).total_seconds()
CLEAN, END, TERMINAL, GAP = 0x80, 0x40, 0x10, 0x20
QUICK = ReplayManner(stall_s=0.2, quiet_s=0.1)
LONGER_THAN_PATIENCE_S = 2 * PATIENCE_S

Script = Callable[[Peer], Awaitable[None]]


def sends(*frames: bytes, hang_up: bool = False) -> Script:
    async def after_play(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.write(b"".join(frames))
        if hang_up:
            peer.writer.close()

    return after_play


def picture(second: float, *, flags: int = CLEAN, sequence: int = 0) -> bytes:
    return frame(0, rtp(sequence, int(second * 90_000), b"\x65picture", ntp=NTP + second, flags=flags))


GOODBYE = bytes.fromhex("80c900010000000781cb000100000007")


def bye() -> bytes:
    return frame(1, GOODBYE)


async def collect(peer: Peer, manner: ReplayManner = QUICK) -> tuple[list[tuple[int, MediaPacket]], Replay]:
    session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, manner=manner)
    try:
        return [item async for there in session.arrivals() for item in there], session
    finally:
        await session.close()


async def test_the_request_asks_for_the_window_at_full_speed() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(20)))) as peer:
        await collect(peer)
        assert peer.methods() == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
        assert {asked.headers.get("require") for asked in peer.asked} == {"onvif-replay"}
        play = peer.last("PLAY").headers
        assert play["range"] == "clock=20260301T080000.000Z-20260301T080010.000Z"
        assert (play["rate-control"], play["immediate"]) == ("no", "yes")


async def test_a_recorder_that_says_to_know_no_session_and_plays_on_is_listened_to() -> None:
    def brief(peer: Peer, asked: Asked) -> Reply:
        return Reply(headers={"Session": f"{peer.session};timeout=2", "Transport": asked.headers["transport"]})

    def forget(peer: Peer, asked: Asked) -> bytes:
        return f"RTSP/1.0 454 Session Not Found\r\nCSeq: {asked.headers['cseq']}\r\n\r\n".encode()

    def play_on(peer: Peer, asked: Asked) -> bytes:
        return picture(1, sequence=1) + picture(20)

    script = {"SETUP": brief, "GET_PARAMETER": forget, "OPTIONS": play_on}
    async with listening(Peer(sdp=REPLAY_SDP, script=script, after_play=sends(picture(0)))) as peer:
        found, session = await collect(peer, ReplayManner(stall_s=5))
        assert [packet.sequence for _, packet in found] == [0, 1]
        assert session.ended is ReplayEnd.WINDOW


async def test_packets_carry_the_recorders_time_and_marks() -> None:
    sent = sends(picture(0), frame(0, rtp(1, 3600, b"\x41x")), picture(2.5, flags=GAP, sequence=2), picture(99))
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sent)) as peer:
        found, session = await collect(peer)
    assert session.tracks[0].encoding == "H264"
    assert session.tracks[0].parameters["sprop-parameter-sets"]
    assert [(index, packet.sequence, packet.ntp) for index, packet in found] == [
        (0, 0, START),
        (0, 1, None),
        (0, 2, START + timedelta(seconds=2.5)),
    ]
    assert [packet.clean_point for _, packet in found] == [True, False, False]
    assert found[2][1].discontinuity
    assert found[0][1].payload == b"\x65picture"


@pytest.mark.parametrize(
    ("frames", "count", "end"),
    [
        ([picture(0), picture(10)], 1, ReplayEnd.WINDOW),
        ([picture(0), picture(1, flags=TERMINAL)], 2, ReplayEnd.TERMINAL),
        ([picture(0), bye()], 1, ReplayEnd.GOODBYE),
        ([picture(0), b"TEARDOWN rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"], 1, ReplayEnd.TEARDOWN),
        ([picture(0), picture(1, flags=END)], 2, ReplayEnd.QUIET),
    ],
)
async def test_a_replay_ends_in_each_of_its_ways(frames: list[bytes], count: int, end: ReplayEnd) -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(*frames))) as peer:
        found, session = await collect(peer)
        assert (len(found), session.ended) == (count, end)
        assert peer.methods()[-1] == "TEARDOWN"


def heard(second: float, *, ntp: bool = True) -> bytes:
    return frame(2, rtp(int(second * 50), int(second * 8_000), b"sound", ntp=NTP + second if ntp else None))


async def with_sound(peer: Peer, **manner: float) -> tuple[list[float], Replay]:
    """When the sound began that came, in seconds from the start, by sequence number."""
    session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, kinds=("video", "audio"), manner=with_changes(QUICK, **manner))
    try:
        async with asyncio.timeout(PATIENCE_S):
            found = [item async for there in session.arrivals() for item in there]
    finally:
        await session.close()
    return [packet.sequence / 50 for index, packet in found if index == 1], session


@pytest.mark.parametrize("last", [picture(10), picture(9.9, flags=TERMINAL)], ids=["window", "terminal"])
async def test_sound_that_comes_after_the_last_picture_is_waited_for_and_no_longer(last: bytes) -> None:
    late = [heard(second / 50) for second in range(440, 500)]
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), heard(0), last, *late))) as peer:
        found, session = await with_sound(peer, trail_s=LONGER_THAN_PATIENCE_S)
    assert found[:2] == [0, 8.8]
    assert found[-1] == (9.98 if session.ended is ReplayEnd.WINDOW else 9.88)


@pytest.mark.parametrize(
    "last",
    [[], [heard(8)], [heard(8), heard(10, ntp=False)], [heard(10)], [frame(3, GOODBYE)]],
    ids=["none", "some", "timeless", "whole", "bye"],
)
async def test_sound_that_does_not_come_holds_nothing_up(last: list[bytes]) -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), picture(10), *last))) as peer:
        found, session = await with_sound(peer, trail_s=0.2, unheard_s=0.1)
    assert (len(found), session.ended) == (sum(1 for one in last if one[1] == 2), ReplayEnd.WINDOW)


@pytest.mark.parametrize("last", [picture(10), bye()], ids=["window", "bye"])
async def test_sound_that_comes_slowly_is_waited_for_as_long_as_it_comes(last: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, passed, found = asyncio.get_running_loop(), 0.0, []
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + passed)

    async def slowly(peer: Peer) -> None:
        nonlocal passed
        assert peer.writer is not None
        peer.writer.write(heard(0) + picture(0) + last)
        for number, second in enumerate((8, 8.02, 9.98), start=2):
            await until(lambda so_far=number: len(found) == so_far)
            passed += 2.4
            peer.writer.write(heard(second))

    async with listening(Peer(sdp=REPLAY_SDP, after_play=slowly)) as peer:
        session = await replay(
            peer.target, "/recording", WINDOW, timeout_s=5, kinds=("video", "audio"), manner=with_changes(QUICK, trail_s=4.0, quiet_s=4.0)
        )
        async for there in session.arrivals():
            found += [packet.ntp for _, packet in there]
        await session.close()
    assert found[-1] == START + timedelta(seconds=9.98)


async def test_without_sound_nothing_is_waited_for() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), picture(10)))) as peer:
        async with asyncio.timeout(PATIENCE_S):
            _, session = await collect(peer, with_changes(QUICK, trail_s=LONGER_THAN_PATIENCE_S, unheard_s=LONGER_THAN_PATIENCE_S))
    assert session.ended is ReplayEnd.WINDOW


async def test_who_hangs_up_after_the_last_picture_has_said_all() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), picture(10), heard(8), hang_up=True))) as peer:
        found, session = await with_sound(peer, trail_s=LONGER_THAN_PATIENCE_S)
    assert (found, session.ended) == ([8], ReplayEnd.WINDOW)


async def test_a_device_that_goes_on_and_on_is_not_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.drivers.rtsp.replay._TRAIL_LIMIT", 10_000)
    on_and_on = [picture(10)] * 1_000
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), heard(8), *on_and_on))) as peer:
        found, session = await with_sound(peer, trail_s=LONGER_THAN_PATIENCE_S)
    assert (found, session.ended) == ([8], ReplayEnd.WINDOW)


async def test_the_last_picture_comes_whole_when_its_first_packet_says_terminal() -> None:
    first = frame(0, rtp(0, 0, b"\x7c\x85a", ntp=NTP, flags=TERMINAL, marker=False))
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(first, frame(0, rtp(1, 0, b"\x7c\x45b"))))) as peer:
        found, session = await collect(peer)
    assert (len(found), session.ended) == (2, ReplayEnd.TERMINAL)


async def test_more_may_follow_the_end_of_a_section() -> None:
    frames = [picture(0, flags=END), picture(5, flags=GAP, sequence=1), picture(11)]
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(*frames))) as peer:
        found, session = await collect(peer)
    assert (len(found), session.ended) == (2, ReplayEnd.WINDOW)


@pytest.mark.parametrize("flags", [CLEAN, CLEAN | GAP], ids=["unmarked", "marked"])
async def test_a_clock_that_was_set_back_is_followed_however_much_comes_after(flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.drivers.rtsp.replay._STANDSTILL_LIMIT", 200)
    seconds = [index / 10 for index in range(90)] + [index / 10 for index in range(30, 100)]
    frames = [picture(second, sequence=number, flags=flags if number == 90 else CLEAN) for number, second in enumerate(seconds)]
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(*frames, picture(10)))) as peer:
        found, session = await collect(peer)
    assert (len(found), session.ended) == (160, ReplayEnd.WINDOW)


async def test_a_device_that_begins_again_and_again_is_ended() -> None:
    again = [picture(second, sequence=second) for _ in range(40) for second in range(8)]
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(*again))) as peer:
        with pytest.raises(ProtocolError):
            await collect(peer)


async def test_a_device_whose_own_files_overlap_goes_on_as_long_as_it_gets_later() -> None:
    seconds = [begin + second / 2 for begin in range(6) for second in range(8)]
    frames = [picture(second, sequence=number) for number, second in enumerate(seconds)]
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(*frames, picture(10)))) as peer:
        found, _ = await collect(peer)
    assert len(found) == 48


async def test_footage_that_stops_in_the_middle_is_an_error_and_never_an_end() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0)))) as peer:
        with pytest.raises(DeadlineExceeded) as caught:
            await collect(peer)
        assert caught.value.code == "stalled"
        assert peer.methods()[-1] == "TEARDOWN"


async def test_a_connection_that_breaks_in_the_middle_is_an_error() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), hang_up=True))) as peer:
        with pytest.raises(Unreachable):
            await collect(peer)


async def test_a_device_that_repeats_one_moment_for_ever_is_stopped_by_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, passed, found = asyncio.get_running_loop(), 0.0, []
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + passed)

    async def repeat(peer: Peer) -> None:
        nonlocal passed
        assert peer.writer is not None
        for number in range(1, 4):
            peer.writer.write(picture(0))
            await until(lambda so_far=number: len(found) == so_far)
            passed += 6
        peer.writer.close()

    async with listening(Peer(sdp=REPLAY_SDP, after_play=repeat)) as peer:
        session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, manner=ReplayManner(stall_s=15))
        with pytest.raises(DeadlineExceeded):
            async for there in session.arrivals():
                found += there
        await session.close()
    assert len(found) == 3


async def test_a_reader_that_is_slow_holds_the_device_back_and_loses_nothing() -> None:
    total = 400
    big = bytes(60_000)

    async def flood(peer: Peer) -> None:
        assert peer.writer is not None
        for number in range(total):
            peer.writer.write(frame(0, rtp(number, number, big, ntp=NTP + number / 100)))
            await peer.writer.drain()
        peer.writer.write(bye())

    peer = Peer(sdp=REPLAY_SDP)
    async with listening(peer), asyncio.TaskGroup() as group:
        flooding: list[asyncio.Task[None]] = []

        async def begin(at: Peer) -> None:
            flooding.append(group.create_task(flood(at)))

        peer.after_play = begin
        session = await replay(peer.target, "/recording", WINDOW, timeout_s=5)
        arrivals = session.arrivals()
        next(await anext(arrivals))
        done, _ = await asyncio.wait(flooding, timeout=0.3)
        assert not done
        rest = [packet.sequence async for there in arrivals for _, packet in there]
        await session.close()
    assert rest == list(range(1, total))


async def test_a_replay_in_bursts_gives_what_came_before_its_connection_broke() -> None:
    found: list[tuple[int, MediaPacket]] = []
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0), picture(0.04, sequence=1), hang_up=True))) as peer:
        session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, bursts=True)
        with pytest.raises(Unreachable):
            async for there in session.arrivals():
                found += there
        await session.close()
    assert [(index, packet.sequence) for index, packet in found] == [(0, 0), (0, 1)]


async def test_a_recording_without_video_is_said_to_hold_none() -> None:
    async with listening(Peer(sdp="v=0\nm=audio 0 RTP/AVP 8\n")) as peer:
        with pytest.raises(NotSupported) as caught:
            await collect(peer)
        assert caught.value.code == "no-track"


async def test_a_recorder_with_too_many_replays_is_busy() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, script={"SETUP": lambda p, a: Reply("453 Not Enough Bandwidth")})) as peer:
        with pytest.raises(Busy):
            await collect(peer)


async def test_replay_authenticates_and_several_tracks_are_told_apart() -> None:
    sound = frame(2, rtp(5, 0, b"sound"))
    async with listening(
        Peer(sdp=REPLAY_SDP, login=Login(algorithm="SHA-256", qop=True), after_play=sends(sound, picture(0), bye()))
    ) as peer:
        session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, kinds=("video", "audio"), manner=QUICK)
        found = [(index, packet.sequence) async for there in session.arrivals() for index, packet in there]
        await session.close()
    assert [track.kind for track in session.tracks] == ["video", "audio"]
    assert found == [(1, 5), (0, 0)]


@pytest.mark.parametrize("status", ["403 Forbidden", "453 Not Enough Bandwidth", "461 Unsupported Transport"])
async def test_all_sound_is_asked_for_and_what_is_refused_of_it_is_told(status: str) -> None:
    second = "m=audio 0 RTP/AVP 0\na=control:trackID=3\n"

    def answer(peer: Peer, asked: Asked) -> Reply:
        taken = {"Session": peer.session, "Transport": asked.headers["transport"]}
        return Reply(status) if asked.url.endswith("trackID=2") else Reply(headers=taken)

    sound = frame(4, rtp(5, 0, b"sound"))
    peer = Peer(sdp=REPLAY_SDP + second, script={"SETUP": answer}, after_play=sends(sound, picture(0), picture(10), frame(5, GOODBYE)))
    async with listening(peer):
        session = await replay(peer.target, "/recording", WINDOW, timeout_s=5, kinds=("video", "audio"), manner=QUICK)
        found = [index async for there in session.arrivals() for index, _ in there]
        await session.close()
    assert [track.encoding for track in session.tracks] == ["H264", "PCMU"]
    assert [track.encoding for track in session.refused] == ["PCMA"]
    assert found == [1, 0]


async def test_what_is_no_rtp_is_the_devices_fault() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(frame(0, b"nonsense")))) as peer:
        with pytest.raises(ProtocolError):
            await collect(peer)


async def test_a_probe_sees_the_first_packet_and_leaves() -> None:
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(picture(0)))) as peer:
        seen = await first_packet(peer.target, "/live", timeout_s=5)
        await peer.gone.wait()
        assert (seen.track.encoding, peer.methods()[-1]) == ("H264", "TEARDOWN")
        assert 0 < seen.after_s < 5
    async with listening(Peer(sdp=REPLAY_SDP)) as peer:
        with pytest.raises(DeadlineExceeded):
            await first_packet(peer.target, "/live", timeout_s=0.2)
        with pytest.raises(NotSupported):
            await first_packet(peer.target, "/live", timeout_s=5, kind="application")
    async with listening(Peer(sdp=REPLAY_SDP, after_play=sends(hang_up=True))) as peer:
        with pytest.raises(DeviceError):
            await first_packet(peer.target, "/live", timeout_s=5)


def test_clock_times_are_utc_and_never_naive() -> None:
    beijing = datetime(2026, 3, 1, 16, 0, 0, 123_456, timezone(timedelta(hours=8)))
    assert clock_time(beijing) == "20260301T080000.123Z"
    with pytest.raises(ValueError, match="naive"):
        clock_time(datetime(2026, 3, 1))  # noqa: DTZ001 -- naive on purpose
