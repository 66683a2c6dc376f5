"""Each scenario on a small city: all that is owed is said, nothing else is, and everything is well again at the end."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.processes import free_port
from simulators.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--groups", "24", "--speakers", "2", "--scale", "0.1", "--interval", "4")
AT_ONCE = 2  # a scenario waits for two thirds of its time
Playing = Mapping[str, "Future[subprocess.CompletedProcess[str]]"]


@pytest.fixture(scope="module")
def playing(request: pytest.FixtureRequest) -> Iterator[Playing]:
    """The scenarios that are asked for, under way, in the order of their tests."""
    asked = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    names = [str(item.callspec.params["name"]) for item in asked]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(_play, name) for name in names}
        pool.shutdown(cancel_futures=True)


def _play(name: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "demo", "--scenario", name, "--check", *SMALL, "--port", str(free_port(0))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_gateway_says_all_that_a_scenario_does_and_nothing_else(playing: Playing, name: str) -> None:
    done = playing[name].result()
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["injected"] and len(report["reported"]) == len(report["injected"])
    assert report["missed"] == report["false"] == report["incidents"]["wrong"] == []
    if name == "switch-down":
        assert (report["alerts"]["problem"], report["alerts"]["recovery"]) == (1, 1)
    if name == "power-cut":
        assert 1 <= report["alerts"]["problem"] <= 3
