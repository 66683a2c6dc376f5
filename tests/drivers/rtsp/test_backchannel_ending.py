"""How a talk ends, and what is known of its end."""

import asyncio
from collections.abc import Callable

import pytest

from tests.drivers.rtsp.peer import Asked, Peer, Reply, listening
from tests.drivers.rtsp.talking import opened
from tests.waiting import until


async def test_closing_does_not_wait_for_a_device_that_is_silent() -> None:
    async with listening(Peer(script={"TEARDOWN": lambda p, a: None})) as peer:
        session = await opened(peer)
        async with asyncio.timeout(3):
            await session.close()
        assert peer.methods()[-1] == "TEARDOWN"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda p, a: Reply(headers={"Session": p.session}), None),
        (lambda p, a: Reply("454 Session Not Found"), None),
        (lambda p, a: Reply("500 Internal Server Error"), "rtsp-500"),
        (lambda p, a: Reply("453 Not Enough Bandwidth"), "busy"),
        (lambda p, a: None, "timeout"),
        (lambda p, a: p.writer.transport.abort(), "closed"),
    ],
    ids=["confirmed", "nothing-known", "failure", "busy", "silent", "hangs-up"],
)
async def test_closing_tells_what_kept_the_device_from_confirming_the_end(
    answer: Callable[[Peer, Asked], Reply | None], code: str | None
) -> None:
    async with listening(Peer(script={"TEARDOWN": answer})) as peer:
        session = await opened(peer)
        unconfirmed = await session.close()
    assert (unconfirmed.code if unconfirmed else None) == code


async def test_an_end_that_is_confirmed_over_a_new_connection_is_confirmed_and_another_is_not() -> None:
    async def hang_up(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.transport.abort()

    for script, code in (({}, None), ({"TEARDOWN": lambda p, a: Reply("500 Oops")}, "rtsp-500")):
        async with listening(Peer(script=script, after_play=hang_up)) as peer:
            session = await opened(peer)
            await peer.gone.wait()
            await until(lambda one=session: one.ended)
            unconfirmed = await session.close()
        assert (unconfirmed.code if unconfirmed else None) == code
    async with listening(Peer(after_play=hang_up)) as peer:
        session = await opened(peer)
        await until(lambda one=session: one.ended)
    unconfirmed = await session.close()
    assert unconfirmed is not None and unconfirmed.code == "refused"
