"""What a health check costs: the whole path, the driver alone, a bare asyncio protocol and onvif-zeep-async, side by side on one fleet.

Every one of them checks 3,000 cameras at the same time and pace, in a process of its own (`bench.checkers`). CPU is what the kernel says
that the process used between the first check and the last, whatever it did besides.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

CHECKERS = ("whole", "ours", "bare", "peer")
CAMERAS = 3000
SECONDS = 30.0


def measure(*, cameras: int = CAMERAS, seconds: float = SECONDS, checkers: Sequence[str] = CHECKERS) -> dict[str, Any]:
    """Check `cameras` once in `seconds` with every checker at once; returns {"figures": …, "ratios": …}.

    Takes about 20 s more than `seconds`. Raises RuntimeError when checks failed: then the figures would mean nothing.
    """
    with _fleet() as (port, counts), contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(_checker(name, port, cameras, seconds)) for name in checkers}
        for process in running.values():
            _line(process)
        for process in running.values():
            _say(process, "go")
        results = {name: json.loads(_line(process)) for name, process in running.items()}
    failures = {name: result["failures"] for name, result in results.items() if result["failures"]}
    if failures or counts["bad_digests"]:
        raise RuntimeError(f"checks failed: {failures or counts}")
    return report(results)


def report(results: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures and ratios out of what each checker said; a ratio is there when both its sides are."""
    cost = {name: result["cpu_ms_per_check"] for name, result in results.items()}
    figures = {_PREFIXES[name] + key: round(value, 4) for name, result in results.items() for key, value in result.items()}
    pairs = {"vs_onvif_zeep_async": ("peer", "whole"), "vs_bare_limit": ("ours", "bare")}
    ratios = {key: round(cost[one] / cost[other], 3) for key, (one, other) in pairs.items() if one in cost and other in cost}
    return {"figures": figures, "ratios": ratios}


_PREFIXES = {"whole": "", "ours": "driver_", "bare": "bare_limit_", "peer": "onvif_zeep_async_"}


@contextlib.contextmanager
def _fleet() -> Iterator[tuple[int, dict[str, int]]]:
    """The cameras: their port, and what they counted once they are gone."""
    counts: dict[str, int] = {}
    with _python("bench.cameras") as process:
        yield json.loads(_line(process))["port"], counts
        counts.update(json.loads(process.communicate()[0]))


@contextlib.contextmanager
def _checker(name: str, port: int, cameras: int, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    with _python("bench.checkers", name, str(port), str(cameras), str(seconds)) as process:
        yield process


@contextlib.contextmanager
def _python(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the bench ended early: {process.args!r}")
    return line


def _say(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdin
    process.stdin.write(f"{word}\n")
    process.stdin.flush()
