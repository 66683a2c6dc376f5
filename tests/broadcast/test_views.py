"""Views under the rules of speaking: another voice where one must be silent, the rule's own word where all must, explained alike."""

import contextlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.orders import Rules
from gateway.broadcast.rulebook import Restraint
from gateway.clock import SimulatedClock
from gateway.domain.bindings import Binding, BindingState
from gateway.domain.broadcast import DeliveryState, Priority, Targets, View
from gateway.domain.broadcast_rules import Pauses, SpeakingHours, ZoneRules
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.health import HealthState, Standing
from gateway.errors import GatewayError, Unreachable
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR, House, furnished, running

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = SpeakingHours(SHANGHAI)
MARKET_NIGHT = SpeakingHours(SHANGHAI, quiet=(), zones={ZoneId("z1"): ZoneRules(NIGHT.quiet)})  # s1 and s2 are in it
CAM = DeviceId("cam")
VIEW = Targets(views=(View(CAM),))


@contextlib.asynccontextmanager
async def late(store: Store, clock: SimulatedClock, folder: Path, hours: SpeakingHours, **rules: object) -> AsyncIterator[House]:
    """A house at 23 o'clock whose camera has s1, s2 and s3 bound to it."""
    clock.step(datetime(2026, 6, 1, 23, tzinfo=SHANGHAI).astimezone(UTC) - clock.now())
    house = await furnished(store, clock, folder)
    bindings = [Binding(CAM, DeviceId(name)) for name in ("s1", "s2", "s3")]
    house.city.bind(put=[one.decided(BindingState.CONFIRMED, by="user:li", at=clock.now()) for one in bindings])
    house.rules, house.hours = Rules(**rules), hours  # type: ignore[arg-type]  # each test names fields of Rules
    house.service = house.make_service()
    async with running(house.service):
        yield house


def told(house: House, priority: Priority = Priority.NOTICE, targets: Targets = VIEW) -> tuple[tuple[str, ...], str, dict[str, str]]:
    """Who would speak, why it would be refused, and what is said of each."""
    found = house.service.explain(targets, priority=priority)
    reasons = {choice.speaker: choice.reason for choice in found.choices}
    return (found.route.speakers if found.route else (), found.refusal.code if found.refusal else "", reasons)


async def test_one_outside_the_quiet_zone_speaks_instead(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with late(store, clock, tmp_path, MARKET_NIGHT) as house:
        assert told(house) == (("s3",), "", {"s1": "quiet-hours", "s2": "quiet-hours", "s3": ""})
        view = await house.service.submit(house.order(targets=VIEW))
        assert [delivery.speaker for delivery in view.deliveries] == ["s3"]
        await house.ended()


async def test_where_all_must_be_silent_the_refusal_is_that_of_the_hour(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with late(store, clock, tmp_path, NIGHT) as house:
        assert told(house) == ((), "quiet-hours", dict.fromkeys(("s1", "s2", "s3"), "quiet-hours"))
        with pytest.raises(GatewayError) as refused:
            await house.service.submit(house.order(targets=VIEW))
        assert refused.value.code == "quiet-hours"
        assert told(house, Priority.EMERGENCY)[:2] == (("s1",), "")


async def test_one_that_must_be_silent_is_left_out_beside_others_and_explained_so(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    async with late(store, clock, tmp_path, MARKET_NIGHT) as house:
        both = Targets(speakers=(DeviceId("s1"), DeviceId("s3")))
        assert told(house, targets=both) == (("s3",), "", {"s1": "quiet-hours", "s3": ""})


async def test_a_view_heard_a_moment_ago_is_not_spoken_to_by_a_neighbour(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    once = Restraint(pauses=Pauses(repeat=timedelta(seconds=60)))
    async with late(store, clock, tmp_path, SpeakingHours(SHANGHAI, quiet=()), restraint=once) as house:
        await house.service.submit(house.order("b1", targets=VIEW))
        await house.heard("s1")  # now it is busy, and s2 and s3 are free
        for name in ("while it is said", "afterwards"):
            with pytest.raises(GatewayError) as refused:
                await house.service.submit(house.order(name, targets=VIEW))
            assert refused.value.code == "duplicate"
            await house.ended()
        assert not house.speakers[DeviceId("s2")].sessions


async def test_a_view_that_has_heard_it_hears_it_no_second_time_because_its_voice_is_gone(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    once = Restraint(pauses=Pauses(repeat=timedelta(seconds=60)))
    async with late(store, clock, tmp_path, SpeakingHours(SHANGHAI, quiet=()), restraint=once) as house:
        await house.service.submit(house.order("b1", targets=VIEW))
        await house.ended()
        house.board.put(Standing(DeviceId("s1"), HealthState.DOWN))
        with pytest.raises(GatewayError) as refused:
            await house.service.submit(house.order("b2", targets=VIEW))
        assert refused.value.code == "duplicate"
        view = await house.service.submit(house.order("b3", targets=VIEW, again=True))
        assert [delivery.speaker for delivery in view.deliveries] == ["s2"]
        await house.ended("b3")


async def test_who_steps_in_is_held_to_the_rules_as_well(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    all_but = SpeakingHours(SHANGHAI, quiet=(), zones={ZoneId("z1"): ZoneRules(NIGHT.quiet)})
    async with late(store, clock, tmp_path, all_but) as house:
        house.speakers[DeviceId("s3")].failure = Unreachable("no route")
        await house.service.submit(house.order(targets=VIEW))
        view = await house.ended()
        assert {one.state for one in view.deliveries} == {DeliveryState.FAILED}
        assert {one.speaker: one.reason for one in view.deliveries} == {"s1": "quiet-hours", "s2": "quiet-hours", "s3": "unreachable"}
        assert not house.speakers[DeviceId("s1")].sessions


async def test_an_explanation_says_that_a_second_person_would_be_asked(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with late(store, clock, tmp_path, SpeakingHours(SHANGHAI, quiet=()), max_speakers=1, max_speakers_approved=3) as house:
        many = Targets(speakers=(DeviceId("s1"), DeviceId("s2")))
        assert house.service.explain(many, priority=Priority.NOTICE).needs_approval
        assert not house.service.explain(VIEW, priority=Priority.NOTICE).needs_approval


async def test_whatever_the_street_is_like_an_order_does_what_its_explanation_said(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    """Sixty streets by chance: bindings, health, hours and targets of all kinds."""
    async with late(store, clock, tmp_path, NIGHT, max_speakers=2, max_speakers_approved=3) as house:
        for number in range(60):
            chance = random.Random(number)
            _shuffle(house, chance)
            targets = Targets(
                speakers=tuple(map(DeviceId, chance.sample(("s1", "s2", "s3", "s4"), chance.randint(0, 2)))),
                zones=(ZoneId("z1"),) if chance.random() < 0.3 else (),
                views=chance.choice([(), (View(CAM),), (View(CAM, "p"),), (View(CAM), View(CAM, "p"))]),
            )
            found = house.service.explain(targets, priority=Priority.NOTICE, actor=ACTOR)
            try:
                view = await house.service.submit(house.order(f"b{number}", targets=targets, again=True))
            except GatewayError as refusal:
                assert found.refusal is not None, number
                assert (found.refusal.code, str(found.refusal)) == (refusal.code, str(refusal)), number
                continue
            assert found.route is not None, number
            assert {one.speaker for one in view.deliveries if one.open} == set(found.route.speakers), number
            assert {one.speaker: one.reason for one in view.deliveries if not one.open} == dict(found.route.left_out), number
            assert found.needs_approval == any(one.state is DeliveryState.AWAITING_APPROVAL for one in view.deliveries), number
            house.service.stop_all(ACTOR)
            await house.ended(f"b{number}")
        assert 10 < len(await house.service.page(limit=100)) < 50, "some were taken, some refused"


def _shuffle(house: House, chance: random.Random) -> None:
    """Another street: who is bound to what, who is down, and when it is quiet."""
    house.hours = chance.choice([NIGHT, MARKET_NIGHT, SpeakingHours(SHANGHAI, quiet=())])
    for name in ("s1", "s2", "s3"):
        house.board.put(Standing(DeviceId(name), chance.choice([HealthState.UP, HealthState.UP, HealthState.DOWN])))
    house.city.bind(gone=list(house.city.bindings))
    for name in ("s1", "s2", "s3"):
        for preset in ("", "p"):
            state = chance.choice([None, *BindingState])
            if state is not None:
                binding = Binding(CAM, DeviceId(name), preset)
                wanted = binding if state is BindingState.PROPOSED else binding.decided(state, by="user:li", at=house.clock.now())
                house.city.bind(put=[wanted])
