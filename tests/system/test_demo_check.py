import json
import subprocess
import sys
from pathlib import Path

from demo.processes import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_judged_from_outside_keeps_its_promises() -> None:
    command = [sys.executable, "-m", "demo", "--check", "--groups", "9", "--speakers", "4", "--steady", "1"]
    done = subprocess.run([*command, "--port", str(free_port(0))], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["groups"] == 9 and report["speakers"] == 4
    assert report["up"] == sum(report[kind] for kind in ("cameras", "speakers", "recorders", "switches"))
    assert report["broadcast"]["speakers"] == 4 and report["broadcast"]["snr_db_min"] > 30
    assert report["footage"]["state"] == "READY" and report["footage"]["sha256_ok"] and report["footage"]["bytes"] > 50_000
    assert 0 < report["daemon"]["rss_mib"] <= 250
