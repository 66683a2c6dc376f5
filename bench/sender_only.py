"""What the pacer uses when nobody else's work is charged to it; for `bench.broadcast`.

Over loopback the kernel delivers a packet on the sender's account, which no network does. So this runs in a network of its own:

`tcp`: loopback with receive packet steering, by which the other cores deliver, as where a network card's interrupts go elsewhere; the
pacer is kept on the first core. `udp`: a device that drops whatever is sent.
Run as `unshare --net --mount python -m bench.sender_only udp | tcp`.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import choir
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pacing.stream import Stream
from gateway.drivers.base import Line
from gateway.drivers.rtp.udp import UdpPair

SECONDS = 8.0
_OWN = "10.0.0.1"
_ADDRESS, _MASK, _FLAGS_GET, _FLAGS, _TUN = 0x8916, 0x891C, 0x8913, 0x8914, 0x4004_54CA  # netdevice(7), TUNSETIFF
_UP, _IS_TUN, _BARE = 1, 1, 0x1000


def cpu_pct(kind: str, count: int) -> float | None:
    """Percent of a core for one packet every 20 ms to so many, all cores kept busy; None where no such network can be had."""
    unshare = shutil.which("unshare")
    if unshare is None or len(os.sched_getaffinity(0)) < 2:
        return None
    command = [unshare, "--net", "--mount", sys.executable, "-m", "bench.sender_only", kind, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=120)
    if done.returncode:
        return None
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return float(told["cpu_pct_of_core"]) if not told["missing"] else None


def main(kind: str, count: int) -> None:
    _up("lo")
    found = asyncio.run(_dropped(count)) if kind == "udp" else _steered(count)
    print(json.dumps(found))


def _steered(count: int) -> dict[str, Any]:
    first, *others = sorted(os.sched_getaffinity(0))
    if ctypes.CDLL(None, use_errno=True).mount(b"sysfs", b"/sys", b"sysfs", 0, None):
        raise OSError(ctypes.get_errno(), "sysfs")
    Path("/sys/class/net/lo/queues/rx-0/rps_cpus").write_text(f"{sum(1 << core for core in others):x}")
    return asyncio.run(choir.evenness("tcp", count, seconds=SECONDS, settle=lambda pacer: _pin(pacer, first)))


async def _dropped(count: int) -> dict[str, Any]:
    first = min(os.sched_getaffinity(0))
    with _hole(), _lines(count) as made:
        async with choir.pacing() as pacer:
            _pin(pacer, first)
            with choir.hogs(SECONDS + 15):
                sound = bytes(round(8_000 * SECONDS))
                streams = [Stream(choir.Ready(line), sound) for line in made]
                pid = pacer.standing.pid
                assert pid is not None
                pacer.start(streams)
                await asyncio.sleep(1.0)
                before, at = choir.cpu_s(pid), time.monotonic()
                await asyncio.sleep(SECONDS - 2.5)
                used = (choir.cpu_s(pid) - before) / (time.monotonic() - at)
                await asyncio.wait([stream.finished for stream in streams])
                await asyncio.wait([stream.returned for stream in streams])
            wanted = round(SECONDS / 0.02)
            return {"cpu_pct_of_core": round(100 * used, 2), "missing": sum(wanted - stream.figures.packets for stream in streams)}


def _pin(pacer: ChildPacer, core: int) -> None:
    for thread in Path(f"/proc/{pacer.standing.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


@contextlib.contextmanager
def _lines(count: int) -> Iterator[Sequence[Line]]:
    with contextlib.closing(UdpPair(_OWN)) as pair:
        places = [(f"10.9.{number // 250}.{1 + number % 250}", 5004) for number in range(count)]
        yield [Line(pair.socket, 8, lend=choir.lend, returned=choir.nobody, destination=place) for place in places]


@contextlib.contextmanager
def _hole() -> Iterator[None]:
    """A device to 10/8 that nobody reads from: once its queue is full, it drops."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(descriptor, _TUN, struct.pack("16sH14x", b"hole", _IS_TUN | _BARE))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            for order, address in ((_ADDRESS, _OWN), (_MASK, "255.0.0.0")):
                fcntl.ioctl(asked, order, struct.pack("16sHH4s8x", b"hole", socket.AF_INET, 0, socket.inet_aton(address)))
        _up("hole")
        yield
    finally:
        os.close(descriptor)


def _up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(asked, _FLAGS_GET, struct.pack("16sH14x", name.encode(), 0)))
        fcntl.ioctl(asked, _FLAGS, struct.pack("16sH14x", name.encode(), flags | _UP))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
