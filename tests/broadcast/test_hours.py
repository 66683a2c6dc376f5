"""The file of speaking hours, and the days that people add to it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.broadcast.hours import HoursDesk
from gateway.broadcast.hours_file import load_hours
from gateway.clock import SimulatedClock
from gateway.domain.broadcast_rules import NIGHT, DatedHours, Effect
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, Zone, ZoneId
from gateway.domain.hours import Hours
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "configs" / "quiet-hours.yaml"
SHANGHAI = ZoneInfo("Asia/Shanghai")
SCHOOL = ZoneId("school-3")


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((HERE / "bad_hours").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_just_the_faults_that_its_comments_name(path: Path) -> None:
    expected = [line[2:] for line in path.read_text().splitlines() if line.startswith("# line")]
    with pytest.raises(InvalidInput) as caught:
        load_hours(path, SHANGHAI)
    assert [f"{fault.where}: {fault.why}" for fault in caught.value.faults] == expected
    assert caught.value.code == "bad-quiet-hours"


def test_the_example_is_what_holds_without_a_file() -> None:
    shipped = load_hours(EXAMPLE, SHANGHAI)
    assert (shipped.quiet, shipped.volume, shipped.zones, shipped.exceptions) == ((NIGHT,), (), {}, ())


def test_the_example_is_good_with_all_that_it_shows(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    text = re.sub(r"(volume|zones|exceptions): (\[\]|\{\})$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"^( +)# (?=[ -]|[a-z]+:)", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "hours.yaml").write_text(text, encoding="utf-8")
    shown = load_hours(tmp_path / "hours.yaml", SHANGHAI)
    assert [(limit.percent, limit.hours) for limit in shown.volume] == [(60, Hours(time(20), time(8)))]
    school, market = shown.zones[SCHOOL], shown.zones[ZoneId("market")]
    assert school.quiet == (Hours(time(21), time(7)), Hours(time(12), time(14)))
    assert school.volume is not None and school.volume[0].percent == 50
    assert market.quiet == (Hours(time(23, 30), time(5)),) and market.volume is None
    assert [(one.name, one.effect, one.zones) for one in shown.exceptions] == [
        ("高考", Effect.QUIET, frozenset({SCHOOL})),
        ("除夕", Effect.OPEN, frozenset()),
    ]


def test_noise_sensitive_zones_have_hours_of_their_own_when_none_are_given(tmp_path: Path) -> None:
    (tmp_path / "hours.yaml").write_text("noise_sensitive: {zones: [school-3]}\n")
    assert load_hours(tmp_path / "hours.yaml", SHANGHAI).zones[SCHOOL].quiet == (Hours(time(21), time(7)), Hours(time(12), time(14)))


_words = st.sampled_from(
    ["quiet", "volume", "noise_sensitive", "zones", "exceptions", "from", "to", "22:00", "percent", "first", "2027-06-07", "then", "open",
     "a", "-", ":", "[", "]", "{", "}", ",", "\n", "  ", "&x", "*x", "<<", "? ", "|", "!!", "null", "0x7", "'", "#", "\t", "true"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_words, max_size=40).map(" ".join) | st.lists(_words, max_size=40).map("".join))
def test_whatever_stands_in_the_file_is_taken_or_refused_with_lines(tmp_path: Path, text: str) -> None:
    (tmp_path / "hours.yaml").write_text(text)
    try:
        load_hours(tmp_path / "hours.yaml", SHANGHAI)
    except InvalidInput as error:
        assert error.faults and all(fault.where.startswith("line ") for fault in error.faults)


# -- the desk ---------------------------------------------------------------------------------------------------------

EXAM = DatedHours("", "gaokao", date(2026, 6, 7), date(2026, 6, 9), time(7), time(19), Effect.QUIET, frozenset({SCHOOL}))
DURING, AFTER = datetime(2026, 6, 8, 1, tzinfo=UTC), datetime(2026, 6, 10, 1, tzinfo=UTC)


@pytest.fixture
def city() -> City:
    city = City()
    city.replace(devices=[], zones=[Zone(SCHOOL, "school", frozenset({DeviceId("s1")}))])
    return city


def make_desk(store: Store, city: City, clock: SimulatedClock, path: Path | None = None) -> HoursDesk:
    return HoursDesk(path, store=store, city=city, clock=clock, timezone=SHANGHAI, new_id=lambda: "Q-1")


async def _told(store: Store) -> list[Mapping[str, object]]:
    return [event.data for event in await store.events.read_after(0, limit=100) if event.type == "broadcast.hours-changed"]


async def test_days_that_somebody_adds_hold_at_once_and_after_a_restart(store: Store, city: City, clock: SimulatedClock) -> None:
    desk = make_desk(store, city, clock)
    added = await desk.add(EXAM, reason="notice 12", actor=ACTOR)
    assert (added.hours.id, added.actor, added.reason) == ("Q-1", ACTOR, "notice 12")
    for held in (desk, again := make_desk(store, city, clock)):
        await held.load()
        assert held.hours.quiet_within((SCHOOL,), DURING, DURING) is not None
        assert held.hours.quiet_within((), DURING, DURING) is None
    assert again.added == (added,)


async def test_days_that_are_withdrawn_hold_no_more_and_stay_on_record(store: Store, city: City, clock: SimulatedClock) -> None:
    desk = make_desk(store, city, clock)
    await desk.add(EXAM, reason="notice 12", actor=ACTOR)
    await desk.withdraw("Q-1", ACTOR)
    assert desk.hours.quiet_within((SCHOOL,), DURING, DURING) is None
    with pytest.raises(NotFound):
        await desk.withdraw("Q-1", ACTOR)
    assert [event["what"] for event in await _told(store)] == ["added", "withdrawn"]
    async with store.read() as tx:
        entries = await tx.audit.page(limit=10)
    assert [row.entry.action for row in entries if row.entry.actor == ACTOR] == ["broadcast.hours-changed"] * 2


async def test_days_that_cannot_be_are_refused_with_every_fault(store: Store, city: City, clock: SimulatedClock) -> None:
    wrong = replace(EXAM, first=date(2026, 6, 9), last=date(2020, 6, 7), zones=frozenset({ZoneId("nowhere")}))
    with pytest.raises(InvalidInput) as caught:
        await make_desk(store, city, clock).add(wrong, reason="", actor=ACTOR)
    assert {fault.where for fault in caught.value.faults} == {"/zones", "/last", "/reason"}
    assert caught.value.code == "bad-quiet-days"


async def test_a_file_is_taken_up_anew_whole_or_not_at_all(store: Store, city: City, clock: SimulatedClock, tmp_path: Path) -> None:
    path = tmp_path / "hours.yaml"
    path.write_text("quiet: []\n")
    desk = make_desk(store, city, clock, path)
    await desk.add(EXAM, reason="notice 12", actor=ACTOR)
    night = datetime(2026, 6, 8, 15, tzinfo=UTC)
    assert desk.hours.quiet_within((), night, night) is None
    path.write_text("quiet: [{from: '22:00', to: '06:00'}]\nzones: {scool-3: {quiet: []}}\n")
    await desk.reload(ACTOR)
    assert desk.hours.quiet_within((), night, night) is not None
    assert desk.hours.quiet_within((SCHOOL,), DURING, DURING) is not None
    assert desk.unknown_zones == ["scool-3"]
    path.write_text("quiet: [{from: '22:00'}]\n")
    with pytest.raises(InvalidInput):
        await desk.reload(ACTOR)
    assert desk.hours.quiet_within((), night, night) is not None


async def test_without_a_file_there_is_nothing_to_reload(store: Store, city: City, clock: SimulatedClock) -> None:
    with pytest.raises(Conflict) as caught:
        await make_desk(store, city, clock).reload(ACTOR)
    assert caught.value.code == "no-hours-file"
