"""Connections of talkers that are read together, over real sockets."""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from gateway.api.gathering import FROM, READ_BYTES, Gathering, is_plain
from tests.waiting import until


class Ear(asyncio.Protocol):
    """What one connection brought."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.heard = b""
        self.gone = False
        self.at_each = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.at_each()

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True

    @property
    def read_by_the_loop(self) -> bool:
        assert self.transport is not None
        return self.transport.is_reading()


@contextlib.asynccontextmanager
async def talkers(count: int, *, at: int | None = None) -> AsyncIterator[list[tuple[Ear, socket.socket]]]:
    """So many connections, our end and that of the talker; `at`: the descriptor, free by now, that our end shall have."""
    loop, pairs = asyncio.get_running_loop(), []
    try:
        for _ in range(count):
            ours, theirs = socket.socketpair()
            if at is not None and ours.fileno() != at:
                moved = socket.socket(fileno=os.dup2(ours.fileno(), at, inheritable=False))
                ours.close()
                ours = moved
            _, ear = await loop.create_connection(Ear, sock=ours)
            pairs.append((ear, theirs))
        yield pairs
    finally:
        for ear, theirs in pairs:
            assert ear.transport is not None
            ear.transport.close()
            theirs.close()
        await until(lambda: all(ear.gone for ear, _ in pairs))


async def test_many_are_read_together_and_few_by_the_loop() -> None:
    gathering = Gathering()
    async with talkers(FROM) as pairs:
        leaves = []
        for number, (ear, _) in enumerate(pairs, 1):
            assert is_plain(ear.transport)
            leaves.append(gathering.join(ear.transport))
            assert all(one.read_by_the_loop is (number < FROM) for one, _ in pairs)
        for _, talker in pairs:
            talker.send(b"together")
        await until(lambda: all(ear.heard == b"together" for ear, _ in pairs))
        leaves[0]()
        leaves[0]()
        assert all(ear.read_by_the_loop for ear, _ in pairs)
        for _, talker in pairs:
            talker.send(b", alone")
        await until(lambda: all(ear.heard == b"together, alone" for ear, _ in pairs))


async def test_what_comes_at_once_after_a_stall_is_read_at_once_and_in_its_order() -> None:
    gathering = Gathering()
    async with talkers(FROM) as pairs:
        for ear, _ in pairs:
            gathering.join(ear.transport)
        (ear, talker), *_ = pairs
        said = b"".join(number.to_bytes(2) for number in range(5 * READ_BYTES // 2))
        turns = []
        ear.at_each = lambda: turns.append(asyncio.get_running_loop().call_soon(int))
        talker.sendall(said)
        await until(lambda: ear.heard == said)
        assert len(turns) >= 5


@pytest.mark.parametrize("broken", [False, True], ids=["closed", "reset"])
async def test_a_connection_that_ends_is_found_to_have_ended_and_the_others_are_heard_on(broken: bool) -> None:
    gathering = Gathering()
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with talkers(FROM) as pairs:
            theirs = socket.create_connection(server.getsockname())
            _, ear = await asyncio.get_running_loop().create_connection(Ear, sock=server.accept()[0])
            for one in (ear, *(each for each, _ in pairs)):
                gathering.join(one.transport)
            if broken:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()
            await until(lambda: ear.gone)
            assert not any(each.read_by_the_loop for each, _ in pairs)
            pairs[0][1].send(b"on")
            await until(lambda: pairs[0][0].heard == b"on")


async def test_who_leaves_amid_what_is_read_is_given_no_more_of_it() -> None:
    gathering = Gathering()
    async with talkers(FROM + 1) as pairs:
        leaves = {ear: gathering.join(ear.transport) for ear, _ in pairs}
        (first, talker), *_ = pairs

        def leave() -> None:
            leaves[first]()
            first.transport.pause_reading()

        first.at_each = leave
        talker.sendall(bytes(3 * READ_BYTES))
        await until(lambda: first.heard)
        pairs[1][1].send(b"on")
        await until(lambda: pairs[1][0].heard == b"on")
        assert len(first.heard) == READ_BYTES


async def test_one_whose_number_another_has_taken_over_leaves_without_it() -> None:
    gathering = Gathering()
    async with talkers(FROM + 1) as pairs:
        leaves = [gathering.join(ear.transport) for ear, _ in pairs]
        gone = pairs[0][0]
        number = gone.transport.get_extra_info("socket").fileno()
        gone.transport.close()
        await until(lambda: gone.gone)
        async with talkers(1, at=number) as [(heir, talker)]:
            gathering.join(heir.transport)
            leaves[0]()
            assert not heir.read_by_the_loop
            talker.send(b"here")
            await until(lambda: heir.heard == b"here")
