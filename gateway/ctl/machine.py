"""What this machine lacks of what a gateway on it needs: rights, limits, programs, fonts, codecs, room."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

DESCRIPTORS = 65_536
FEWEST_DESCRIPTORS = 4_096
LEAST_FREE = 1 << 30
LITTLE_FREE = 0.10
NET_RAW = 13  # its bit, capabilities(7)
CODECS = ("h264", "hevc", "mjpeg", "pcm_alaw", "pcm_mulaw", "mp3")
_PROBE = "import av,sys\nfor name in sys.argv[1:]: av.Codec(name, 'r')"
_PROBE_S = 30


class Result(StrEnum):
    OK = "ok"
    WARN = "warn"  # something is worse than it could be
    FAIL = "fail"  # something does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and the next command when it is not well."""

    check: str
    result: Result
    found: str
    next: str = ""


def findings(data: Path | None) -> Iterator[Finding]:
    """All checks of this machine; `data` is the daemon's data folder, when it is known."""
    yield _icmp()
    yield _descriptors()
    yield _program("espeak-ng", "speech from text", "apt-get install espeak-ng")
    yield _fonts()
    yield _codecs()
    if data is not None:
        yield _room(data)


def _icmp() -> Finding:
    """Whether this user may ping: by the capability, or by ping sockets of its group (icmp(7))."""
    if _capable():
        return Finding("ping", Result.OK, "CAP_NET_RAW")
    first, last = _ping_groups()
    if any(first <= group <= last for group in {os.getegid(), *os.getgroups()}):
        return Finding("ping", Result.OK, f"ping_group_range {first} {last}")
    found = "neither CAP_NET_RAW nor a group within ping_group_range: devices are reached by TCP alone"
    return Finding("ping", Result.WARN, found, "sysctl -w net.ipv4.ping_group_range='0 2147483647'")


def _capable() -> bool:
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> NET_RAW & 1)
    return False


def _ping_groups() -> tuple[int, int]:
    lines = _lines(Path("/proc/sys/net/ipv4/ping_group_range"))
    first, last = (int(part) for part in lines[0].split()) if lines else (1, 0)
    return first, last


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _descriptors() -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = most == resource.RLIM_INFINITY or most >= DESCRIPTORS
    result = Result.OK if enough else Result.WARN if most >= FEWEST_DESCRIPTORS else Result.FAIL
    found = "unlimited" if most == resource.RLIM_INFINITY else f"{most} (hard limit)"
    return Finding("open files", result, found, "" if enough else f"LimitNOFILE={DESCRIPTORS} in the unit; ulimit -Hn {DESCRIPTORS}")


def _program(name: str, what_for: str, remedy: str) -> Finding:
    path = shutil.which(name)
    if path:
        return Finding(name, Result.OK, path)
    return Finding(name, Result.WARN, f"is not installed: no {what_for}", remedy)


def _fonts() -> Finding:
    """Whether a browser on this machine could print a report in Chinese."""
    listed = _run("fc-list", ":lang=zh", "family")
    if listed:
        return Finding("Chinese fonts", Result.OK, listed.splitlines()[0])
    return Finding("Chinese fonts", Result.WARN, "none: reports printed here show boxes", "apt-get install fonts-wqy-microhei")


def _codecs() -> Finding:
    """Asked of PyAV in a process of its own, as everything that loads it."""
    try:
        done = subprocess.run(  # noqa: S603 -- ourselves
            [sys.executable, "-c", _PROBE, *CODECS], capture_output=True, text=True, timeout=_PROBE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("codecs", Result.FAIL, str(error), "pip install --force-reinstall av")
    if done.returncode == 0:
        return Finding("codecs", Result.OK, ", ".join(CODECS))
    last = (done.stderr.strip().splitlines() or ["PyAV does not load"])[-1]
    return Finding("codecs", Result.FAIL, last, "pip install --force-reinstall av")


def _room(data: Path) -> Finding:
    try:
        usage = shutil.disk_usage(data)
    except OSError as error:
        return Finding("disk", Result.FAIL, f"{data}: {error.strerror}", "gatewayctl doctor --data FOLDER")
    share = usage.free / usage.total
    result = Result.FAIL if usage.free < LEAST_FREE else Result.WARN if share < LITTLE_FREE else Result.OK
    found = f"{usage.free / (1 << 30):.1f} GiB ({share:.0%}) free at {data}"
    return Finding("disk", result, found, "" if result is Result.OK else f"du -xh -d 2 {data} | sort -h | tail")


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False).stdout.strip()  # noqa: S603 -- fixed words
    except (OSError, subprocess.TimeoutExpired):
        return ""
