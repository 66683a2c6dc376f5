"""Each scenario on a small city: all that is owed is said, nothing else is, and everything is well again at the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import free_port
from simulators.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--groups", "24", "--speakers", "2", "--scale", "0.1", "--interval", "4")


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_gateway_says_all_that_a_scenario_does_and_nothing_else(name: str) -> None:
    command = [sys.executable, "-m", "demo", "--scenario", name, "--check", *SMALL, "--port", str(free_port(0))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["injected"] and len(report["reported"]) == len(report["injected"])
    assert report["missed"] == report["false"] == report["incidents"]["wrong"] == []
    if name == "switch-down":
        assert (report["alerts"]["problem"], report["alerts"]["recovery"]) == (1, 1)
    if name == "power-cut":
        assert 1 <= report["alerts"]["problem"] <= 3
