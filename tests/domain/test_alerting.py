"""Few messages, each told once, and a reason for everything that is not told: by example, and for any history that hypothesis thinks of."""

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import alerting
from gateway.domain.alert_log import Answer, Delivery, Fate, answers
from gateway.domain.alert_routes import EARLIER_ROUTE, NO_ROUTE, NOT_MATCHED, Match, Quiet, Route, Routes
from gateway.domain.alerting import Bundle, Happening, Kind, Message, Note, heed, ripe, wake
from gateway.domain.hours import Hours
from gateway.domain.severity import Severity
from gateway.domain.trouble import Trouble, trouble_json, trouble_of
from tests.domain.troubles import START, incident_json

ZONE = ZoneInfo("Asia/Shanghai")
WAIT, INTERVAL = timedelta(seconds=10), timedelta(seconds=120)
PLAIN = Route("desk", ("hook",), group_wait=WAIT, group_interval=INTERVAL)
NIGHT = Hours(time(22), time(7))


@dataclass
class Desk:
    """The rules at work on a clock that the test moves; what was told and noted, in order."""

    routes: Routes
    now: datetime = START
    bundles: dict[str, Bundle] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    ids: Any = field(default_factory=lambda: itertools.count(1))

    def sees(self, event: str, *, at: datetime | None = None, muted_by: str = "", **changes: Any) -> None:
        trouble = trouble_of(incident_json(**changes))
        seen = Happening(f"incident.{event}", trouble, at or self.now, muted_by)
        self._take(heed(self.bundles, seen, self.routes, now=self.now, new_id=lambda: f"A-{next(self.ids)}"))

    def passes(self, seconds: float) -> None:
        end = self.now + timedelta(seconds=seconds)
        while (moment := self._next()) is not None and moment <= end:
            self.now = max(self.now, moment)
            self._take(ripe(self.bundles, self.routes, now=self.now))
        self.now = end

    def _next(self) -> datetime | None:
        moments = [wake(one, route, self.routes) for one in self.bundles.values() if (route := self.routes.named(one.route))]
        return min((moment for moment in moments if moment), default=None)

    def _take(self, outcome: alerting.Outcome) -> None:
        self.bundles = outcome.over(self.bundles)
        self.messages += outcome.messages
        self.notes += outcome.notes
        assert not any(re.search("[a-z]{2,} [a-z]{2,}", in_chinese(note)) for note in outcome.notes)

    @property
    def told(self) -> list[tuple[str, list[str]]]:
        return [(message.kind.value, [one.id for one in (*message.troubles, *message.over)]) for message in self.messages]

    def why(self, incident: str) -> list[str]:
        return [note.reason for note in self.notes if note.incident == incident]


def desk(*routes: Route) -> Desk:
    return Desk(Routes(routes or (PLAIN,), ZONE))


def in_chinese(note: Note) -> str:
    """What somebody is answered in Chinese who asks why it was not told."""
    return answered(note).zh


def answered(note: Note) -> Answer:
    nothing: dict[str, Any] = {"message": "", "channel": "", "people": (), "kind": "", "severity": "", "attempts": 0, "times": 1}
    held = {"number": 1, "incidents": (note.incident,), "outcome": Fate.HELD, "at": note.at, "ended_at": None}
    [answer] = answers([Delivery(route=note.route, reason=note.reason, detail=note.detail, **nothing, **held)], by_channel={}, zone=ZONE)
    return answer


def resolved(**changes: Any) -> dict[str, Any]:
    return {"state": "resolved", "resolved_at": START.isoformat(), **changes}


def test_an_answer_says_times_as_the_site_has_them_and_nothing_to_be_told_that_is_not() -> None:
    snoozed = answered(Note("I-1", "all", "snoozed", START, "until 2026-11-27T23:35:03.860272+00:00"))
    assert (snoozed.zh, snoozed.en) == (
        "已被暂停提醒,至 2026-11-28 07:35:03",
        "it is snoozed, until 2026-11-28 07:35:03",
    )
    joined = answered(Note("I-1", "all", "grouped", START, "with others in A-1"))
    assert (joined.zh, joined.en, joined.told) == ("合并通知:与其他故障并入 A-1", "it goes out together with others in A-1", False)


# -- few messages ----------------------------------------------------------------------------------------------------------


def test_one_incident_is_told_once_and_its_end_once() -> None:
    house = desk()
    house.sees("opened", devices=1)
    house.passes(5)
    house.sees("grown", devices=13)
    house.passes(600)
    house.sees("resolved", **resolved())
    house.passes(3600)
    assert house.told == [("problem", ["I-1"]), ("recovery", ["I-1"])]
    assert house.messages[0].troubles[0].devices == 13
    assert house.bundles == {}


def test_several_within_the_wait_become_one_message_and_one_recovery_when_all_are_over() -> None:
    house = desk()
    for number in range(5):
        house.sees("opened", id_=f"I-{number}")
        house.passes(1)
    house.passes(60)
    for number in range(5):
        house.sees("resolved", id_=f"I-{number}", **resolved())
        house.passes(30)
    assert [kind for kind, _ in house.told] == ["problem", "recovery"]
    assert len(house.told[0][1]) == len(house.told[1][1]) == 5
    assert house.why("I-3") == ["grouped"]


def test_what_comes_soon_after_is_an_update_no_sooner_than_the_interval() -> None:
    house = desk()
    house.sees("opened")
    house.passes(20)
    for number in range(2, 6):
        house.sees("opened", id_=f"I-{number}")
        house.passes(5)
    house.passes(300)
    assert [kind for kind, _ in house.told] == ["problem", "update"]
    assert house.messages[1].at - house.messages[0].at == INTERVAL
    assert (len(house.messages[1].troubles), house.messages[1].others) == (4, 1)


def test_what_is_worse_than_what_was_told_does_not_wait_for_the_interval() -> None:
    house = desk()
    house.sees("opened", severity="minor")
    house.passes(20)
    house.sees("grown", severity="critical")
    house.passes(11)
    assert [(message.kind, message.severity) for message in house.messages] == [(Kind.PROBLEM, "minor"), (Kind.UPDATE, "critical")]


def test_what_alone_takes_several_times_as_many_devices_as_all_that_was_told_does_not_wait_for_the_interval() -> None:
    house = desk()
    house.sees("opened", devices=3)
    house.passes(20)
    house.sees("opened", id_="I-2", devices=75)
    house.passes(11)
    assert house.told == [("problem", ["I-1"]), ("update", ["I-2"])]
    house.sees("opened", id_="I-3", devices=80)
    house.passes(60)
    assert len(house.told) == 2, "about as large as what was told"


def test_what_is_large_and_less_severe_and_a_storm_of_small_ones_wait_for_the_interval() -> None:
    house = desk()
    house.sees("opened", devices=3)
    house.passes(20)
    house.sees("opened", id_="I-2", devices=75, severity="major")
    for number in range(3, 20):
        house.sees("opened", id_=f"I-{number}", devices=8)
    house.passes(300)
    assert [kind for kind, _ in house.told] == ["problem", "update"]
    assert house.messages[1].at - house.messages[0].at == INTERVAL


def test_a_later_incident_is_a_message_of_its_own_with_a_recovery_of_its_own() -> None:
    house = desk()
    house.sees("opened")
    house.passes(500)
    house.sees("opened", id_="I-2")
    house.passes(500)
    house.sees("resolved", id_="I-2", **resolved())
    house.passes(60)
    assert house.told == [("problem", ["I-1"]), ("problem", ["I-2"]), ("recovery", ["I-2"])]


def test_what_was_over_before_it_was_told_is_not_told_but_explained() -> None:
    house = desk()
    house.sees("opened")
    house.passes(3)
    house.sees("resolved", **resolved())
    house.passes(600)
    assert (house.told, house.why("I-1"), house.bundles) == ([], [alerting.OVER], {})


def test_what_returns_before_its_end_was_told_is_no_news() -> None:
    house = desk()
    house.sees("opened")
    house.passes(60)
    house.sees("resolved", **resolved())
    house.passes(5)
    house.sees("reopened")
    house.passes(600)
    assert [kind for kind, _ in house.told] == ["problem"]


def test_what_returns_later_is_told_anew() -> None:
    house = desk()
    for event, changes in (("opened", {}), ("resolved", resolved()), ("reopened", {}), ("resolved", resolved())):
        house.sees(event, **changes)
        house.passes(600)
    assert [kind for kind, _ in house.told] == ["problem", "recovery"] * 2


def test_after_a_long_stop_what_came_and_went_is_one_summary() -> None:
    house = desk()
    long_ago = START - timedelta(hours=5)
    for number in range(40):
        house.sees("opened", id_=f"I-{number}", at=long_ago)
        house.sees("resolved", id_=f"I-{number}", at=long_ago, **resolved())
    house.sees("opened", id_="I-still", at=long_ago)
    house.passes(3600)
    assert [kind for kind, _ in house.told] == ["summary"]
    summary = house.messages[0]
    assert ([one.id for one in summary.troubles], len(summary.incidents), summary.more) == (["I-still"], 41, 10)


# -- people ------------------------------------------------------------------------------------------------------------------


REMINDING = replace(PLAIN, remind=timedelta(minutes=30))


def test_a_reminder_comes_while_nobody_has_acknowledged() -> None:
    house = desk(REMINDING)
    house.sees("opened")
    house.passes(3700)
    assert [kind for kind, _ in house.told] == ["problem", "reminder", "reminder"]
    house.sees("acknowledged", state="acknowledged", acknowledged_by="user:wang")
    house.passes(7200)
    assert len(house.told) == 3
    assert house.why("I-1") == [alerting.ACKNOWLEDGED]


def test_who_acknowledged_is_told_by_name_where_there_is_one() -> None:
    told = incident_json(acknowledged_by="api-key:ba2356e012f6", acknowledger="王工")
    again = trouble_of(trouble_json(trouble_of(told)))
    assert (again.known_by, again.acknowledged_by) == ("王工", "api-key:ba2356e012f6")
    assert trouble_of(told | {"acknowledger": ""}).known_by == "api-key:ba2356e012f6"


def test_a_reminder_names_only_what_nobody_has_acknowledged() -> None:
    house = desk(REMINDING)
    house.sees("opened")
    house.sees("opened", id_="I-2")
    house.passes(60)
    house.sees("acknowledged", state="acknowledged", acknowledged_by="user:wang")
    house.passes(1900)
    assert house.told[1:] == [("reminder", ["I-2"])]


def test_a_snooze_silences_reminders_until_it_ends() -> None:
    house = desk(REMINDING)
    house.sees("opened")
    house.passes(60)
    until = house.now + timedelta(hours=4)
    house.sees("snoozed", snoozed_until=until.isoformat())
    house.passes(3 * 3600)
    assert [kind for kind, _ in house.told] == ["problem"]
    house.passes(3600)
    assert [kind for kind, _ in house.told] == ["problem", "reminder"]
    assert house.why("I-1") == [alerting.SNOOZED]


def test_what_is_snoozed_before_it_was_told_is_told_when_the_snooze_ends() -> None:
    house = desk()
    house.sees("opened", snoozed_until=(START + timedelta(hours=1)).isoformat())
    house.passes(3500)
    assert house.told == []
    house.passes(200)
    assert house.told == [("problem", ["I-1"])]


def test_an_escalation_goes_to_the_next_level_at_once_and_only_once() -> None:
    house = desk()
    house.sees("opened")
    house.passes(60)
    house.sees("escalated", escalation_level=1)
    house.sees("escalated", escalation_level=1)
    house.sees("assigned", escalation_level=1, assignee="li")
    house.passes(5)
    assert [(message.kind, message.level) for message in house.messages] == [(Kind.PROBLEM, 0), (Kind.ESCALATION, 1)]


def test_who_acknowledged_and_took_it_back_is_followed_by_the_levels_anew() -> None:
    house = desk()
    house.sees("opened")
    house.passes(60)
    house.sees("escalated", escalation_level=1)
    house.sees("acknowledged", state="acknowledged", escalation_level=1)
    house.sees("unacknowledged", escalation_level=0)
    house.sees("escalated", escalation_level=1)
    assert [message.level for message in house.messages if message.kind is Kind.ESCALATION] == [1, 1]


# -- night -------------------------------------------------------------------------------------------------------------------


SLEEPING = replace(PLAIN, quiet=(Quiet(NIGHT, Severity.MAJOR),))
EVENING = timedelta(hours=12)  # 00:00 in Jinan


def test_at_night_what_is_minor_waits_for_the_morning_in_one_summary() -> None:
    house = desk(SLEEPING)
    house.passes(EVENING.total_seconds())
    for number in range(4):
        house.sees("opened", id_=f"I-{number}", severity="minor")
        house.passes(600)
    house.sees("resolved", id_="I-0", severity="minor", **resolved())
    house.passes(5 * 3600)
    assert house.told == []
    house.passes(3 * 3600)
    assert house.told == [("summary", ["I-1", "I-2", "I-3", "I-0"])]
    assert house.messages[0].at.astimezone(ZONE).time() == time(7)
    assert alerting.QUIET in house.why("I-2")


def at_night_escalated() -> Desk:
    """Told by day, and escalated at midnight to the second level."""
    house = desk(SLEEPING)
    house.sees("opened", severity="minor")
    house.passes(EVENING.total_seconds())
    house.sees("escalated", severity="minor", escalation_level=1)
    house.sees("escalated", severity="minor", escalation_level=2)
    house.passes(6 * 3600)
    assert [kind for kind, _ in house.told] == ["problem"]
    assert house.why("I-1") == [alerting.QUIET] * 2
    return house


def test_an_escalation_that_the_night_holds_back_is_told_in_the_morning_and_only_once() -> None:
    house = at_night_escalated()
    house.passes(3 * 3600)
    house.sees("assigned", severity="minor", escalation_level=2, assignee="li")
    house.passes(3 * 3600)
    assert [(message.kind, message.level) for message in house.messages[1:]] == [(Kind.ESCALATION, 2)]
    assert house.messages[1].at.astimezone(ZONE).time() == time(7)


def test_an_escalation_of_the_night_that_somebody_answers_before_the_morning_is_not_told() -> None:
    for event, changes in (("acknowledged", {"state": "acknowledged", "escalation_level": 2}), ("unacknowledged", {})):
        house = at_night_escalated()
        house.sees(event, severity="minor", **changes)
        house.passes(6 * 3600)
        assert [kind for kind, _ in house.told] == ["problem"]


def test_what_begins_at_night_does_not_join_what_waits_to_be_escalated() -> None:
    house = at_night_escalated()
    house.sees("opened", id_="I-2")
    house.passes(60)
    assert house.told[1:] == [("problem", ["I-2"])]


def test_each_level_is_told_of_its_own_escalations_in_the_morning() -> None:
    house = desk(SLEEPING)
    for number in range(3):
        house.sees("opened", id_=f"I-{number}", severity="minor")
    house.passes(EVENING.total_seconds())
    for number, level in enumerate((2, 1, 1)):
        house.sees("escalated", id_=f"I-{number}", severity="minor", escalation_level=level)
    house.passes(9 * 3600)
    assert [(message.level, message.incidents) for message in house.messages[1:]] == [(1, ("I-1", "I-2")), (2, ("I-0",))]


def test_who_is_told_in_the_mornings_summary_is_not_told_of_the_same_escalation_again() -> None:
    house = desk(SLEEPING)
    house.passes(EVENING.total_seconds())
    house.sees("opened", severity="minor")
    house.sees("escalated", severity="minor", escalation_level=1)
    house.passes(8 * 3600)
    house.sees("assigned", severity="minor", escalation_level=1, assignee="li")
    house.passes(60)
    assert [(message.kind, message.level) for message in house.messages] == [(Kind.SUMMARY, 1)]


def test_what_is_critical_passes_at_night_whatever_the_threshold() -> None:
    house = desk(replace(PLAIN, quiet=(Quiet(NIGHT, Severity.CRITICAL),)))
    house.passes(EVENING.total_seconds())
    house.sees("opened")
    house.passes(60)
    house.sees("resolved", **resolved())
    house.passes(60)
    assert [kind for kind, _ in house.told] == ["problem", "recovery"]


def test_the_end_of_what_was_told_by_day_does_not_wake_anybody() -> None:
    house = desk(SLEEPING)
    house.sees("opened", severity="minor")
    house.passes(EVENING.total_seconds())
    house.sees("resolved", severity="minor", **resolved())
    house.passes(6 * 3600)
    assert [kind for kind, _ in house.told] == ["problem"]
    house.passes(2 * 3600)
    assert [kind for kind, _ in house.told] == ["problem", "recovery"]


def test_quiet_hours_around_the_clock_hold_back_reminders_for_longer_than_a_week() -> None:
    house = desk(replace(REMINDING, quiet=(Quiet(Hours(time(0), time(0)), Severity.MINOR),)))
    house.sees("opened", severity="warning")
    house.sees("opened", id_="I-2", severity="warning")
    house.sees("grown")
    house.passes(60)
    house.sees("acknowledged", state="acknowledged")
    house.passes(30 * 86_400)
    assert [kind for kind, _ in house.told] == ["problem"]


# -- routes ------------------------------------------------------------------------------------------------------------------


def test_the_first_route_that_takes_it_is_the_last_unless_it_continues() -> None:
    critical = replace(PLAIN, name="critical", match=Match(severity=Severity.CRITICAL), goes_on=True)
    house = desk(critical, replace(PLAIN, name="all"), replace(PLAIN, name="never"))
    house.sees("opened")
    house.sees("opened", id_="I-2", severity="minor")
    house.passes(60)
    assert [(message.route, message.incidents) for message in house.messages] == [("critical", ("I-1",)), ("all", ("I-1", "I-2"))]
    assert [(note.route, note.reason) for note in house.notes if note.incident == "I-2"] == [
        ("critical", NOT_MATCHED),
        ("all", "grouped"),
        ("never", EARLIER_ROUTE),
    ]


def test_each_condition_of_a_match_is_named_when_it_fails() -> None:
    matches = {
        "severity": Match(severity=Severity.CRITICAL),
        "kinds": Match(kinds=frozenset({"recorder"})),
        "districts": Match(districts=frozenset({"市中"})),
        "vendors": Match(vendors=frozenset({"Nobody"})),
        "hours": Match(times=(Hours(time(18), time(6)),)),
    }
    house = desk(*(replace(PLAIN, name=name, match=match) for name, match in matches.items()))
    house.sees("opened", severity="major")
    for note in house.notes[:-1]:
        assert note.reason == NOT_MATCHED and note.route in note.detail
    assert (house.notes[-1].reason, house.notes[-1].route) == (NO_ROUTE, "")
    assert "severity:级别重要低于紧急;kinds:设备类型(摄像机, 音柱, 交换机)不在 录像机 之列;" in in_chinese(house.notes[-1])


def test_a_maintenance_window_mutes_and_is_named() -> None:
    house = desk()
    house.sees("opened", muted_by="M-7")
    house.passes(600)
    assert house.told == []
    assert [(note.reason, note.detail) for note in house.notes] == [(alerting.MUTED, "by the maintenance window M-7")]


def test_a_route_that_is_gone_takes_its_bundles_along_and_says_so() -> None:
    house = desk()
    house.sees("opened")
    house.routes = Routes((), ZONE)
    house._take(ripe(house.bundles, house.routes, now=house.now))
    assert (house.bundles, house.why("I-1")) == ({}, [alerting.ROUTE_GONE])


def test_an_incident_is_the_same_after_a_way_through_json() -> None:
    trouble = trouble_of(incident_json(snoozed_until="2026-03-02T12:00:00+08:00"))
    assert trouble_of(trouble_json(trouble)) == trouble


# -- whatever happens --------------------------------------------------------------------------------------------------------

_steps = st.lists(
    st.tuples(
        st.sampled_from(["opened", "grown", "acknowledged", "snoozed", "escalated", "resolved", "reopened", "again"]),
        st.integers(0, 3),
        st.sampled_from(list(Severity)),
        st.sampled_from([0, 1, 4, 11, 50, 130, 700, 4000, 20_000]),
    ),
    max_size=25,
)
_routes = st.builds(
    Route,
    st.just("desk"),
    st.just(("hook",)),
    match=st.builds(Match, severity=st.sampled_from(list(Severity))),
    remind=st.sampled_from([timedelta(), timedelta(minutes=20)]),
    quiet=st.sampled_from([(), (Quiet(NIGHT, Severity.MAJOR),), (Quiet(Hours(time(0), time(0)), Severity.MINOR),)]),
    group_wait=st.sampled_from([timedelta(0), WAIT]),
    group_interval=st.sampled_from([timedelta(0), INTERVAL]),
)


@settings(max_examples=400, deadline=None)
@given(_steps, _routes)
def test_no_history_of_incidents_makes_a_storm_or_loses_one(steps: Sequence[Any], route: Route) -> None:
    house = desk(route)
    known = _play(house, steps)
    house.passes(10 * 86_400)
    _each_end_is_told_once(house)
    _bundles_keep_their_pace(house, route)
    _nights_are_quiet(house, route)
    waiting = [line for bundle in house.bundles.values() for line in bundle.lines.values() if line.owed(house.now)]
    assert all(_around_the_clock(route, line.trouble.severity) for line in waiting), "escalated, and nobody was told"
    for incident, (state, severity) in known.items():
        named = [message for message in house.messages if incident in message.incidents]
        assert named or house.why(incident), "neither told nor explained"
        if state != "resolved" and severity.at_least(route.match.severity) and not _around_the_clock(route, severity):
            assert any(message.kind is not Kind.RECOVERY for message in named), "open for days, and nobody was told"


def _play(house: Desk, steps: Sequence[Any]) -> dict[str, tuple[str, Severity]]:
    """Only what an incident's own states allow; gives how each ended."""
    known: dict[str, tuple[str, Severity]] = {}
    last: dict[str, Any] = {}
    for event, number, severity, pause in steps:
        id_ = f"I-{number}"
        state, before = known.get(id_, ("", severity))
        if event == "again" and id_ in last:
            told = len(house.messages)
            house.sees(**last[id_])
            assert len(house.messages) == told, "the same event twice told something"
        elif (event == "opened") == (state == "") and (event == "reopened") == (state == "resolved") and event != "again":
            now_is = {"resolved": "resolved", "acknowledged": "acknowledged"}.get(
                event, state if event not in {"opened", "reopened"} else "open"
            )
            worst = min(before, severity, key=lambda one: one.rank) if event == "grown" else before
            known[id_] = (now_is, worst)
            last[id_] = {
                "event": event,
                "id_": id_,
                "state": now_is,
                "severity": worst.value,
                "devices": 4**number,
                "escalation_level": int(event == "escalated"),
            }
            if event == "snoozed":
                last[id_]["snoozed_until"] = (house.now + timedelta(hours=1)).isoformat()
            house.sees(**last[id_])
        house.passes(pause)
    return known


def _each_end_is_told_once(house: Desk) -> None:
    ends = Counter(message.bundle for message in house.messages if message.kind is Kind.RECOVERY)
    assert all(count == 1 for count in ends.values())
    assert len({message.id for message in house.messages}) == len(house.messages)
    over: set[str] = set()
    for message in house.messages:
        assert message.bundle not in over, "a bundle spoke after its end"
        if message.kind is Kind.RECOVERY:
            over.add(message.bundle)
            assert all(trouble.over for trouble in message.troubles)
            assert any(one.bundle == message.bundle and one.kind is not Kind.RECOVERY for one in house.messages)
        elif message.kind is not Kind.SUMMARY:
            assert not any(trouble.over for trouble in message.troubles)


def _bundles_keep_their_pace(house: Desk, route: Route) -> None:
    by_bundle: dict[str, list[Message]] = defaultdict(list)
    for message in house.messages:
        if message.kind in {Kind.PROBLEM, Kind.UPDATE, Kind.SUMMARY}:
            by_bundle[message.bundle].append(message)
    for told in by_bundle.values():
        for before, after in itertools.pairwise(told):
            earlier = told[: told.index(after)]
            rank = min(one.severity.rank for one in earlier)
            before_it = sum({one.id: one.devices for message in earlier for one in message.troubles}.values())
            large = any(one.severity.rank == rank and one.devices >= alerting.FAR_MORE * before_it for one in after.troubles)
            assert after.severity.rank < rank or large or after.at - before.at >= route.group_interval


def _nights_are_quiet(house: Desk, route: Route) -> None:
    for message in house.messages:
        if message.kind is not Kind.RECOVERY and message.troubles:
            assert route.held_until(message.severity, message.at, ZONE) is None
    for message in house.messages:
        if message.kind is Kind.REMINDER:
            assert not any(trouble.acknowledged or trouble.snoozed(message.at) for trouble in message.troubles)


def _around_the_clock(route: Route, severity: Severity) -> bool:
    """Whether quiet hours never end for it."""
    return any(one.hours.start == one.hours.end and one.until(severity, START, ZONE) is not None for one in route.quiet)


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    friday = Hours(time(22), time(7), frozenset({4}))
    at = [datetime(2026, 3, day, hour, tzinfo=ZONE) for day, hour in ((6, 21), (6, 23), (7, 6), (7, 7), (7, 23))]
    assert [friday.holds(moment, ZONE) for moment in at] == [False, True, True, False, False]
    assert friday.until(at[1], ZONE) == datetime(2026, 3, 7, 7, tzinfo=ZONE)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("9999-12-31T23:59:59-23:00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "zh", "en", "count", "kind"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(incident_json())), _json, max_size=4))
def test_whatever_an_event_tells_is_an_incident_or_a_value_error(changes: dict[str, Any]) -> None:
    try:
        trouble = trouble_of({**incident_json(), **changes})
    except ValueError:
        return
    assert trouble_of(trouble_json(trouble)) == trouble


def test_trouble_needs_what_every_incident_has() -> None:
    for missing in ("id", "state", "severity", "opened_at"):
        broken = incident_json()
        del broken[missing]
        try:
            trouble: Trouble | None = trouble_of(broken)
        except ValueError:
            trouble = None
        assert trouble is None
