"""Proposals of searches, kept with what was decided about them, and the refused log-ins of strangers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.discovery import Finding, Kind, Sighting
from gateway.storage import discovery
from gateway.storage.discovery import Proposal, ProposalState, Tries
from gateway.storage.store import Store
from gateway.storage.writer import Lane


def proposal(clock: SimulatedClock, number: int = 1, **more: object) -> Proposal:
    seen = Sighting("10.0.0.1", "urn:uuid:\x7f一", 80, "名", DeviceKind.CAMERA, serial="S", macs=("02:00:00:00:00:01",))
    finding = Finding(Kind.MOVED, "moved:a", seen, DeviceId("CAM"), {"address": "10.0.0.1"}, ("serial",), ("OTH",))
    return replace(Proposal(f"P-{number}", finding, clock.now(), clock.now(), "R-1"), **more)


async def test_a_proposal_comes_back_as_it_was_and_is_decided_once(store: Store, clock: SimulatedClock):
    await store.writer.write(lambda tx: tx.discovery.put([proposal(clock), proposal(clock, 2)]), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.discovery.proposals() == [proposal(clock), proposal(clock, 2)]
        assert await tx.discovery.find("P-3") is None
    for state, by in ((ProposalState.DISMISSED, "user:anna"), (ProposalState.ACCEPTED, "user:bert")):
        await store.writer.write(
            lambda tx, state=state, by=by: tx.discovery.decide(["P-1"], state, by=by, at=clock.now(), comment="because"), lane=Lane.HEALTH
        )
    async with store.read() as tx:
        found = await tx.discovery.find("P-1")
    assert found is not None
    assert (found.state, found.decided_by, found.comment) == (ProposalState.DISMISSED, "user:anna", "because")


async def test_those_seen_longest_ago_go_when_there_are_too_many(store: Store, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discovery, "MOST", 3)
    for number in range(5):
        later = clock.now() + timedelta(seconds=number)
        await store.writer.write(lambda tx, n=number, at=later: tx.discovery.put([proposal(clock, n, last_seen=at)]), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert [one.id for one in await tx.discovery.proposals()] == ["P-2", "P-3", "P-4"]


async def test_refused_logins_are_remembered_and_forgotten(store: Store, clock: SimulatedClock):
    early, late = Tries(clock.now(), 1), Tries(clock.now() + timedelta(hours=1), 2)
    for address, tries in (("10.0.0.1", early), ("10.0.0.2", early), ("10.0.0.2", late)):
        await store.writer.write(lambda tx, a=address, t=tries: tx.discovery.note_tries(a, t), lane=Lane.HEALTH)
    await store.writer.write(lambda tx: tx.discovery.forget_tries(clock.now() + timedelta(minutes=1)), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert dict(await tx.discovery.tries()) == {"10.0.0.2": late}
