"""What a health check costs: the whole path, the driver alone, a bare asyncio protocol and onvif-zeep-async, on one fleet in one run.

Each of them checks all 3,000 cameras once in 30 s, in a process of its own (`bench.checkers`); what is compared runs side by side, two at
a time, so that no third disturbs it. CPU is what the kernel says that the process used meanwhile, whatever it did besides. The cameras
keep to one core and the checkers to another where there are two: in the street, too, cameras do not think on the gateway's cores.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

PAIRS = (("whole", "peer"), ("ours", "bare"))
CAMERAS = 3000
SECONDS = 30.0


def measure(*, cameras: int = CAMERAS, seconds: float = SECONDS, pairs: Sequence[Sequence[str]] = PAIRS) -> dict[str, Any]:
    """Let one pair of checkers after the other check `cameras` once in `seconds`; returns {"figures": …, "ratios": …}.

    Takes about 25 s more than `seconds` for all pairs. Raises RuntimeError when checks failed: then the figures would mean nothing.
    """
    results: dict[str, dict[str, float]] = {}
    with _fleet() as (port, counts):
        for pair in pairs:
            results |= _side_by_side(pair, port, cameras, seconds)
    failures = {name: result["failures"] for name, result in results.items() if result["failures"]}
    if failures or counts["bad_digests"]:
        raise RuntimeError(f"checks failed: {failures or counts}")
    return report(results)


def _side_by_side(names: Sequence[str], port: int, cameras: int, seconds: float) -> dict[str, dict[str, float]]:
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(_checker(name, port, cameras, seconds)) for name in names}
        for process in running.values():
            line_of(process)
        for process in running.values():
            say(process, "go")
        return {name: json.loads(line_of(process)) for name, process in running.items()}


def report(results: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures and ratios out of what each checker said; a ratio is there when both its sides are."""
    cost = {name: result["cpu_ms_per_check"] for name, result in results.items()}
    figures = {_PREFIXES[name] + key: round(value, 4) for name, result in results.items() for key, value in result.items()}
    ratios = {key: round(cost[one] / cost[other], 3) for key, (one, other) in _RATIOS.items() if one in cost and other in cost}
    return {"figures": figures, "ratios": ratios}


_RATIOS = {
    "vs_onvif_zeep_async": ("peer", "whole"),
    "driver_vs_onvif_zeep_async": ("peer", "ours"),
    "vs_bare_limit": ("ours", "bare"),
}
_PREFIXES = {"whole": "", "ours": "driver_", "bare": "bare_limit_", "peer": "onvif_zeep_async_"}


@contextlib.contextmanager
def _fleet() -> Iterator[tuple[int, dict[str, int]]]:
    """The cameras: their port, and what they counted once they are gone."""
    counts: dict[str, int] = {}
    with python("bench.cameras", core=0) as process:
        yield json.loads(line_of(process))["port"], counts
        counts.update(json.loads(process.communicate()[0]))


@contextlib.contextmanager
def _checker(name: str, port: int, cameras: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    with python("bench.checkers", name, str(port), str(cameras), str(seconds), core=1) as process:
        yield process


@contextlib.contextmanager
def python(*arguments: str, core: int) -> Iterator["subprocess.Popen[str]"]:
    """A Python program on the `core`-th of the cores that we may use, or on whichever there is when it is the only one."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(process.pid, {cores[core % len(cores)]})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the bench ended early: {process.args!r}")
    return line


def say(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdin
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
