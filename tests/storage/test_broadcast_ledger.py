"""The ledger in the store: words on what came of broadcasts are added and never changed; filters find what fits all of them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.domain.broadcast import BroadcastId, DeliveryState, Priority, Programme, Talk, Targets, View
from gateway.domain.broadcast_ledger import Moment, OutcomeEntry, SaidAs, StreetOutcome, StreetPicture, Wanted
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.storage.test_broadcasts import ACTOR, START, accept, order, queued

B1 = BroadcastId("b1")


def said(outcome: StreetOutcome = StreetOutcome.LEFT, number: int = 1, note: str = "") -> OutcomeEntry:
    return OutcomeEntry(B1, number, outcome, note, START, ACTOR, "Li Lei")


def picture(moment: Moment, sha256: str, *, of: str = "b1", days: int = 1) -> StreetPicture:
    taken = START + timedelta(seconds=30 if moment is Moment.AFTER else 0)
    return StreetPicture(BroadcastId(of), DeviceId("cam"), moment, sha256 * 64, "image/jpeg", 9, taken, START + timedelta(days=days))


async def say(store: Store, *entries: OutcomeEntry) -> None:
    for entry in entries:
        await store.writer.write(lambda tx, entry=entry: tx.ledger.say(entry), lane=Lane.BROADCAST)


async def keep(store: Store, *pictures: StreetPicture) -> None:
    for one in pictures:
        await store.writer.write(lambda tx, one=one: tx.ledger.add_picture(one), lane=Lane.BROADCAST)


async def found(store: Store, wanted: Wanted) -> list[str]:
    async with store.read() as tx:
        return [broadcast.id for broadcast in await tx.broadcasts.page(wanted=wanted, limit=10)]


async def test_a_correction_leaves_what_was_said_before_and_is_what_filters_see(store: Store) -> None:
    await accept(store, order(), queued())
    await say(store, said(), said(StreetOutcome.OTHER, 2, "came back"))
    async with store.read() as tx:
        assert (await tx.ledger.outcomes([B1]))[B1] == [said(), said(StreetOutcome.OTHER, 2, "came back")]
    assert await found(store, Wanted(outcome=StreetOutcome.LEFT)) == []
    assert await found(store, Wanted(outcome=StreetOutcome.OTHER)) == ["b1"]


@pytest.mark.parametrize("change", ["UPDATE broadcast_outcomes SET outcome = 'nobody'", "DELETE FROM broadcast_outcomes"])
async def test_the_database_itself_keeps_anybody_from_changing_what_was_said(store: Store, change: str) -> None:
    await accept(store, order(), queued())
    await say(store, said())
    with pytest.raises(GatewayError):
        await store.writer.write(lambda tx: tx.conn.execute(text(change)), lane=Lane.STOP)
    async with store.read() as tx:
        assert (await tx.ledger.outcomes([B1]))[B1] == [said()]


async def test_two_words_with_one_number_and_another_without_a_note_are_refused(store: Store) -> None:
    await accept(store, order(), queued())
    await say(store, said())
    for wrong in (said(), said(StreetOutcome.OTHER, 2)):
        with pytest.raises(Conflict):
            await say(store, wrong)


async def test_each_filter_finds_what_fits_and_all_of_them_together_do_too(store: Store) -> None:
    other = Actor(ActorKind.USER, "han")
    talk = order(
        "b2",
        programme=Programme(Talk()),
        actor=other,
        priority=Priority.TALK,
        case="",
        created_at=START + timedelta(seconds=10),
        targets=Targets(views=(View(DeviceId("cam-9")),)),
    )
    await accept(store, order(), queued())
    await accept(store, talk, queued("b2", "s2"))
    await say(store, said())
    later = START + timedelta(seconds=5)
    for wanted, ids in (
        (Wanted(), ["b2", "b1"]),
        (Wanted(start=later), ["b2"]),
        (Wanted(end=later), ["b1"]),
        (Wanted(speakers=frozenset({DeviceId("s1")})), ["b1"]),
        (Wanted(speakers=frozenset()), []),
        (Wanted(cameras=frozenset({DeviceId("cam-9")})), ["b2"]),
        (Wanted(speakers=frozenset({DeviceId("s1")}), cameras=frozenset({DeviceId("cam-9")})), ["b2", "b1"]),
        (Wanted(actor=other), ["b2"]),
        (Wanted(kind=SaidAs.TALK), ["b2"]),
        (Wanted(priority=Priority.ENFORCEMENT), ["b1"]),
        (Wanted(outcome=""), ["b2"]),
        (Wanted(case="case 7"), ["b1"]),
        (Wanted(case="case 7", kind=SaidAs.TALK), []),
    ):
        assert (wanted, await found(store, wanted)) == (wanted, ids)


async def test_a_file_goes_when_no_picture_needs_it_any_more_and_the_row_stays(store: Store) -> None:
    await accept(store, order(), queued())
    await accept(store, replace(order(), id=BroadcastId("b2")), replace(queued("b2", "s2"), state=DeliveryState.QUEUED))
    before, after = picture(Moment.BEFORE, "a"), picture(Moment.AFTER, "b")
    await keep(store, before, after, picture(Moment.AFTER, "b", of="b2", days=5))
    async with store.read() as tx:
        assert (await tx.ledger.pictures([B1]))[0][B1] == [before, after]
        assert await tx.ledger.picture(B1, "b" * 64) == after
    at = START + timedelta(days=2)
    assert await store.writer.write(lambda tx: tx.ledger.drop_pictures(before=at, limit=5), lane=Lane.HEALTH) == (["a" * 64], 2)
    async with store.read() as tx:
        assert [one.gone for one in (await tx.ledger.pictures([B1]))[0][B1]] == [True, True]
        with pytest.raises(NotFound):
            await tx.ledger.picture(B1, "b" * 64)
