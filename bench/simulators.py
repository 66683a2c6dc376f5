"""What the simulated city costs: memory and CPU while nobody asks, SOAP answers for a second of CPU, the start of one ten times as large.

The server keeps to one core and the client to another where there are two; what is counted is the server's own CPU time.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import usage
from demo.processes import free_port

IDLE_S = 30.0
SOAP_S = 15.0
GROUPS, SPEAKERS = 759, 110
LARGE = 10
MOST_FILES = 20_000


@dataclass(frozen=True, slots=True)
class Served:
    """A city that answers. `started_s`: from the start of its process until everything listens."""

    pid: int
    started_s: float


def measure(*, groups: int = GROUPS, speakers: int = SPEAKERS, idle_s: float = IDLE_S, soap_s: float = SOAP_S) -> dict[str, Any]:
    """The figures of the full city and of one ten times as large; takes two minutes or so."""
    with tempfile.TemporaryDirectory(prefix="city-bench-") as folder:
        return {
            "figures": {**_full(Path(folder, "full"), groups, speakers, idle_s, soap_s), **_large(Path(folder, "large"), groups, speakers)}
        }


def _full(folder: Path, groups: int, speakers: int, idle_s: float, soap_s: float) -> dict[str, float]:
    _plan(folder, groups, speakers)
    with _served(folder) as served:
        before, began = usage.cpu_seconds(served.pid), time.monotonic()
        time.sleep(idle_s)
        idle_pct = 100 * (usage.cpu_seconds(served.pid) - before) / (time.monotonic() - began)
        figures = {"start_s": served.started_s, "idle_rss_mib": usage.rss_mib(served.pid), "idle_cpu_pct_of_core": idle_pct}
        before = usage.cpu_seconds(served.pid)
        answers = _ask(folder, soap_s)["answers"]
        figures["soap_answers_per_cpu_s"] = answers / (usage.cpu_seconds(served.pid) - before)
        figures["asked_rss_mib"] = usage.rss_mib(served.pid)
    return {name: round(value, 2) for name, value in figures.items()}


def _large(folder: Path, groups: int, speakers: int) -> dict[str, float]:
    began = time.monotonic()
    _plan(folder, LARGE * groups, LARGE * speakers)
    planned_s = time.monotonic() - began
    with _served(folder, most_files=MOST_FILES) as served:
        _ask(folder, 5.0)
        return {
            "plan_7590_groups_s": round(planned_s, 2),
            "start_7590_groups_s": round(served.started_s, 2),
            "descriptors_7590_groups": len(list(Path(f"/proc/{served.pid}/fd").iterdir())),
            "rss_7590_groups_mib": round(usage.rss_mib(served.pid), 2),
        }


def _plan(folder: Path, groups: int, speakers: int) -> None:
    ports = [str(free_port(0)) for _ in range(3)]
    options = zip(("--http-port", "--rtsp-port", "--snmp-port"), ports, strict=True)
    size = ("--groups", str(groups), "--speakers", str(speakers), "--out", str(folder))
    command = [sys.executable, "-m", "simulators", "plan", *size, *(word for option in options for word in option)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def _served(folder: Path, *, most_files: int = 0) -> Iterator[Served]:
    """The city in a process of its own; with `most_files` it may open no more than that."""
    began = time.monotonic()
    command = [sys.executable, "-m", "simulators", "serve", "--city", str(folder / "city.json"), "--control", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if most_files:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most_files, most_files))
        os.sched_setaffinity(process.pid, {_core(0)})
        assert process.stdout
        try:
            if not process.stdout.readline():
                raise RuntimeError("the city did not start")
            yield Served(process.pid, time.monotonic() - began)
        finally:
            process.terminate()


def _ask(folder: Path, seconds: float) -> dict[str, int]:
    """Ask the city's cameras from another process for so long. Raises RuntimeError when an answer was not as it should be."""
    client = [sys.executable, "-m", "bench.soap_asker", str(folder / "city.json"), str(seconds)]
    with subprocess.Popen(client, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {_core(1)})
        said: dict[str, int] = json.loads(process.communicate()[0])
    if said["wrong"] or not said["answers"]:
        raise RuntimeError(f"the city answered wrongly: {said}")
    return said


def _core(number: int) -> int:
    cores = sorted(os.sched_getaffinity(0))
    return cores[number % len(cores)]
