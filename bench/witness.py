"""What the machine itself does to a process that only sleeps: how late it wakes, and what the hypervisor took; for `bench.broadcast`.

Run as `python -m bench.witness CORE SECONDS`, one for each core: it wakes every 5 ms, by a clock that does not drift, a place above the
pacer where the machine permits that, so that no process of ours keeps it waiting. What it is late, the pacer would have been.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.broadcast.pacing.child import PRIORITY

_EVERY_S = 0.005
_PR_SET_TIMERSLACK = 29
_STEAL = 8
"""Which number of a line of /proc/stat (proc(5))."""

Testimony = Callable[[], dict[str, float]]


@contextlib.contextmanager
def watching(seconds: float) -> Iterator[Testimony]:
    """Watch every core for so long from now on. What is given waits for the end and tells `machine_late_p99_ms`, `machine_late_max_ms`
    (over all cores) and `machine_steal_ms` (of all together)."""
    before = _stolen_ms()
    command = [sys.executable, "-m", "bench.witness"]
    watchers = [
        subprocess.Popen([*command, str(core), str(seconds)], stdout=subprocess.PIPE, text=True) for core in sorted(os.sched_getaffinity(0))
    ]

    def told() -> dict[str, float]:
        late = sorted(each for watcher in watchers for each in json.loads(watcher.communicate()[0]))
        return {
            "machine_late_p99_ms": round(1000 * late[len(late) * 99 // 100], 4),
            "machine_late_max_ms": round(1000 * late[-1], 4),
            "machine_steal_ms": _stolen_ms() - before,
        }

    try:
        yield told
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.wait()


def _stolen_ms() -> float:
    """How long other machines had our cores, all together, since the start."""
    return 1000.0 * int(Path("/proc/stat").read_text().split()[_STEAL]) / os.sysconf("SC_CLK_TCK")


def _lateness(seconds: float) -> "array[float]":
    late, due = array("d"), time.monotonic()
    for _ in range(round(seconds / _EVERY_S)):
        due += _EVERY_S
        time.sleep(max(0.0, due - time.monotonic()))
        late.append(time.monotonic() - due)
    return late


def main(core: int, seconds: float) -> None:
    os.sched_setaffinity(0, {core})
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY + 1))
    print(json.dumps(list(_lateness(seconds))))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
