"""What the pacing core promises, whatever is begun, stopped, refused and delayed: properties over random histories on a made-up clock."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.pacing.core import (
    LIVE_SLOT_S,
    LONGEST_CATCH_UP_S,
    SLOT_S,
    Chorus,
    Conductor,
    End,
    Listener,
    Live,
    Numbers,
    Packet,
    Shape,
    Whole,
)

QUIET = b"\xd5"
shapes = st.sampled_from([80, 160, 240, 320, 1024]).map(lambda samples: Shape(8_000, samples, QUIET))


def sound_of(size: int) -> bytes:
    """Bytes that tell where they stand."""
    return bytes(1 + number % 200 for number in range(size))


class Wire:
    """Notes who was sent what, and refuses as it is told."""

    def __init__(self, refuses=lambda _line, _turn: False) -> None:
        self.heard: dict[Listener, list[tuple[float, Packet]]] = defaultdict(list)
        self.turns = 0
        self.now = 0.0
        self._refuses = refuses

    def send(self, chorus: Chorus, packet: Packet) -> list[Listener]:
        self.turns += 1
        refused = [line for line in chorus.listeners if self._refuses(line, self.turns)]
        for line in chorus.listeners:
            if line not in refused:
                self.heard[line].append((self.now, Packet(bytes(packet.payload), packet.timestamp, packet.marker)))
        return refused


def play(conductor: Conductor, wire: Wire, *, until: float, delay=lambda _turn: 0.0, before=lambda _now: None) -> list:
    """Turn whenever something is due, so much too late as `delay` says."""
    ended = []
    for turn in itertools.count():
        due = conductor.due
        if due is None or due > until:
            return ended
        wire.now = max(wire.now, due + delay(turn))
        before(wire.now)
        ended += conductor.turn(wire.now, wire.send)
    raise AssertionError


def chorus_of(size: int, lines: list[Listener], shape: Shape, lead_in: int = 0) -> Chorus:
    return Chorus(Whole(sound_of(size), shape, lead_in=lead_in), lines, payload_type=8, numbers=Numbers(1, 65_530, 4_294_967_000))


@given(size=st.integers(1, 5_000), shape=shapes, lead_in=st.integers(0, 900), at=st.floats(0, 100), count=st.integers(1, 5))
def test_everything_is_sent_once_in_order_and_on_its_deadline(size: int, shape: Shape, lead_in: int, at: float, count: int) -> None:
    lines = [Listener(number) for number in range(count)]
    conductor, wire = Conductor(), Wire()
    conductor.begin([chorus_of(size, lines, shape, lead_in)], at)
    ended = play(conductor, wire, until=math.inf)
    for line in lines:
        heard = wire.heard[line]
        said = b"".join(packet.payload for _, packet in heard)
        assert said[:lead_in] == QUIET * lead_in
        assert said[lead_in : lead_in + size] == sound_of(size)
        assert set(said[lead_in + size :]) <= set(QUIET)
        assert len(said) - lead_in - size < shape.packet_samples
        assert [packet.timestamp for _, packet in heard] == [number * shape.packet_samples for number in range(len(heard))]
        assert [packet.marker for _, packet in heard] == [number == 0 for number in range(len(heard))]
        for number, (sent, _) in enumerate(heard):
            assert sent == pytest.approx(at + number * shape.packet_s, abs=1e-5)
    assert [(each.how, each.tally.packets, each.tally.dropped) for each in ended] == [(End.PLAYED, len(heard), 0)] * count
    assert (conductor.due, conductor.lines) == (None, 0)


@given(at=st.floats(0, 100), later=st.lists(st.floats(0.0001, 0.05), max_size=5))
def test_what_begins_alone_begins_at_once_and_what_begins_beside_it_in_its_slots(at: float, later: list[float]) -> None:
    conductor, shape = Conductor(), Shape(8_000, 160, QUIET)
    conductor.begin([chorus_of(4_000, [Listener(0)], shape)], at)
    assert conductor.due == at
    for slot, well, origin in ((SLOT_S, None, at), (LIVE_SLOT_S, Well(), 0.0)):
        for after in later:
            voice = Live(shape, lead_in=160, well=well) if well else Whole(sound_of(160), shape)
            conductor.begin([Chorus(voice, [Listener(1)], payload_type=8, numbers=Numbers(1, 0, 0))], at + after)
            assert voice.due is not None
            assert -1e-5 < voice.due - (at + after) < slot + 1e-5
            assert abs((voice.due - origin) / slot - round((voice.due - origin) / slot)) < 1e-3


@given(size=st.integers(1, 5_000), shape=shapes, delays=st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_delays_lose_nothing_and_are_followed_by_no_long_burst(size: int, shape: Shape, delays: list[float]) -> None:
    line, conductor, wire = Listener(0), Conductor(), Wire()
    conductor.begin([chorus_of(size, [line], shape)], 0.0)
    play(conductor, wire, until=math.inf, delay=lambda turn: delays[turn % len(delays)])
    heard = wire.heard[line]
    assert b"".join(packet.payload for _, packet in heard)[:size] == sound_of(size)
    for (first, _), (last, _) in zip(heard, heard[math.ceil(LONGEST_CATCH_UP_S / shape.packet_s) + 2 :], strict=False):
        assert last > first
    for number, (sent, _) in enumerate(heard):
        assert sent >= number * shape.packet_s - 1e-5 or sent >= heard[0][0]


@given(stops=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.7)), max_size=6), all_at=st.none() | st.floats(0, 0.7))
def test_nothing_is_sent_after_a_stop_and_the_others_go_on(stops: list[tuple[int, float]], all_at: float | None) -> None:
    lines = [Listener(number) for number in range(6)]
    conductor, wire = Conductor(), Wire()
    shape = Shape(8_000, 160, QUIET)
    conductor.begin([chorus_of(4_000, lines[:3], shape), chorus_of(4_000, lines[3:], shape)], 0.0)
    stopped: dict[Listener, float] = {}
    ended = []

    def before(now: float) -> None:
        for number, at in stops:
            if at <= now and lines[number] not in stopped:
                stopped[lines[number]] = now
                ended.extend(filter(None, [conductor.stop(lines[number])]))
        if all_at is not None and all_at <= now:
            for line in lines:
                stopped.setdefault(line, now)
            ended.extend(conductor.stop_all())

    ended += play(conductor, wire, until=math.inf, before=before)
    for line in lines:
        sent = [at for at, _ in wire.heard[line]]
        assert not sent or line not in stopped or max(sent) < stopped[line]
        assert line in stopped or len(sent) == 25
    assert sorted(each.listener.number for each in ended) == list(range(6))
    for each in ended:
        assert each.tally.packets == len(wire.heard[each.listener])
        assert each.numbers.sequence == (65_530 + each.tally.packets) % 65_536


@given(refusals=st.sets(st.tuples(st.integers(0, 2), st.integers(1, 60))))
def test_the_tally_is_what_was_heard_and_who_refuses_a_second_is_lost(refusals: set[tuple[int, int]]) -> None:
    lines = [Listener(number) for number in range(3)]
    conductor, wire = Conductor(), Wire(lambda line, turn: (line.number, turn) in refusals or line.number == 2)
    conductor.begin([chorus_of(160 * 60, lines, Shape(8_000, 160, QUIET))], 0.0)
    for each in play(conductor, wire, until=math.inf):
        heard = [at for at, _ in wire.heard[each.listener]]
        packets, dropped, first, last = each.tally
        assert packets == len(heard)
        assert packets + dropped == 60 or each.how is End.LOST
        assert (first, last) == ((heard[0], heard[-1]) if heard else (None, None))
        assert each.listener.number != 2 or (each.how, packets) == (End.LOST, 0)


@pytest.mark.parametrize(
    ("refuses", "how", "packets"),
    [
        (lambda turn: turn % 2 == 0, End.LOST, 52),
        (lambda turn: turn % 3 == 0, End.PLAYED, 60),
        (lambda turn: turn < 20 and turn % 2 == 0, End.PLAYED, 60),
        (lambda turn: turn > 28 and turn % 2 == 0, End.LOST, 60),
    ],
    ids=["to the last", "some", "at the beginning", "in the last half"],
)
def test_who_is_told_after_each_packet_that_nobody_took_it_is_lost(refuses: Callable[[int], bool], how: End, packets: int) -> None:
    """At a closed port every packet is refused, and every second one says so."""
    line, conductor, wire = Listener(0), Conductor(), Wire(lambda _line, turn: refuses(turn))
    conductor.begin([chorus_of(160 * 60, [line], Shape(8_000, 160, QUIET))], 0.0)
    (ended,) = play(conductor, wire, until=math.inf)
    assert (ended.how, ended.tally.packets + ended.tally.dropped) == (how, packets)


class Well:
    """What a microphone has delivered, fetched when the pacer looks."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.closed = False

    def read(self) -> tuple[list[tuple[float, bytes]], bool]:
        pieces, self.pieces = self.pieces, []
        return pieces, self.closed


@pytest.mark.parametrize("well", [None, Well], ids=["pushed", "fetched"])
@given(
    jitter=st.lists(st.floats(0, 0.015), min_size=100, max_size=100),
    phase=st.floats(0, 0.02),
    gap=st.floats(0, 0.5),
    lead_in=st.sampled_from([0, 1_600]),
)
def test_live_sound_is_even_and_near_whatever_comes_late(
    well: type[Well] | None, jitter: list[float], phase: float, gap: float, lead_in: int
) -> None:
    """Frames at a microphone's pace with jitter, and in the midst a gap after which those of the gap come at once."""
    source, slot = well and well(), LIVE_SLOT_S if well else 0.0
    shape = Shape(8_000, 160, QUIET)
    arrivals = [0.3 + phase + 0.02 * number + late for number, late in enumerate(jitter)]
    arrivals = sorted(0.9 + gap if 0.9 < at < 0.9 + gap else at for at in arrivals)
    line, conductor, wire, voice = Listener(0), Conductor(), Wire(), Live(shape, lead_in=lead_in, well=source)
    conductor.begin([Chorus(voice, [line], payload_type=8, numbers=Numbers(1, 0, 0))], 0.0)
    for number, at in enumerate(arrivals):
        while (due := conductor.due) is not None and due < at:
            wire.now = due
            conductor.turn(due, wire.send)
        wire.now = at
        if source is None:
            voice.push(bytes([number + 1]) * 160, at)
            conductor.turn(at, wire.send)
        else:
            source.pieces.append((at, bytes([number + 1]) * 160))
    if source is None:
        voice.close()
    else:
        source.closed = True
    ended = play(conductor, wire, until=math.inf)
    assert [each.how for each in ended] == [End.PLAYED]
    heard = wire.heard[line]
    said = [(at, packet.payload[0] - 1) for at, packet in heard if packet.payload != QUIET * 160]
    frames = [number for _, number in said]
    assert frames == sorted(set(frames))
    assert len(frames) + voice.dropped == 100
    # a slot is half a frame: a wait for a late one is taken back after so many, and the next late one costs one again
    again = 0 if source is None else 100 // (2 * Live.WINDOW)
    assert voice.dropped <= math.ceil(gap / 0.02) + 1 + (lead_in > 0) + again
    assert [packet.timestamp for _, packet in heard] == [160 * number for number in range(len(heard))]
    waits = [at - arrivals[number] for at, number in said]
    assert max(waits) <= (0.061 if gap else 0.021) + slot  # right after the gap
    assert max(waits[-5:]) <= 0.025 + slot
    sent = [at for at, _ in heard]
    assert max(after - before for before, after in itertools.pairwise(sent)) < 0.041
    if source is not None:
        assert all(abs(at / LIVE_SLOT_S - round(at / LIVE_SLOT_S)) < 0.001 for at in sent)


def test_what_is_fetched_is_awaited_in_slots_and_a_needless_wait_is_taken_back() -> None:
    shape, source = Shape(8_000, 160, QUIET), Well()
    voice = Live(shape, well=source)
    voice.begin(0.0)
    looks = []
    while len(looks) < 2 and voice.due is not None:
        looks.append(voice.due)
        assert voice.take(voice.due) is None
    assert looks == pytest.approx([0.0, 0.01])
    waits = []
    for number in range(40):
        source.pieces.append((came := 0.0111 + 0.02 * number, bytes(160)))
        while (due := voice.due) is not None and voice.take(due) is None:
            pass
        assert due is not None
        waits.append(due - came)
    assert max(waits) < LIVE_SLOT_S
    assert len({round(wait, 6) for wait in waits}) == 1


@given(st.lists(st.integers(0, 400), max_size=12).filter(lambda sizes: sum(sizes) <= Live.BUFFER * 160))
def test_a_voice_in_pieces_of_any_length_is_cut_into_whole_packets_with_nothing_moved(sizes):
    sound = sound_of(sum(sizes))
    voice = Live(Shape(8_000, 160, QUIET))
    ends = list(itertools.accumulate(sizes, initial=0))
    for begin, end in itertools.pairwise(ends):
        voice.push(sound[begin:end], 0.0)
    voice.begin(0.0)
    heard = b"".join(bytes(packet.payload) for _ in range(len(sound) // 160) if (packet := voice.take(voice.due)) is not None)
    assert heard == sound[: len(sound) // 160 * 160]
