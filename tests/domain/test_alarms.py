"""Raise and clear pairs, against a naive model, and what becomes of an alarm whose clear got lost."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.alarms import ALARMS, PER_DEVICE, REFUTED_AFTER, Alarm, Alarms, Change, Effect, TrapRule, merged, result_of
from gateway.domain.devices import DeviceId
from gateway.domain.health import Outcome

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
DOWN = TrapRule("1.3.1", "link-down", Outcome.FAIL, key="1.9", of_port=True)
UP = TrapRule("1.3.2", "link-up", clears="1.3.1", key="1.9", of_port=True)
HOT = TrapRule("1.3.3", "hot", Outcome.WARN, lasts=timedelta(hours=1))
START = TrapRule("1.3.4", "cold-start", restarts=True)
NEWS = TrapRule("1.3.5", "news")
SWITCHES, KEYS = st.sampled_from(["SW-1", "SW-2"]), st.sampled_from(["1", "2", "3"])


@dataclass
class Told:
    rule: TrapRule
    source: str
    key: str


tellings = st.lists(st.builds(Told, st.sampled_from([DOWN, UP, HOT, START, NEWS]), SWITCHES, KEYS), max_size=40)


def concerned(told: Told) -> DeviceId:
    return DeviceId(f"{told.source}/{told.key}" if told.rule.of_port else told.source)


def tell(alarms: Alarms, told: Told, now: datetime = NOW) -> Change:
    key = told.key if told.rule.key else ""
    change = alarms.change(told.rule, DeviceId(told.source), concerned(told), key=key, text="", now=now)
    alarms.apply(change)
    return change


@given(tellings)
def test_what_is_open_is_what_was_raised_and_not_cleared_since(history: list[Told]) -> None:
    alarms, model = Alarms(), set[tuple[str, str, str]]()
    for told in history:
        tell(alarms, told)
        key = told.key if told.rule.key else ""
        if told.rule.restarts:
            model = {place for place in model if place[0] != told.source}
        elif told.rule.clears:
            model.discard((told.source, told.rule.clears, key))
        elif told.rule.raises:
            model.add((told.source, told.rule.trap, key))
    assert {alarm.place for alarm in alarms} == model
    for device in {alarm.device for alarm in alarms}:
        assert {alarm.place for alarm in alarms.of(device)} == {alarm.place for alarm in alarms if alarm.device == device}


@given(tellings, tellings)
def test_what_is_taken_back_leaves_everything_as_it_was(before: list[Told], taken_back: list[Told]) -> None:
    alarms = Alarms()
    for told in before:
        tell(alarms, told)
    as_it_was = set(alarms)
    changes = [tell(alarms, told) for told in taken_back]
    for change in reversed(changes):
        alarms.apply(Change(raised=change.over, over=change.raised))
    assert set(alarms) == as_it_was


def test_a_raise_that_comes_twice_opens_one_alarm_and_says_so_once() -> None:
    alarms = Alarms()
    assert [tell(alarms, Told(DOWN, "SW-1", "1")).effect for _ in range(2)] == [Effect.RAISED, Effect.NONE]
    assert tell(alarms, Told(UP, "SW-1", "2")).effect is Effect.NONE
    assert tell(alarms, Told(UP, "SW-1", "1")).effect is Effect.CLEARED


def test_a_port_that_nobody_is_known_at_raises_nothing() -> None:
    assert Alarms().change(DOWN, DeviceId("SW-1"), None, key="7", text="", now=NOW) == Change()


def test_an_alarm_expires() -> None:
    alarms = Alarms()
    tell(alarms, Told(HOT, "SW-1", ""))
    seen = {DeviceId("SW-1"): None}
    assert alarms.stale(seen, NOW + timedelta(minutes=59)) == Change()
    assert len(alarms.stale(seen, NOW + timedelta(hours=1)).over) == 1


def test_an_answer_refutes_a_link_that_is_down_and_nothing_else() -> None:
    alarms = Alarms()
    tell(alarms, Told(DOWN, "SW-1", "1"))
    tell(alarms, Told(HOT, "SW-1", ""))
    early: dict[DeviceId, datetime | None] = {DeviceId("SW-1/1"): NOW + timedelta(seconds=1), DeviceId("SW-1"): NOW + timedelta(minutes=1)}
    assert alarms.stale(early, NOW + timedelta(minutes=1)) == Change()
    late = early | {DeviceId("SW-1/1"): NOW + REFUTED_AFTER}
    assert [alarm.event for alarm in alarms.stale(late, NOW + timedelta(minutes=1)).over] == ["link-down"]


def test_what_a_device_says_of_itself_counts_at_once_and_what_its_switch_says_of_its_link_when_told_again() -> None:
    alarms = Alarms()
    tell(alarms, Told(DOWN, "SW-1", "1"))
    tell(alarms, Told(HOT, "SW-1", ""))
    behind, switch = DeviceId("SW-1/1"), DeviceId("SW-1")
    assert not result_of(behind, alarms.of(behind), NOW).at_once
    assert result_of(switch, alarms.of(switch), NOW).at_once
    assert result_of(DeviceId("C-1"), (), NOW).at_once
    sweep = timedelta(seconds=5)
    asked = [alarms.lasting(NOW + timedelta(seconds=second), sweep) for second in range(0, 120, 5)]
    assert asked.count(frozenset({behind})) == 1 and asked.count(frozenset()) == 23


def test_an_alarm_about_a_device_that_is_no_more_is_over() -> None:
    alarms = Alarms()
    tell(alarms, Told(HOT, "SW-1", ""))
    assert len(alarms.stale({}, NOW).over) == 1


def test_a_device_and_the_city_have_no_more_alarms_than_are_bounded() -> None:
    alarms = Alarms()
    keyed = TrapRule("1.3.6", "alarm", Outcome.WARN, key="1.9")
    for number in range(PER_DEVICE + 5):
        tell(alarms, Told(keyed, "SW-1", str(number)))
    assert len(alarms) == PER_DEVICE
    for number in range(ALARMS + 5):
        tell(alarms, Told(HOT, f"SW-{number + 10}", ""))
    assert len(alarms) == ALARMS


def test_the_worst_alarm_gives_the_reason_and_all_are_told() -> None:
    alarms = Alarms()
    device = DeviceId("SW-1")
    assert result_of(device, alarms.of(device), NOW).outcome is Outcome.OK
    warn = Alarm(device, device, "1.3.3", "", "hot", Outcome.WARN, NOW, NOW + timedelta(hours=1))
    fail = Alarm(device, device, "1.3.9", "", "fan", Outcome.FAIL, NOW + timedelta(seconds=1), NOW + timedelta(hours=1), "风扇")
    alarms.apply(merged([Change(raised=(warn,)), Change(raised=(fail,))]))
    result = result_of(device, alarms.of(device), NOW)
    assert (result.check, result.outcome, result.reason) == ("traps", Outcome.FAIL, "trap-fan")
    assert [told["event"] for told in result.facts["alarms"]] == ["fan", "hot"]
