"""What fails, fails alone: services, the disk and the daemon itself, with a voice in the street meanwhile."""

import asyncio
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo import processes, sound
from demo.observer import NotAsPromised, Observer
from demo.standing import Plan, standing_city
from gateway.app import House
from tests.system.conftest import ROOT
from tests.system.standing import PORT, Standing, eventually, standing

CLIP_S = 20.0
SILENCED = {"broadcasts": 1, "speakers": 1, "may_still_sound": []}
SILENT_WITHIN_NS = 5_000_000_000  # of the 20 s that it would have gone on; `./gw bench broadcast` tells how soon it is


class Fragile:
    """A part of the house that fails on demand, and goes on failing until it is mended."""

    def __init__(self, run: Callable[[], Awaitable[None]]) -> None:
        self.starts: list[float] = []
        self.broken = asyncio.Event()
        self._run = run

    async def __call__(self) -> None:
        self.starts.append(time.monotonic())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fall())
            group.create_task(self._run())

    async def _fall(self) -> None:
        await self.broken.wait()
        raise RuntimeError("made to fail")


async def test_services_that_raise_begin_anew_with_growing_pauses_and_the_voice_in_the_street_can_be_stopped_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile: dict[str, Fragile] = {}

    def weaken(house: House) -> None:
        for name, part in {"health": house._health.service, "footage": house._footage.service}.items():
            part.run = fragile[name] = Fragile(part.run)
        house._follow_inventory = fragile["inventory"] = Fragile(house._follow_inventory)

    async with standing(tmp_path, monkeypatch, groups=2, speakers=1, prepare=weaken) as stand:
        await stand.until_all_are_up()
        speaker = stand.street.of_kind("speaker")[0].id
        async with stand.listening("broadcast.*") as listener:
            order = await _speak(stand.call, speaker)
            await eventually(lambda: stand.ask_street("GET", f"/speakers/{speaker}/heard"), lambda heard: heard["packets"])

            for part in fragile.values():
                part.broken.set()
            await eventually(lambda: _restarts(stand, fragile), lambda counts: min(counts) >= 3)
            parts = (await stand.call("GET", "/v1/readiness"))["parts"]
            assert parts == dict.fromkeys(fragile, "RuntimeError: made to fail")
            assert [await stand.metric(f'gateway_part_running{{part="{name}"}}') for name in ("health", "broadcast")] == [0, 1]
            async with stand.http.get(f"{stand.url}/readyz") as answer:
                assert (answer.status, (await answer.json())["parts"]) == (503, sorted(fragile))

            assert await stand.call("POST", "/v1/broadcasts/stop-all") == SILENCED
            stopped_ns = time.time_ns()
            await listener.until(lambda event: event["type"] == "broadcast.ended" and event["subject"] == order)
        await _was_silenced(await stand.ask_street("GET", f"/speakers/{speaker}/heard"), stopped_ns)

        for part in fragile.values():
            part.broken.clear()
        await eventually(lambda: stand.call("GET", "/v1/readiness"), lambda answer: not answer["parts"])
        visits = await stand.metric("gateway_health_visits_total")
        await eventually(lambda: stand.metric("gateway_health_visits_total"), lambda now: now > visits)
        for part in fragile.values():
            pauses = [later - earlier for earlier, later in itertools.pairwise(part.starts)][1:]
            assert all(later > earlier for earlier, later in itertools.pairwise(pauses)), pauses


async def test_stop_all_needs_no_disk_and_is_on_record_once_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _demo(tmp_path, monkeypatch) as (observer, speaker, _):
        order = await _playing(observer, speaker)
        with _disk_full(observer.daemon):
            assert await observer.call("operator", "POST", "/v1/broadcasts/stop-all") == SILENCED
            stopped_ns = time.time_ns()
            told = await eventually(lambda: observer.call("admin", "GET", "/v1/readiness"), lambda answer: "store" in answer["parts"])
            assert "disk" in told["parts"]["store"]
            with pytest.raises(NotAsPromised, match="storage-failed"):
                await _speak(_as(observer, "operator"), speaker)
            heard = await eventually(lambda: observer.street(f"/speakers/{speaker}/heard"), lambda heard: heard["sessions"][-1]["ended_ns"])
            await _was_silenced(heard, stopped_ns)
            assert "broadcast.stop-all" not in await _actions(observer)
        await eventually(lambda: _actions(observer), lambda actions: "broadcast.stop-all" in actions)
        delivery = await eventually(lambda: _delivery(observer, order), lambda delivery: delivery["state"] == "cancelled")
        assert delivery["reason"] == "stop-all"
        await eventually(lambda: observer.call("admin", "GET", "/v1/readiness"), lambda answer: not answer["parts"])
        assert (await observer.call("admin", "GET", "/v1/audit/verification"))["ok"]


async def test_what_the_disk_never_learnt_of_is_called_unknown_after_a_restart_and_never_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _demo(tmp_path, monkeypatch) as (observer, speaker, restart):
        order = await _playing(observer, speaker)
        with _disk_full(observer.daemon):
            await observer.call("operator", "POST", "/v1/broadcasts/stop-all")
            stopped_ns = time.time_ns()
            async with restart():
                delivery = await eventually(lambda: _delivery(observer, order), lambda delivery: delivery["state"] != "playing")
                assert (delivery["state"], delivery["reason"]) == ("unknown", "gateway-restarted")
                await _was_silenced(await observer.street(f"/speakers/{speaker}/heard"), stopped_ns)


@pytest.mark.parametrize(
    ("error", "words"),
    [("gateway.errors.StorageFailed('the disk is gone')", "gateway: the disk is gone"), ("OSError(5, 'gone')", "[Errno 5] gone")],
)
def test_a_store_that_cannot_go_on_ends_the_daemon_with_its_error(tmp_path: Path, error: str, words: str) -> None:
    program = f"""
import gateway.errors
from gateway.cli import main
from gateway.storage.writer import Writer
async def run(self):
    raise {error}
Writer.run = run
main()
"""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"data_dir: {tmp_path}/data\nkey_file: {tmp_path}/key\nhttp:\n  port: {processes.free_port(0)}\n")
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr.strip().splitlines()[-1]


# -- a voice ----------------------------------------------------------------------------------------------------------


async def _speak(call: Callable[..., Awaitable[Any]], speaker: str) -> str:
    """Order a long clip at one loudspeaker."""
    tone = sound.wav(sound.speech_like(1.0) * int(CLIP_S))
    clip = await call("POST", "/v1/clips?name=long", data=tone, headers={"Content-Type": "audio/wav"})
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    order = {"clip": clip["id"], "targets": {"speakers": [speaker]}, "priority": "notice", "not_after": soon, "id": f"b-{time.time_ns()}"}
    return str((await call("POST", "/v1/broadcasts", json=order))["id"])


async def _was_silenced(heard: dict[str, Any], stopped_ns: int) -> None:
    """The loudspeaker heard something, and next to nothing after the stop."""
    (session,) = heard["sessions"]
    assert session["ended_ns"]
    assert 0 < heard["packets"] < CLIP_S / 0.02
    assert heard["last_ns"] < stopped_ns + SILENT_WITHIN_NS


async def _restarts(stand: Standing, parts: dict[str, Fragile]) -> list[float]:
    return [await stand.metric(f'gateway_part_restarts_total{{part="{name}"}}') for name in parts]


# -- a daemon ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Observer, str, Callable[[], Any]]]:
    """A small demo, its first loudspeaker verified; and what kills its daemon and starts another."""
    monkeypatch.setenv("GATEWAY_HEALTH__INTERVAL_S", "2")
    monkeypatch.setenv("GATEWAY_HEALTH__TIMEOUT_S", "1")
    async with standing_city(folder, Plan(seed=5, groups=2, speakers=1, port=PORT)) as (layout, observer):

        @asynccontextmanager
        async def restart() -> AsyncIterator[None]:
            os.kill(observer.daemon, signal.SIGKILL)
            command = ("gateway", "serve", "--config", str(layout.config))
            async with processes.running(command, log=layout.log("again"), ready=False):
                await eventually(lambda: _answers(observer))
                yield

        shown = await eventually(
            lambda: observer.call("viewer", "GET", "/v1/devices?kind=speaker"),
            lambda page: page["items"][0]["state"] == "up",
        )
        yield observer, shown["items"][0]["id"], restart


async def _answers(observer: Observer) -> bool:
    try:
        async with observer.http.get(f"{observer.gateway}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _as(observer: Observer, role: str) -> Callable[..., Awaitable[Any]]:
    return lambda method, path, **options: observer.call(role, method, path, **options)


async def _playing(observer: Observer, speaker: str) -> str:
    order = await _speak(_as(observer, "operator"), speaker)
    await eventually(lambda: observer.street(f"/speakers/{speaker}/heard"), lambda heard: heard["packets"])
    await eventually(lambda: _delivery(observer, order), lambda delivery: delivery["state"] == "playing")
    return order


async def _delivery(observer: Observer, order: str) -> Any:
    return (await observer.call("operator", "GET", f"/v1/broadcasts/{order}"))["deliveries"][0]


async def _actions(observer: Observer) -> list[str]:
    return [row["action"] for row in (await observer.call("admin", "GET", "/v1/audit?limit=50"))["items"]]


class _disk_full:  # noqa: N801 -- reads as a state of the world
    """While it lasts, no file of the process takes another byte, as on a full disk (setrlimit(2), RLIMIT_FSIZE)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def __enter__(self) -> None:
        self._before = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (1, self._before[1]))

    def __exit__(self, *_: object) -> None:
        try:
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)
        except ProcessLookupError:
            return  # it did not live to see it
