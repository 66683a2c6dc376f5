"""Quiet hours, pauses, repetition, volume: the rules by themselves."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Figures, Priority
from gateway.domain.broadcast_rules import (
    EVERYWHERE,
    NIGHT,
    DatedHours,
    Effect,
    Loudness,
    Now,
    Past,
    Pauses,
    Rate,
    Refusal,
    SpeakingHours,
    Wish,
    ZoneRules,
    left_out,
)
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.hours import Hours

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
SCHOOL, MARKET, PARK = ZoneId("school"), ZoneId("market"), ZoneId("park")
CITY = SpeakingHours(
    SHANGHAI,
    zones={SCHOOL: ZoneRules((NIGHT, Hours(time(12), time(14)))), MARKET: ZoneRules((Hours(time(23, 30), time(5)),))},
)
SPEAKER, OTHER = DeviceId("s1"), DeviceId("s2")
MINUTE = timedelta(minutes=1)


def at(text: str, zone: tzinfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def quiet(hours: SpeakingHours, moment: datetime, *zones: ZoneId, lasts: timedelta = timedelta(seconds=10)) -> bool:
    return hours.quiet_within(zones, moment, moment + lasts) is not None


# -- quiet hours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("2026-06-01 21:59", False), ("2026-06-01 22:00", True), ("2026-06-01 23:59:59", True), ("2026-06-02 00:00", True),
     ("2026-06-02 05:59:59", True), ("2026-06-02 06:00", False), ("2026-06-02 12:00", False)],
)  # fmt: skip
def test_the_night_is_quiet_from_ten_to_six_over_midnight_by_the_citys_clock(moment: str, *, expected: bool) -> None:
    assert quiet(CITY, at(moment)) is expected


def test_a_broadcast_that_would_run_into_the_quiet_hours_counts_by_its_end() -> None:
    assert not quiet(CITY, at("2026-06-01 21:59:50"), lasts=timedelta(seconds=10))
    assert quiet(CITY, at("2026-06-01 21:59:50"), lasts=timedelta(seconds=10.02))


def test_one_that_would_begin_in_them_and_end_after_them_is_within_them() -> None:
    assert quiet(CITY, at("2026-06-02 05:59:59"), lasts=timedelta(seconds=30))


def test_a_short_quiet_time_in_the_middle_of_a_broadcast_is_not_missed() -> None:
    brief = replace(CITY, quiet=(Hours(time(12), time(12, 1)),))
    assert quiet(brief, at("2026-06-01 11:59"), lasts=timedelta(minutes=5))


def test_a_zone_has_its_own_hours_instead_of_the_citys() -> None:
    assert quiet(CITY, at("2026-06-01 13:00"), SCHOOL) and not quiet(CITY, at("2026-06-01 13:00"))
    assert not quiet(CITY, at("2026-06-01 22:30"), MARKET) and quiet(CITY, at("2026-06-01 23:45"), MARKET)


def test_of_several_zones_the_strictest_counts_and_a_zone_without_hours_has_the_citys() -> None:
    assert quiet(CITY, at("2026-06-01 13:00"), MARKET, SCHOOL)
    assert quiet(CITY, at("2026-06-01 22:30"), MARKET, PARK)
    assert quiet(CITY, at("2026-06-01 22:30"), MARKET, SCHOOL)


def test_who_asks_is_told_which_zone_is_quiet_and_until_when() -> None:
    found = CITY.quiet_within((MARKET, SCHOOL), at("2026-06-01 23:00"), at("2026-06-01 23:01"))
    assert found is not None and (found.zone, found.end) == (SCHOOL, at("2026-06-02 06:00"))
    everywhere = CITY.quiet_within((), at("2026-06-01 23:00"), at("2026-06-01 23:01"))
    assert everywhere is not None and everywhere.zone == EVERYWHERE


def test_quiet_times_that_follow_each_other_are_told_as_one() -> None:
    morning = replace(CITY, exceptions=(_exam(time(6), time(19)),))
    found = morning.quiet_within((), at("2026-06-07 03:00"), at("2026-06-07 03:00"))
    assert found is not None and found.end == at("2026-06-07 19:00")


def test_a_city_that_is_never_quiet_says_so() -> None:
    assert not quiet(replace(CITY, quiet=()), at("2026-06-01 23:00"))


@pytest.mark.parametrize("month", range(1, 13))
def test_in_china_the_night_has_eight_hours_in_every_month(month: int) -> None:
    found = CITY.quiet_within((), at(f"2026-{month:02}-15 23:00"), at(f"2026-{month:02}-15 23:00"))
    assert found is not None and found.end - found.begin == timedelta(hours=8)
    assert found.begin == datetime(2026, month, 15, 14, tzinfo=UTC)


def test_where_the_clocks_change_the_night_ends_by_the_wall_clock() -> None:
    city = SpeakingHours(BERLIN)
    spring = city.quiet_within((), at("2026-03-28 23:00", BERLIN), at("2026-03-28 23:00", BERLIN))
    autumn = city.quiet_within((), at("2026-10-24 23:00", BERLIN), at("2026-10-24 23:00", BERLIN))
    assert spring is not None and spring.end - spring.begin == timedelta(hours=7)
    assert autumn is not None and autumn.end - autumn.begin == timedelta(hours=9)
    assert not quiet(city, at("2026-03-29 06:00", BERLIN)) and quiet(city, at("2026-10-25 05:59", BERLIN))


def test_an_hour_that_comes_twice_is_quiet_both_times() -> None:
    city = SpeakingHours(BERLIN, quiet=(Hours(time(2, 15), time(2, 45)),))
    for fold in (0, 1):
        moment = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN)
        assert quiet(city, moment)


def test_hours_that_end_within_a_skipped_hour_end_after_it() -> None:
    city = SpeakingHours(BERLIN, quiet=(Hours(time(23), time(2, 30)),))
    found = city.quiet_within((), at("2026-03-29 01:00", BERLIN), at("2026-03-29 01:00", BERLIN))
    assert found is not None and found.end == at("2026-03-29 03:30", BERLIN)


# -- dated exceptions -------------------------------------------------------------------------------------------------


def _exam(start: time, end: time, *zones: ZoneId, effect: Effect = Effect.QUIET) -> DatedHours:
    return DatedHours("e1", "gaokao", date(2026, 6, 7), date(2026, 6, 9), start, end, effect, frozenset(zones))


def test_an_exam_is_quiet_on_its_days_in_its_zones_and_nowhere_else() -> None:
    city = replace(CITY, exceptions=(_exam(time(7), time(19), SCHOOL),))
    assert quiet(city, at("2026-06-07 09:00"), SCHOOL, PARK) and quiet(city, at("2026-06-09 18:59"), SCHOOL)
    assert not quiet(city, at("2026-06-06 09:00"), SCHOOL) and not quiet(city, at("2026-06-10 09:00"), SCHOOL)
    assert not quiet(city, at("2026-06-07 09:00"), PARK) and not quiet(city, at("2026-06-07 09:00"))
    found = city.quiet_within((SCHOOL,), at("2026-06-07 09:00"), at("2026-06-07 09:00"))
    assert found is not None and found.name == "gaokao"


def test_an_exception_without_zones_is_for_the_whole_city() -> None:
    city = replace(CITY, exceptions=(_exam(time(7), time(19)),))
    assert quiet(city, at("2026-06-08 09:00")) and quiet(city, at("2026-06-08 09:00"), MARKET)


def test_a_feast_is_open_over_midnight_and_quiet_again_after_it() -> None:
    feast = DatedHours("e2", "new year", date(2026, 12, 31), date(2026, 12, 31), time(22), time(1), Effect.OPEN)
    city = replace(CITY, exceptions=(feast,))
    assert not quiet(city, at("2026-12-31 23:00")) and not quiet(city, at("2027-01-01 00:30"))
    assert quiet(city, at("2027-01-01 01:00")) and quiet(city, at("2027-01-01 22:30")) and quiet(city, at("2026-12-31 05:00"))
    assert quiet(city, at("2027-01-01 00:59:55"))  # by its end


def test_a_feast_in_one_zone_opens_no_other_zone_of_a_loudspeaker() -> None:
    city = replace(CITY, exceptions=(_exam(time(22), time(1), PARK, effect=Effect.OPEN),))
    assert not quiet(city, at("2026-06-07 23:00"), PARK)
    assert quiet(city, at("2026-06-07 23:00"), PARK, SCHOOL)


def test_what_is_said_to_be_quiet_is_quiet_even_where_it_is_open() -> None:
    both = (_exam(time(20), time(1), effect=Effect.OPEN), _exam(time(20), time(23), SCHOOL))
    city = replace(CITY, exceptions=both)
    assert quiet(city, at("2026-06-07 22:30"), SCHOOL) and not quiet(city, at("2026-06-07 22:30"))


_hours = st.builds(Hours, st.builds(time, st.integers(0, 23)), st.builds(time, st.integers(0, 23)), st.frozensets(st.integers(0, 6)))
_days = st.dates(date(2026, 10, 20), date(2026, 10, 30))
_dated = st.builds(
    DatedHours, st.just("e"), st.just("e"), _days, _days, st.builds(time, st.integers(0, 23)), st.builds(time, st.integers(0, 23)),
    st.sampled_from(Effect), st.frozensets(st.sampled_from([SCHOOL, PARK]), max_size=1),
)  # fmt: skip
_cities = st.builds(
    SpeakingHours,
    st.sampled_from([SHANGHAI, UTC]),
    quiet=st.tuples(_hours) | st.just(()),
    zones=st.dictionaries(st.sampled_from([SCHOOL, MARKET]), st.builds(ZoneRules, st.none() | st.tuples(_hours))),
    exceptions=st.lists(_dated, max_size=3).map(tuple),
)
_zones = st.frozensets(st.sampled_from([SCHOOL, MARKET, PARK]))


def _plainly_quiet(city: SpeakingHours, zones: Iterable[ZoneId], moment: datetime) -> bool:
    """The same rules, said for one moment of a wall clock that never changes."""
    local = moment.astimezone(city.timezone)

    def holds(start: time, end: time, days: Iterable[date]) -> bool:
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        now = local.time()
        if end > start:
            return today in days and start <= now < end
        return (today in days and now >= start) or (yesterday in days and now < end)

    near = [local.date() - timedelta(days=back) for back in (0, 1)]
    for zone in set(zones) or {EVERYWHERE}:
        own = city.zones.get(zone)
        usual = city.quiet if own is None or own.quiet is None else own.quiet
        said = [
            (one.effect, holds(one.start, one.end, [day for day in near if one.first <= day <= one.last]))
            for one in city.exceptions
            if not one.zones or zone in one.zones
        ]
        night = any(holds(hours.start, hours.end, [day for day in near if day.weekday() in hours.days]) for hours in usual)
        if (Effect.QUIET, True) in said or (night and (Effect.OPEN, True) not in said):
            return True
    return False


@settings(max_examples=300, deadline=None)
@given(_cities, _zones, st.integers(0, 6 * 24 * 60), st.integers(0, 600))
def test_a_broadcast_is_quiet_when_one_of_its_minutes_is(city: SpeakingHours, zones: frozenset[ZoneId], start: int, minutes: int) -> None:
    begin = datetime(2026, 10, 22, tzinfo=UTC) + start * MINUTE
    plainly = any(_plainly_quiet(city, zones, begin + number * MINUTE) for number in range(max(1, minutes)))
    assert (city.quiet_within(zones, begin, begin + minutes * MINUTE) is not None) is plainly


# -- volume -----------------------------------------------------------------------------------------------------------


def test_of_several_limits_of_volume_the_lowest_counts_for_the_whole_broadcast() -> None:
    city = replace(
        CITY,
        volume=(Loudness(Hours(time(20), time(8)), 60),),
        zones={SCHOOL: ZoneRules(volume=(Loudness(Hours(time(0), time(0)), 40),)), MARKET: ZoneRules(volume=())},
    )
    evening = at("2026-06-01 19:59:50")
    assert city.loudest((), evening, evening + timedelta(seconds=5)) is None
    assert city.loudest((), evening, evening + timedelta(seconds=15)) == 60
    assert city.loudest((MARKET,), evening, evening + timedelta(seconds=15)) is None
    assert city.loudest((MARKET, SCHOOL), evening, evening) == 40


# -- pauses and repetition --------------------------------------------------------------------------------------------

PAUSES = Pauses({Priority.NOTICE: timedelta(seconds=10), Priority.SCHEDULE: timedelta(seconds=60)}, repeat=timedelta(seconds=20))


def delivered(name: str, state: DeliveryState, packets: int = 5, speaker: DeviceId = SPEAKER) -> Delivery:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    figures = Figures("PCMA", packets, 0, moment, moment) if packets else Figures()
    return Delivery(BroadcastId(name), speaker, state, moment, "", figures)


def past_with(state: DeliveryState, *, packets: int = 5, priority: Priority = Priority.NOTICE, silent_since: float = 100.0) -> Past:
    past = Past(PAUSES)
    past.expect(BroadcastId("b1"), SPEAKER, content="clip", priority=priority)
    past.ended(delivered("b1", state, packets), silent_since=silent_since)
    return past


def test_the_pause_is_that_of_the_priority_that_comes() -> None:
    past = past_with(DeliveryState.DONE)
    assert past.cools_for(Priority.NOTICE, SPEAKER, 103.0) == 7.0
    assert past.cools_for(Priority.SCHEDULE, SPEAKER, 103.0) == 57.0
    assert past.cools_for(Priority.TALK, SPEAKER, 103.0) == 0.0
    assert past.cools_for(Priority.NOTICE, SPEAKER, 110.0) == 0.0
    assert past.cools_for(Priority.NOTICE, OTHER, 103.0) == 0.0


def test_a_clock_that_begins_at_nought_is_a_clock() -> None:
    past = past_with(DeliveryState.DONE, silent_since=0.0)
    assert past.cools_for(Priority.NOTICE, SPEAKER, 3.0) == 7.0
    assert past.same("clip", SPEAKER, 3.0) == "b1"
    past.forget(3.0)
    assert past.same("clip", SPEAKER, 3.0) == "b1"


def test_an_emergency_neither_waits_nor_makes_others_wait() -> None:
    assert past_with(DeliveryState.DONE).cools_for(Priority.EMERGENCY, SPEAKER, 100.0) == 0.0
    assert past_with(DeliveryState.DONE, priority=Priority.EMERGENCY).cools_for(Priority.NOTICE, SPEAKER, 100.0) == 0.0


def test_what_was_never_heard_makes_nobody_wait() -> None:
    assert past_with(DeliveryState.FAILED, packets=0).cools_for(Priority.NOTICE, SPEAKER, 100.0) == 0.0
    assert past_with(DeliveryState.CANCELLED).cools_for(Priority.NOTICE, SPEAKER, 100.0) == 10.0


def test_the_same_is_not_said_again_while_it_is_on_its_way_and_for_a_while_after() -> None:
    past = Past(PAUSES)
    past.expect(BroadcastId("b1"), SPEAKER, content="clip", priority=Priority.NOTICE)
    past.forget(1e6)
    assert past.same("clip", SPEAKER, 1e6) == "b1"
    assert past.same("other clip", SPEAKER, 1e6) is None
    assert past.same("clip", OTHER, 1e6) is None
    past.ended(delivered("b1", DeliveryState.DONE), silent_since=1e6)
    assert past.same("clip", SPEAKER, 1e6 + 19.9) == "b1"
    assert past.same("clip", SPEAKER, 1e6 + 20) is None


@pytest.mark.parametrize("state", [DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.PREEMPTED, DeliveryState.EXPIRED])
def test_what_did_not_come_to_its_end_may_be_said_again(state: DeliveryState) -> None:
    assert past_with(state).same("clip", SPEAKER, 100.0) is None


def test_what_may_have_been_heard_is_not_said_again() -> None:
    assert past_with(DeliveryState.UNKNOWN, packets=0).same("clip", SPEAKER, 101.0) == "b1"


def test_what_did_not_come_to_be_is_no_repetition_and_what_is_over_stays_one() -> None:
    past = Past(PAUSES)
    past.expect(BroadcastId("b1"), SPEAKER, content="clip", priority=Priority.NOTICE)
    past.drop(BroadcastId("b1"), SPEAKER)
    assert past.same("clip", SPEAKER, 100.0) is None
    past = past_with(DeliveryState.DONE)
    past.expect(BroadcastId("b1"), SPEAKER, content="clip", priority=Priority.NOTICE)
    past.drop(BroadcastId("b1"), SPEAKER)
    assert past.same("clip", SPEAKER, 119.0) == "b1" and past.same("clip", SPEAKER, 120.0) is None


def test_two_talks_are_never_the_same() -> None:
    past = Past(PAUSES)
    past.expect(BroadcastId("b1"), SPEAKER, content="", priority=Priority.TALK)
    assert past.same("", SPEAKER, 0.0) is None


def test_the_past_is_forgotten_when_it_counts_no_more() -> None:
    past = past_with(DeliveryState.DONE)
    past.forget(159.9)
    assert past.cools_for(Priority.SCHEDULE, SPEAKER, 159.9) > 0
    past.forget(160.0)
    assert not past._said


def test_nobody_orders_more_than_so_many_in_a_minute() -> None:
    rate = Rate(2)
    rate.count("a", Priority.NOTICE, 0.0)
    rate.count("a", Priority.ENFORCEMENT, 10.0)
    assert (rate.wait_s("a", Priority.NOTICE, 10.0), rate.wait_s("b", Priority.NOTICE, 10.0)) == (50.0, 0.0)
    assert rate.wait_s("a", Priority.NOTICE, 60.0) == 0.0


def test_a_talk_and_an_emergency_wait_for_nothing_that_is_less_important() -> None:
    rate = Rate(1)
    for priority in (Priority.ENFORCEMENT, Priority.TALK, Priority.EMERGENCY):
        assert rate.wait_s("a", priority, 0.0) == 0.0
        rate.count("a", priority, 0.0)
        assert rate.wait_s("a", priority, 0.0) == 60.0
        assert rate.wait_s("a", Priority.SCHEDULE, 0.0) == 60.0


# -- the verdict ------------------------------------------------------------------------------------------------------


def judged(
    wish: Wish, moment: str, past: Past | None = None, steady: float = 100.0, hours: SpeakingHours = CITY
) -> dict[DeviceId, Refusal]:
    zones = {SPEAKER: frozenset({SCHOOL}), OTHER: frozenset({MARKET})}
    found = left_out(
        wish, (SPEAKER, OTHER), hours=hours, past=past or Past(PAUSES), zones_of=zones.__getitem__, now=Now(at(moment), steady)
    )
    return {speaker: why.reason for speaker, why in found.items()}


def wish(moment: str, priority: Priority = Priority.NOTICE, *, overridden: bool = False, again: bool = False) -> Wish:
    return Wish(BroadcastId("b9"), priority, "clip", timedelta(seconds=10), at(moment) + timedelta(seconds=5), overridden, again)


def test_only_the_loudspeakers_of_quiet_zones_are_left_out() -> None:
    evening = "2026-06-01 22:30"
    assert judged(wish(evening), evening) == {SPEAKER: Refusal.QUIET_HOURS}
    assert judged(wish(evening, Priority.TALK), evening) == {SPEAKER: Refusal.QUIET_HOURS}


def test_an_emergency_and_an_override_pass_through_quiet_hours() -> None:
    evening = "2026-06-01 23:45"
    assert judged(wish(evening, Priority.EMERGENCY), evening) == {}
    assert judged(wish(evening, overridden=True), evening) == {}
    assert judged(wish(evening), evening) == {SPEAKER: Refusal.QUIET_HOURS, OTHER: Refusal.QUIET_HOURS}


def test_a_pause_that_ends_in_time_is_waited_for_and_one_that_does_not_is_not() -> None:
    noon = "2026-06-01 11:00"
    past = past_with(DeliveryState.DONE)
    assert judged(wish(noon), noon, past, 104.9) == {SPEAKER: Refusal.DUPLICATE}
    assert judged(wish(noon, again=True), noon, past, 104.9) == {SPEAKER: Refusal.COOLING_DOWN}
    assert judged(wish(noon, again=True), noon, past, 105.0) == {}
