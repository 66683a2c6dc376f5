"""`gatewayctl say` in a whole small city: heard by the loudspeaker that is bound to what the camera sees, and by no other."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.system.conftest import Demo

ROOT = Path(__file__).resolve().parents[2]
TEXT = "请勿占道经营"


def ask(url: str, key: str = "") -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def gatewayctl(demo: Demo, *arguments: str, role: str = "operator") -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    env = {**known, "PYTHONPATH": str(ROOT), "GATEWAY_URL": demo.url, "GATEWAY_KEY": demo.keys[role]}
    command = [sys.executable, "-m", "gateway.ctl", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)


def heard(demo: Demo) -> dict[str, int]:
    """How many talks each simulated loudspeaker has heard, by its own account."""
    speakers = [one["id"] for one in ask(f"{demo.url}/v1/devices?kind=speaker", demo.keys["admin"])["items"]]
    return {speaker: len(ask(f"{demo.control}/speakers/{speaker}/heard")["sessions"]) for speaker in speakers}


def view_of_one(demo: Demo) -> tuple[str, str, str]:
    """A camera and a preset that one healthy loudspeaker is confirmed for, and that loudspeaker, as the inventory has it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        bound: dict[tuple[str, str], set[str]] = {}
        for one in ask(f"{demo.url}/v1/bindings?state=confirmed&limit=1000", demo.keys["admin"])["items"]:
            bound.setdefault((one["camera"], one["preset"]), set()).add(one["speaker"])
        up = {one["id"] for one in ask(f"{demo.url}/v1/devices?kind=speaker&state=up", demo.keys["admin"])["items"]}
        for (camera, preset), speakers in sorted(bound.items()):
            if len(speakers) == 1 and speakers <= up:
                return camera, preset, speakers.pop()
        time.sleep(0.5)
    raise AssertionError("no camera has one healthy loudspeaker that is confirmed for it")


def test_a_clip_that_a_schedule_needs_is_not_deleted(demo: Demo, tmp_path: Path) -> None:
    sound = tmp_path / "放学.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(250)) * 32)
    speaker = ask(f"{demo.url}/v1/devices?kind=speaker", demo.keys["admin"])["items"][0]["id"]
    when = ("--start", f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", "--rrule", "FREQ=DAILY")
    made = gatewayctl(demo, "schedules", "add", "放学", "--clip", str(sound), "--speaker", speaker, *when, "-o", "json")
    assert made.returncode == 0, made.stderr
    schedule = json.loads(made.stdout)
    assert _deleted(demo, schedule["clip"]) == (409, f"the clip is used by schedule {schedule['id']}")
    assert gatewayctl(demo, "schedules", "withdraw", schedule["id"]).returncode == 0
    assert _deleted(demo, schedule["clip"]) == (204, "")


def _deleted(demo: Demo, clip: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {demo.keys['admin']}"}
    request = urllib.request.Request(f"{demo.url}/v1/clips/{clip}", method="DELETE", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)["detail"]


def test_a_text_said_near_a_camera_is_heard_by_the_loudspeaker_that_is_bound_to_it_and_by_no_other(demo: Demo) -> None:
    camera, preset, speaker = view_of_one(demo)
    before = heard(demo)
    near = ["--near", camera, *(["--preset", preset] if preset else [])]
    done = gatewayctl(demo, "say", *near, "--priority", "enforcement", "--case", "C-412", "--reason", "占道", "-o", "json", TEXT)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {(one["speaker"], one["state"]) for one in told["deliveries"]} == {(speaker, "done")}
    after = heard(demo)
    assert {one for one, talks in after.items() if talks != before[one]} == {speaker}
    assert ask(f"{demo.control}/speakers/{speaker}/heard")["sessions"][-1]["packets"] == told["deliveries"][0]["packets"] > 50
    came = gatewayctl(demo, "broadcasts", "outcome", told["id"], "left")
    assert (came.returncode, "已劝离" in came.stdout) == (0, True), came.stderr
    found = gatewayctl(demo, "broadcasts", "list", "--camera", camera, "--outcome", "left", "-o", "json")
    assert [(one["id"], one["text"], one["reason"]) for one in json.loads(found.stdout)] == [(told["id"], TEXT, "占道")]


def test_a_text_that_no_loudspeaker_reaches_ends_with_a_failure_and_the_next_thing_to_do(demo: Demo) -> None:
    done = gatewayctl(demo, "say", "--circle", "1.5,1.5,10", TEXT)
    assert done.returncode != 0
    assert "→" in done.stderr and not done.stdout
