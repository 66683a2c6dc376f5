"""What packets cost that are only sent, by the pacer's own system calls and nothing around them; for `bench.broadcast`."""

import json
import os
import time
from contextlib import suppress

from bench.choir import addresses, ears, hogs, lines
from bench.health import line_of
from gateway.broadcast.pacing.core import Chorus, Numbers, Packet, Shape, Whole
from gateway.broadcast.pacing.uring import Ring
from gateway.broadcast.pacing.wire import TcpLine, UdpLine, Wire

TURNS = 150
_SIZE = 160


def cpu_pct(kind: str, count: int) -> float:
    """Percent of a core for one packet every 20 ms to so many, with every core kept busy."""
    with ears(kind) as ear:
        port = int(json.loads(line_of(ear))["port"])
        with lines(kind, port, count) as made, hogs(30):
            lent = []
            for number, (line, host) in enumerate(zip(made, addresses(count), strict=True)):
                sock: object = line.socket
                lent.append(UdpLine(number, sock, (host, port)) if kind == "udp" else TcpLine(number, sock, 0))  # type: ignore[arg-type]  # a real one
            chorus = Chorus(Whole(bytes(_SIZE), Shape(8_000, _SIZE, b"\xd5")), lent, payload_type=8, numbers=Numbers(1, 1, 1))
            return _run(chorus)


def _ring() -> Ring | None:
    try:
        return Ring()
    except OSError:
        return None


def _run(chorus: Chorus) -> float:
    wire, packet = Wire(_ring()), Packet(bytes(_SIZE), 0, False)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    try:
        wire.send(chorus, packet)
        used, due = 0.0, time.monotonic()
        for _ in range(TURNS):
            begun = time.process_time()
            wire.send(chorus, packet)
            used += time.process_time() - begun
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return 100 * used / (TURNS * 0.02)
