"""Packages are sent from a terminal: where to, how far, and what became of it by its exit code."""

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path

from gateway.ctl.commands.footage_sending import _step
from gateway.domain.access import Role
from gateway.domain.footage import RequestId
from gateway.footage.carrying import Retries
from tests.api.house import House
from tests.api.test_brought_files import liaison
from tests.ctl.running import gatewayctl, started
from tests.footage.shelf import ready


async def shelved(house: House, folder: Path) -> None:
    await ready(house.services.store, folder / "house" / "footage", now=house.clock.now(), by=liaison(house))
    await house.services.footage._prover.seal(RequestId("F-1"))


async def test_a_package_is_sent_and_waited_for(house: House, tmp_path: Path):
    await shelved(house, tmp_path)
    (tmp_path / "house" / "share").mkdir()
    known = await gatewayctl(house, "footage", "destinations", role=Role.LIAISON)
    assert (known.code, "share" in known.out, str(tmp_path / "house" / "share") in known.out) == (0, True, True), known.err
    sent = await gatewayctl(house, "footage", "send", "F-1", "share", "-o", "json", role=Role.LIAISON)
    assert sent.code == 0, sent.err
    told = json.loads(sent.out)
    assert (told["state"], told["receiver"], told["sent"]) == ("done", "王建国", told["size"])
    assert f"{told['id']} is done" in sent.err
    listed = await gatewayctl(house, "footage", "deliveries", "F-1", role=Role.LIAISON)
    assert (listed.code, "share" in listed.out, "done" in listed.out) == (0, True, True)


async def test_what_is_not_sent_ends_with_its_reason_and_what_to_do(house: House, tmp_path: Path):
    await shelved(house, tmp_path)
    nowhere = await gatewayctl(house, "footage", "send", "F-1", "nowhere", role=Role.LIAISON)
    assert (nowhere.code, "known are share" in nowhere.err) == (4, True), nowhere.err
    later = await gatewayctl(house, "footage", "send", "F-1", "share", "--no-wait", role=Role.LIAISON)
    assert (later.code, "gatewayctl footage send F-1 share" in later.err) == (0, True), later.err
    house.services.footage._carrier._retries = Retries(first_s=(60.0, 60.0), for_s=0)
    process = await started(house, "footage", "send", "F-1", "share", role=Role.LIAISON)
    waiting = process.communicate()
    _, err = await passing(house, waiting)
    assert (process.returncode, "not-mounted" in err.decode()) == (1, True), err.decode()


def test_what_waits_says_why_and_when_it_is_tried_again():
    waiting = {"state": "pending", "reason": "not-mounted: nothing is mounted", "next_attempt_at": "2026-01-01T01:00:00Z"}
    assert _step(waiting) == "is pending: not-mounted: nothing is mounted; next try at 2026-01-01T01:00:00Z"
    assert _step({"state": "sending", "reason": "", "next_attempt_at": None}) == "is sending"


async def passing(house: House, waiting: Coroutine[object, object, tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """What a command left, time passing meanwhile."""
    task = asyncio.ensure_future(waiting)
    while not task.done():
        await house.advance(60)
        await asyncio.wait([task], timeout=0.05)
    return task.result()
