"""What a process and its children cost, read from /proc (proc(5)) and from the clocks of processes."""

import os
import time
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of `pid`, of its living descendants, and of the children that they have waited for."""
    return sum(_own_cpu(one) for one in (pid, *descendants(pid)))


def exact_cpu_seconds(pid: int) -> float:
    """User and system time of all threads of `pid` alone, past ones included, to the nanosecond (clock_getcpuclockid(3)); OSError."""
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of the whole process


def rss_mib(pid: int) -> float:
    """Resident memory of `pid` alone, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> list[int]:
    """The living children of `pid`, and theirs."""
    found = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(task / "children").split()]
    return found + [grandchild for child in found if Path(f"/proc/{child}").exists() for grandchild in descendants(child)]


def _own_cpu(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * _TICK_S if fields else 0.0  # utime, stime, cutime, cstime


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
