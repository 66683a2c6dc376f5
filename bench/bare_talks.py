"""The least that talkers can cost over asyncio: frames taken from plain connections and sent on, unlooked at; for `bench.talk`.

As in the gateway, one process takes the frames and another, woken every 10 ms, sends what has come, inside one TCP connection for each
talker. There is no WebSocket, no filter, no G.711, no RTP, no bound, no clock.
Run as `python -m bench.bare_talks TALKERS PORT`, with the port of the loudspeakers: prints that of the microphones, ends with its input.
"""

import asyncio
import mmap
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

from bench.health import line_of
from demo import usage
from demo.talker import FRAME_BYTES, FRAME_S

_PACKET = bytes(4 + 12 + 160)  # interleaved, RTP, 20 ms of G.711
_SLOT_S = 0.010
_READ_BYTES = 1 << 12


def cpu_pct(talkers: int, seconds: float) -> float:
    """Percent of a core for each of `talkers`, whose frames come evenly spread over the 20 ms."""
    with socket.create_server(("127.0.0.1", 0)) as loudspeakers:
        threading.Thread(target=_drain, args=(loudspeakers, talkers), daemon=True).start()
        command = [sys.executable, "-m", "bench.bare_talks", str(talkers), str(loudspeakers.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            gateway = ("127.0.0.1", int(line_of(process)))
            microphones = [socket.create_connection(gateway) for _ in range(talkers)]
            _speak(microphones, 1.0)
            before = _spent(process.pid)
            _speak(microphones, seconds)
            spent = _spent(process.pid) - before
            for microphone in microphones:
                microphone.close()
            process.communicate()
    return 100 * spent / seconds / talkers


def _spent(pid: int) -> float:
    return sum(map(usage.exact_cpu_seconds, (pid, *usage.descendants(pid))))


def _drain(loudspeakers: socket.socket, count: int) -> None:
    """Read whatever is sent to so many, until they are closed."""
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            selector.register(loudspeakers.accept()[0], selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                if not key.fileobj.recv(_READ_BYTES):  # type: ignore[union-attr]  # a socket
                    selector.unregister(key.fileobj)


def _speak(lines: list[socket.socket], seconds: float) -> None:
    step, begun = FRAME_S / len(lines), time.monotonic()
    for number in range(round(seconds / step)):
        time.sleep(max(0.0, begun + number * step - time.monotonic()))
        lines[number % len(lines)].sendall(bytes(FRAME_BYTES))


class _Ear(asyncio.Protocol):
    """Counts the frames of one talker in the memory that both processes have."""

    def __init__(self, came: mmap.mmap, number: int) -> None:
        self._came, self._number = came, number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]  # as the gateway has it

    def data_received(self, _: bytes) -> None:
        self._came[self._number] = (self._came[self._number] + 1) % 256


async def _hear(came: mmap.mmap, talkers: int) -> None:
    numbers, loop = iter(range(talkers)), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Ear(came, next(numbers)), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def _send_on(came: mmap.mmap, talkers: int, port: int) -> None:
    """Send a packet for each frame that has come, at the next slot."""
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(talkers)]
    sent, due = bytearray(talkers), time.monotonic()
    while True:
        due += _SLOT_S
        time.sleep(max(0.0, due - time.monotonic()))
        for number, line in enumerate(lines):
            if came[number] != sent[number]:
                sent[number] = came[number]
                line.sendall(_PACKET)


def main(talkers: int, port: int) -> None:
    came = mmap.mmap(-1, talkers)
    if sender := os.fork():
        asyncio.run(_hear(came, talkers))
        os.kill(sender, signal.SIGKILL)
    else:
        _send_on(came, talkers, port)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
