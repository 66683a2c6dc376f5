"""Of each stop-all two copies come, by one line each: the first is obeyed, the second known again."""

import pytest

from gateway.mqtt.copies import KEPT_S, OVERTAKEN_S, Copies, Line, Stop

HALT = Stop(b"{}", mid=1, qos=1)


@pytest.fixture
def copies() -> Copies:
    both = Copies()
    for line in Line:
        both.connected(line, session_kept=False, now=0.0)
    return both


def first(copies: Copies, line: Line, stop: Stop = HALT, *, now: float = 0.0, obeyed: bool = True) -> bool:
    """Whether `line` is the first to bring it."""
    if copies.known(line, stop, now):
        return False
    copies.dealt_with(line, stop, obeyed=obeyed, now=now)
    return True


@pytest.mark.parametrize("line", Line)
def test_of_several_that_say_the_same_each_is_obeyed_once(copies: Copies, line: Line) -> None:
    assert [first(copies, line) for _ in range(3)] == [True] * 3
    assert [first(copies, line.other) for _ in range(4)] == [False] * 3 + [True]


def test_a_copy_that_never_came_holds_nothing_up_for_long(copies: Copies) -> None:
    assert first(copies, Line.STOPS)
    assert copies.overtaken(OVERTAKEN_S - 1)
    assert not copies.overtaken(OVERTAKEN_S)
    assert not first(copies, Line.COMMANDS, now=KEPT_S - 1)
    assert first(copies, Line.STOPS, now=KEPT_S)
    assert first(copies, Line.COMMANDS, now=2 * KEPT_S)


def test_a_line_that_is_away_brings_its_copy_when_it_returns_if_the_broker_has_kept_its_session(copies: Copies) -> None:
    for kept in (True, False):
        copies.lost(Line.STOPS)
        assert first(copies, Line.COMMANDS, now=1.0)
        copies.connected(Line.STOPS, session_kept=kept, now=10 * KEPT_S)
        assert first(copies, Line.STOPS, now=10 * KEPT_S) is not kept
        copies.connected(Line.COMMANDS, session_kept=False, now=10 * KEPT_S)


def test_what_is_sent_with_qos_0_is_before_nothing_and_waits_for_no_line(copies: Copies) -> None:
    hasty = Stop(b"{}", mid=0, qos=0)
    assert first(copies, Line.STOPS, hasty)
    assert not copies.overtaken(0.0)
    assert not first(copies, Line.COMMANDS, hasty)
    copies.lost(Line.COMMANDS)
    assert first(copies, Line.STOPS, hasty)
    copies.connected(Line.COMMANDS, session_kept=True, now=1.0)
    assert first(copies, Line.COMMANDS, hasty, now=1.0)


def test_what_is_brought_again_is_no_other_stop_but_a_used_packet_id_is(copies: Copies) -> None:
    assert first(copies, Line.STOPS)
    assert not first(copies, Line.STOPS, Stop(b"{}", mid=1, qos=1, again=True))
    assert first(copies, Line.STOPS)
    assert first(copies, Line.STOPS, Stop(b'{"id": "another"}', mid=1, qos=1, again=True))
