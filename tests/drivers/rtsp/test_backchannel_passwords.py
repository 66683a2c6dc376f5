"""How a talk logs in, and when it tries no more."""

import asyncio
from dataclasses import replace

import pytest

from gateway.domain.devices import Credentials
from gateway.drivers.refusals import Door, Refusals
from gateway.errors import AuthenticationFailed
from tests.drivers.rtsp.peer import Asked, Login, Peer, Reply, listening
from tests.drivers.rtsp.talking import brief, opened


@pytest.mark.parametrize(
    ("algorithm", "qop"), [("MD5", False), ("MD5", True), ("SHA-256", False), ("SHA-256", True), ("MD5-sess", True), ("SHA-256-sess", True)]
)
async def test_digest_is_spoken_in_all_its_forms(algorithm: str, qop: bool) -> None:
    async with listening(Peer(login=Login(algorithm=algorithm, qop=qop))) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.methods() == ["DESCRIBE", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
        assert peer.refused == 0


async def test_challenges_that_come_in_one_field_are_told_apart() -> None:
    class Both(Login):
        def challenge(self, *, stale: bool = False) -> str:
            return f'Basic realm="web", {super().challenge(stale=stale)}, Basic realm="page"'

    async with listening(Peer(login=Both())) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.refused == 0


async def test_a_stale_nonce_is_renewed_without_a_wrong_try() -> None:
    async with listening(Peer(login=Login(qop=True, refuses_as_stale=1))) as peer:
        session = await opened(peer)
        await session.close()
        assert peer.refused == 0
        assert peer.methods().count("DESCRIBE") == 3


@pytest.mark.parametrize("rotates", [False, True])
async def test_a_wrong_password_is_tried_once_and_no_more(rotates: bool) -> None:
    async with listening(Peer(login=Login(rotates=rotates))) as peer:
        wrong = replace(peer.target, credentials=Credentials("admin", "wrong"))
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer, target=wrong)
        await peer.gone.wait()
    assert peer.refused == 1
    assert (caught.value.code, "retry_credentials" in caught.value.hint) == ("bad-credentials", True)


async def test_without_a_password_in_the_inventory_none_is_tried() -> None:
    async with listening(Peer(login=Login())) as peer:
        with pytest.raises(AuthenticationFailed, match="inventory has none"):
            await opened(peer, target=replace(peer.target, credentials=Credentials()))
    assert peer.methods() == ["DESCRIBE"]


async def test_an_endless_row_of_stale_nonces_ends() -> None:
    async with listening(Peer(login=Login(refuses_as_stale=1000))) as peer:
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer)
    assert len(peer.asked) <= 3
    assert (caught.value.code, bool(caught.value.hint)) == ("stale-nonce", True)


async def test_a_device_that_calls_the_nonce_stale_that_it_gives_again_has_not_refused_the_password() -> None:
    challenge = Reply("401 Unauthorized", {"WWW-Authenticate": 'Digest realm="device", nonce="n", stale=true'})
    async with listening(Peer(script={"PLAY": lambda p, a: challenge})) as peer, asyncio.timeout(10):
        with pytest.raises(AuthenticationFailed) as caught:
            await opened(peer)
        await peer.gone.wait()
    assert caught.value.code == "stale-nonce"
    refusals = Refusals()
    refusals.note(peer.target, Door.BACKCHANNEL, caught.value)
    assert refusals.known(peer.target, Door.BACKCHANNEL) is None
    assert [asked.method for asked in peer.asked if "authorization" in asked.headers] == ["PLAY", "TEARDOWN"]


async def test_a_nonce_that_expires_without_a_word_costs_neither_the_sound_nor_the_farewell() -> None:
    heard: list[str] = []

    def hear(peer: Peer, asked: Asked) -> Reply:
        heard.append(asked.method)
        return Reply()

    script = {"SETUP": brief, "GET_PARAMETER": hear, "TEARDOWN": hear}
    async with listening(Peer(login=Login(one_time=True), script=script)) as peer, asyncio.timeout(10):
        session = await opened(peer)
        await peer.until(lambda: len(heard) == 2)
        assert peer.methods().count("GET_PARAMETER") == 4  # each is repeated at once
        assert not session.ended
        await session.close()
        assert heard == ["GET_PARAMETER", "GET_PARAMETER", "TEARDOWN"]


@pytest.mark.parametrize(("rotates", "tries"), [(False, 1), (True, 2)])  # a nonce that changed may have been all that was wrong
async def test_a_password_that_is_changed_amid_a_talk_ends_it_and_is_not_tried_for_the_farewell(rotates: bool, tries: int) -> None:
    login = Login(rotates=rotates)
    async with listening(Peer(login=login, script={"SETUP": brief})) as peer, asyncio.timeout(10):
        session = await opened(peer)
        login.password = "changed"
        await peer.gone.wait()
        assert session.ended
        await session.close()
        assert peer.refused == tries
        assert (peer.asked[-1].method, peer.asked[-1].headers["session"]) == ("TEARDOWN", peer.session)
        assert "authorization" not in peer.asked[-1].headers


async def test_a_password_that_is_refused_amid_the_set_up_is_not_tried_again_by_the_farewell() -> None:
    challenge = Reply("401 Unauthorized", {"WWW-Authenticate": 'Digest realm="device", nonce="n"'})
    async with listening(Peer(script={"PLAY": lambda p, a: challenge})) as peer, asyncio.timeout(10):
        with pytest.raises(AuthenticationFailed):
            await opened(peer)
        await peer.gone.wait()
        assert [asked.method for asked in peer.asked if "authorization" in asked.headers] == ["PLAY"]
        assert peer.methods()[-1] == "TEARDOWN"
