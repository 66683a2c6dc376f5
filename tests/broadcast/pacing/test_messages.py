"""What the pacer's process tells the daemon, message by message, when it has as much to tell as it may."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

from gateway.broadcast.pacing.child import Pacing
from gateway.broadcast.pacing.core import LINES_LIMIT
from gateway.broadcast.pacing.protocol import MESSAGE_BYTES, Page, decode, encode

FIRST = 10_000_000
"""Numbers as long as they get in a life of the daemon."""
SOUND = 1


class Daemon:
    """The daemon's end of the pacer's control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def say(self, order: dict[str, Any], *descriptors: int) -> None:
        socket.send_fds(self._control, [encode(order)], list(descriptors))

    def hear(self) -> dict[str, Any]:
        return decode(self._control.recv(MESSAGE_BYTES))[0]

    def have_played(self, lines: int, sock: socket.socket, to: tuple[str, int]) -> None:
        """Each line hears the same, in packets of its own."""
        sound = os.memfd_create("sound")
        os.write(sound, b"\x55" * 160 * 25)  # half a second: none has ended when it is first told how far they are
        self.say({"do": "sound", "id": SOUND}, sound)
        os.close(sound)
        numbers = range(FIRST, FIRST + lines)
        chorus = {"do": "chorus", "shape": [8000, 160, "d5", 1], "lead_in": 0, "payload_type": 8, "unstamped": False, "sound": SOUND}
        for number in numbers:
            self.say(chorus | {"id": number, "numbers": [number, 0, 0]})
            self.say({"do": "lines", "chorus": number, "lines": [[number, 0, -1, *to, 0]], "farewells": [""]}, sock.fileno())
        self.say({"do": "go", "choruses": list(numbers), "epoch": 0})


@contextlib.contextmanager
def pacing() -> Iterator[Daemon]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    page = os.memfd_create("page")
    os.ftruncate(page, Page.BYTES)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    ours.settimeout(30)
    thread = threading.Thread(target=Pacing(theirs, Page(page), None).run, name="pacer")
    thread.start()
    try:
        yield Daemon(ours)
    finally:
        ours.close()
        thread.join()
        theirs.close()
        os.close(page)


def test_what_becomes_of_as_many_choruses_as_there_may_be_lines_is_told_whole() -> None:
    told: dict[str, set[int]] = {"began": set(), "progress": set(), "ended": set()}
    with pacing() as daemon, socket.socket(type=socket.SOCK_DGRAM) as ear, socket.socket(type=socket.SOCK_DGRAM) as mouth:
        ear.bind(("127.0.0.1", 0))
        daemon.have_played(LINES_LIMIT, mouth, ear.getsockname())
        while len(told["ended"]) < LINES_LIMIT:
            message = daemon.hear()
            told[message["is"]] |= {row[0] for row in message.get("choruses") or message["lines"]}
    everyone = set(range(FIRST, FIRST + LINES_LIMIT))
    assert told == {"began": everyone, "progress": everyone, "ended": everyone}
