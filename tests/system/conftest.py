"""A whole demo, small and real, for the tests that look at the house from outside."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_S = 150
DOWN_WITHIN_S = 120  # its processes end one after the other, each with some 20 s to do so


@dataclass(frozen=True)
class Demo:
    """A running demo: its address, the simulators' own, a key for each role, and its process."""

    url: str
    control: str
    keys: dict[str, str]
    process: "subprocess.Popen[str]"


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "demo", "--groups", "12", "--speakers", "5", "--port", str(free_port(0)), "--dir", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    watchdog = threading.Timer(UP_WITHIN_S, process.kill)
    watchdog.start()
    try:
        running = _greeting(process)
        watchdog.cancel()
        threading.Thread(target=process.stdout.read, daemon=True).start()  # it tells of every alert: on a full pipe it would stand still
        yield running
        process.send_signal(signal.SIGINT)
        assert process.wait(DOWN_WITHIN_S) == 0, "Ctrl-C must end the demo cleanly"
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()


def _greeting(process: "subprocess.Popen[str]") -> Demo:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "Ctrl-C ends it" in line:
            keys = dict(re.findall(r"^  (\w+) +(gwk_\S+)$", seen, re.MULTILINE))
            address = re.search(r"Console: (http://\S+?)/ ", seen)
            control = re.search(r"(http://127\.0\.0\.1:\d+)/devices/", seen)
            assert address, seen
            assert control, seen
            return Demo(address[1], control[1], keys, process)
    raise AssertionError(f"the demo did not come up:\n{seen}")
