"""Talking to loudspeakers (ONVIF Streaming Specification, "Back channel connection"), and what they say they heard."""

import asyncio
import base64
import io
import math
import socket
import struct
import time
import wave
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import g711
from simulators.faults import Answer as Ailment
from simulators.faults import Fault
from simulators.heard import PACKETS_KEPT, PLAIN, Heard, HeardSession, Horn
from tests.simulators.block import CAMERA, SPEAKER, SPEAKER_OF_CAMERA, TALKING_CAMERA, Block, city_of, rtsp_block
from tests.simulators.rtsp_client import BACKCHANNEL, Client, audio
from tests.waiting import until

TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block() as running:
        yield running


async def talk(client: Client, transport: str = TCP, track: str = "trackID=0") -> str:
    """Everything up to PLAY's 200; the session."""
    await client.ask("DESCRIBE", **BACKCHANNEL)
    session = (await client.ask("SETUP", track, Transport=transport, **BACKCHANNEL)).session
    assert (await client.ask("PLAY", Session=session, **BACKCHANNEL)).status == 200
    return session


def send(client: Client, packet: bytes, channel: int = 0) -> None:
    client.writer.write(struct.pack("!cBH", b"$", channel, len(packet)) + packet)


def tone(samples: int) -> bytes:
    """A-law octets of a 440 Hz tone, encoded by FFmpeg."""
    pcm = b"".join(struct.pack("<h", round(12_000 * math.sin(2 * math.pi * 440 * at / 8000))) for at in range(samples))
    encoder = av.AudioCodecContext.create("pcm_alaw", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 8000, "s16", "mono"
    frame = av.AudioFrame("s16", "mono", samples)
    frame.sample_rate = 8000
    frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\x00"))
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def samples(recording: bytes) -> tuple[int, ...]:
    with wave.open(io.BytesIO(recording)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))


# -- what is offered --------------------------------------------------------------------------------------------------


async def test_the_audio_line_is_for_those_who_require_it(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as client:
        assert b"sendonly" not in (await client.ask("DESCRIBE")).body
        sdp = (await client.ask("DESCRIBE", **BACKCHANNEL)).body.decode()
    assert "m=audio 0 RTP/AVP 8 0\r\n" in sdp
    assert "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" in sdp
    assert "a=sendonly" in sdp


async def test_a_device_without_a_loudspeaker_answers_551(block: Block) -> None:
    async with block.client(CAMERA, "live/main") as client:
        for method in ("DESCRIBE", "SETUP"):
            answer = await client.ask(method, **BACKCHANNEL)
            assert (answer.status, answer.headers["unsupported"]) == (551, "www.onvif.org/ver20/backchannel")


# -- what is heard ----------------------------------------------------------------------------------------------------


async def test_what_is_said_over_tcp_is_heard_sample_for_sample(block: Block) -> None:
    said = tone(1600)
    async with block.client(SPEAKER, "audio") as client:
        session = await talk(client)
        for index in range(10):
            send(client, audio(said[160 * index : 160 * index + 160], sequence=index, timestamp=9000 + 160 * index))
        await client.ask("TEARDOWN", Session=session, **BACKCHANNEL)
    heard = block.state.heard[SPEAKER.id]
    assert samples(heard.wav(0)) == struct.unpack("<1600h", decoded_by_ffmpeg("pcm_alaw", said))
    assert (heard.packets, heard.encoding, heard.sessions[0].transport) == (10, "PCMA", "tcp")
    assert heard.sessions[0].ended_ns is not None


async def test_what_is_said_over_udp_is_heard_with_the_kernels_arrival_times(block: Block) -> None:
    said, loop = tone(800), asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        async with block.client(SPEAKER, "audio") as client:
            await client.ask("DESCRIBE", **BACKCHANNEL)
            answer = await client.ask("SETUP", "trackID=0", Transport=f"RTP/AVP;unicast;client_port={port}-{port + 1}", **BACKCHANNEL)
            await client.ask("PLAY", Session=answer.session, **BACKCHANNEL)
            to = (SPEAKER.address, int(answer.headers["transport"].split("server_port=")[1].split("-")[0]))
            before = time.time_ns()
            for index in range(5):
                await loop.sock_sendto(sock, audio(said[160 * index : 160 * index + 160], sequence=index, timestamp=160 * index), to)
            after = time.time_ns()
            await until(lambda: block.state.heard[SPEAKER.id].packets == 5)
    heard = block.state.heard[SPEAKER.id]
    assert bytes(heard.sessions[0].audio) == said
    assert heard.first_ns is not None
    assert heard.last_ns is not None
    assert before <= heard.first_ns <= heard.last_ns <= after


async def test_audio_before_plays_answer_is_not_played_and_is_counted(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as client:
        session = (await client.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).session
        send(client, audio(b"\xd5" * 160, sequence=0, timestamp=0))
        await client.ask("PLAY", Session=session, **BACKCHANNEL)
        send(client, audio(b"\x55" * 160, sequence=1, timestamp=160))
        await client.ask("GET_PARAMETER", Session=session)
    heard = block.state.heard[SPEAKER.id]
    assert bytes(heard.sessions[0].audio) == b"\x55" * 160
    assert heard.sessions[0].refused == 1
    assert block.state.counters["rtsp.audio_refused.speaker"] == 1


async def test_a_payload_type_that_was_not_offered_is_not_played(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as client:
        session = await talk(client)
        send(client, audio(b"x" * 160, sequence=0, timestamp=0, payload_type=97))
        send(client, b"no rtp")
        await client.ask("GET_PARAMETER", Session=session)
    assert block.state.heard[SPEAKER.id].packets == 0
    assert block.state.counters["rtsp.audio_refused.speaker"] == 2


async def test_a_cameras_audio_output_is_the_loudspeaker_on_its_pole(block: Block) -> None:
    async with block.client(TALKING_CAMERA, "live/main") as client:
        session = await talk(client, track="trackID=1")
        send(client, audio(b"\x7f" * 160, sequence=0, timestamp=0, payload_type=0))
        await client.ask("GET_PARAMETER", Session=session)
    assert block.state.heard[SPEAKER_OF_CAMERA.id].encoding == "PCMU"


async def test_a_silent_speaker_hears_nothing(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as client:
        session = await talk(client)
        block.state.faults[SPEAKER.id] = Fault(answer=Ailment.SILENT)
        send(client, audio(b"\x7f" * 160, sequence=0, timestamp=0))
        asked = block.state.counters["rtsp.requests.speaker"]
        client.send("GET_PARAMETER", Session=session)
        await until(lambda: block.state.counters["rtsp.requests.speaker"] > asked)
    assert block.state.heard[SPEAKER.id].packets == 0


# -- one talker -------------------------------------------------------------------------------------------------------


async def test_a_second_talker_is_refused_until_the_first_has_gone(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as first, block.client(SPEAKER, "audio") as second:
        session = await talk(first)
        assert (await second.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).status == 453
        await first.ask("TEARDOWN", Session=session, **BACKCHANNEL)
        await talk(second)
    assert block.state.counters["rtsp.second_talker.speaker"] == 1


async def test_the_speaker_and_the_camera_it_hangs_on_are_one_floor(block: Block) -> None:
    async with block.client(SPEAKER_OF_CAMERA, "audio") as first, block.client(TALKING_CAMERA, "live/main") as second:
        await talk(first)
        assert (await second.ask("SETUP", "trackID=1", Transport=TCP, **BACKCHANNEL)).status == 453


async def test_a_talker_who_falls_silent_for_a_minute_loses_the_floor(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as first, block.client(SPEAKER, "audio") as second:
        await talk(first, "RTP/AVP;unicast;client_port=41000-41001")
        block.clock.advance(61)
        block.server.sweep()
        await talk(second)


@pytest.mark.parametrize("method", ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"])
async def test_a_silent_talker_who_asks_now_and_then_keeps_the_floor(block: Block, method: str) -> None:
    async with block.client(SPEAKER, "audio") as first:
        session = await talk(first)
        for _ in range(3):
            block.clock.advance(50)
            await first.ask(method, Session=session)
            block.server.sweep()
        async with block.client(SPEAKER, "audio") as second:
            assert (await second.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).status == 453


async def test_a_talker_whose_connection_breaks_loses_the_floor(block: Block) -> None:
    async with block.client(SPEAKER, "audio") as first:
        await talk(first)
    await until(lambda: not block.server.connections)
    async with block.client(SPEAKER, "audio") as second:
        await talk(second)


# -- putting samples together -----------------------------------------------------------------------------------------


def hear(packets: list[tuple[int, int, bytes]]) -> HeardSession:
    """(sequence, timestamp, payload) → the session after them."""
    heard, session = Heard(), HeardSession("127.0.0.1", "udp", "PCMU")
    for sequence, timestamp, payload in packets:
        heard.take(session, payload, arrival_ns=1, sequence=sequence, timestamp=timestamp)
    return session


@given(st.permutations(range(1, 8)), st.integers(0, 2**32 - 1))
def test_packets_out_of_order_are_put_in_order_across_the_wrap_of_timestamps(order: list[int], origin: int) -> None:
    packets = [(index, (origin + 160 * index) % 2**32, bytes([index]) * 160) for index in (0, *order)]
    session = hear(packets)
    assert bytes(session.audio) == b"".join(bytes([index]) * 160 for index in range(8))
    assert session.missing_samples == 0


def test_a_lost_packet_leaves_silence_of_its_length() -> None:
    session = hear([(0, 0, b"a" * 160), (2, 320, b"c" * 160)])
    assert bytes(session.audio) == b"a" * 160 + b"\xff" * 160 + b"c" * 160
    assert session.missing_samples == 160


def test_a_repeated_packet_is_heard_once() -> None:
    assert bytes(hear([(0, 0, b"a" * 160), (0, 0, b"a" * 160), (1, 160, b"b" * 160)]).audio) == b"a" * 160 + b"b" * 160


def test_a_talker_who_leaves_the_timestamp_at_zero_is_heard_in_order() -> None:
    assert bytes(hear([(5, 0, b"a" * 1024), (6, 0, b"b" * 1024), (7, 0, b"c" * 1024)]).audio) == b"a" * 1024 + b"b" * 1024 + b"c" * 1024


def test_a_far_jump_of_the_timestamp_is_a_new_beginning_and_not_hours_of_silence() -> None:
    session = hear([(0, 0, b"a" * 160), (1, 2**31, b"b" * 160), (2, 2**31 + 160, b"c" * 160)])
    assert bytes(session.audio) == b"a" * 160 + b"b" * 160 + b"c" * 160


def test_memory_of_what_was_heard_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.heard.HEARD_BYTES", 1000)
    heard, session = Heard(), HeardSession("127.0.0.1", "udp", "PCMU")
    for index in range(20):
        heard.take(session, b"a" * 160, arrival_ns=1, sequence=index, timestamp=160 * index)
    assert (len(session.audio), heard.packets) == (1000, 20)


def decoded_by_ffmpeg(codec: str, payload: bytes) -> bytes:
    decoder = av.AudioCodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    return b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in decoder.decode(av.Packet(payload)))


@pytest.mark.parametrize(("encoding", "codec"), [("PCMA", "pcm_alaw"), ("PCMU", "pcm_mulaw")])
def test_every_octet_decodes_as_ffmpeg_decodes_it(encoding: str, codec: str) -> None:
    assert g711.decode(encoding, bytes(range(256))) == decoded_by_ffmpeg(codec, bytes(range(256)))


# -- what the horn plays of what was heard ----------------------------------------------------------------------------


def heard_by(horn: Horn, payloads: list[bytes], *, timestamps: bool = True) -> tuple[Heard, HeardSession]:
    heard, session = Heard(), HeardSession("127.0.0.1", "udp", "PCMU", horn=horn)
    heard.sessions.append(session)
    at = 0
    for sequence, payload in enumerate(payloads):
        heard.take(session, payload, arrival_ns=1 + at * 125_000, sequence=sequence, timestamp=at if timestamps else 0)
        at += len(payload)
    return heard, session


def test_a_horn_that_loses_the_first_moments_is_silent_for_them() -> None:
    heard, _ = heard_by(Horn(loses_ms=30), [b"\x80" * 160, b"\x80" * 160])
    assert samples(heard.wav(0)) == (0,) * 240 + (32124,) * 80


def test_a_late_horn_plays_after_its_silence_and_never_what_is_left_at_the_end() -> None:
    heard, session = heard_by(Horn(late_s=1.0), [b"\x80" * 160] * 10)
    assert session.played_ns == 1_000_000_001
    session.finish(0, arrival_ns=1_100_000_001)
    assert samples(heard.wav(0)) == (0,) * 8000 + (32124,) * 800


def test_a_horn_that_wants_packets_of_one_size_plays_no_others() -> None:
    heard, session = heard_by(Horn(packet_bytes=1024), [b"\x80" * 160, b"\x80" * 1024, b"\x80" * 1024], timestamps=False)
    assert (heard.packets, session.unplayable, len(session.audio)) == (3, 1, 2048)
    assert [arrival["played"] for arrival in heard.arrivals()] == [False, True, True]


def test_each_packets_arrival_is_told_and_the_list_of_them_is_bounded() -> None:
    heard, _ = heard_by(PLAIN, [b"\x80" * 160] * (PACKETS_KEPT + 5))
    arrivals = heard.arrivals()
    assert (len(arrivals), arrivals[0]["sequence"]) == (PACKETS_KEPT, 5)
    assert arrivals[-1] == {"arrival_ns": 1 + (PACKETS_KEPT + 4) * 20_000_000, "timestamp": (PACKETS_KEPT + 4) * 160,
                            "sequence": PACKETS_KEPT + 4, "bytes": 160, "marker": False, "played": True}  # fmt: skip


# -- quirks -----------------------------------------------------------------------------------------------------------


async def test_a_speaker_that_refuses_require_describes_its_backchannel_without(block: Block) -> None:
    block.state.switch_quirk(SPEAKER, "refuses-require", {})
    async with block.client(SPEAKER, "audio") as client:
        assert (await client.ask("DESCRIBE", **BACKCHANNEL)).status == 551
        assert b"a=sendonly" in (await client.ask("DESCRIBE")).body
        session = (await client.ask("SETUP", "trackID=0", Transport=TCP)).session
        assert (await client.ask("PLAY", Session=session)).status == 200


async def test_a_speaker_that_wants_require_everywhere_answers_551_without(block: Block) -> None:
    block.state.switch_quirk(SPEAKER, "requires-everywhere", {})
    async with block.client(SPEAKER, "audio") as client:
        assert (await client.ask("SETUP", "trackID=0", Transport=TCP)).status == 551
        session = (await client.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).session
        assert (await client.ask("PLAY", Session=session)).status == 551
        assert (await client.ask("PLAY", Session=session, **BACKCHANNEL)).status == 200


async def test_a_single_talker_speaker_refuses_the_second_by_its_own_status(block: Block) -> None:
    block.state.switch_quirk(SPEAKER, "single-talker", {"status": 503})
    async with block.client(SPEAKER, "audio") as first, block.client(SPEAKER, "audio") as second:
        await talk(first)
        assert (await second.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).status == 503


async def test_a_lingering_talk_ends_by_teardown_from_anywhere_or_by_its_time(block: Block) -> None:
    block.state.switch_quirk(SPEAKER, "lingering-talk", {"seconds": 30})
    for ended_by in ("teardown", "time"):
        async with block.client(SPEAKER, "audio") as first:
            session = await talk(first)
        await until(lambda: not block.server.connections)
        async with block.client(SPEAKER, "audio") as second:
            assert (await second.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).status == 453
            if ended_by == "teardown":
                assert (await second.ask("TEARDOWN", Session=session)).status == 200
            else:
                block.clock.advance(30)
            assert (await second.ask("SETUP", "trackID=0", Transport=TCP, **BACKCHANNEL)).status == 200
            block.server.sweep()
            await second.ask("TEARDOWN", Session=next(iter(block.server.book.by_id)))


# -- logins -----------------------------------------------------------------------------------------------------------


async def test_a_speaker_that_knows_only_basic_lets_in_who_tells_the_password() -> None:
    speaker = replace(SPEAKER, rtsp_algorithm="Basic")
    async with rtsp_block(city_of(speaker)) as block, block.client(speaker, "audio", password="-") as client:
        client.login = ("", "")
        asked = await client.ask("DESCRIBE", **BACKCHANNEL)
        assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Basic realm="M1"')
        for password, status in (("wrong", 401), (speaker.password, 200)):
            told = base64.b64encode(f"{speaker.username}:{password}".encode()).decode()
            assert (await client.ask("DESCRIBE", Authorization=f"Basic {told}", **BACKCHANNEL)).status == status


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [False, True])
async def test_a_talk_begins_after_every_kind_of_digest_and_goes_on_after_a_stale_nonce(algorithm: str, qop: bool) -> None:
    mask = 1 if algorithm == "MD5" else 7
    name = next(name for name in map(str, range(99)) if bool(zlib.crc32(name.encode()) & mask) is qop)
    speaker = replace(SPEAKER, id=name, rtsp_algorithm=algorithm)
    async with rtsp_block(city_of(speaker)) as block, block.client(speaker, "audio") as client:
        session = await talk(client)
        assert ("qop" in client.challenge) is qop
        block.clock.advance(40)
        await client.ask("GET_PARAMETER", Session=session)
        for _ in range(6):
            block.clock.advance(50)
            assert (await client.ask("GET_PARAMETER", Session=session)).status == 200
    assert block.state.counters["rtsp.digest_stale.speaker"] == 1
