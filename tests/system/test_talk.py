"""A person at the console speaks into a microphone, and the loudspeaker in front of the camera says it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from demo.sound import read_wav
from tests.sweeps import PAUSE_S, SWEEP_S, clearest_db, sweeps, wav
from tests.system.chromium import Page, browser, program
from tests.system.conftest import ROOT, Demo
from tests.system.test_console import api, fill, sign_in
from tests.system.test_console import press as shortcut
from tests.system.test_footage_desk import choose
from tests.waiting import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="a talk from a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]

# What a browser does to voices (gain, noise, echo) is not to be judged here: the sound comes as it is.
AS_IT_IS = """
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    navigator.mediaDevices.getUserMedia = wanted => ask({ audio: { ...wanted.audio, ...plain } });
"""


def microphone(path: Path, *, rate: int = 48_000) -> str:
    """The flag that gives a browser sweeps, again and again, instead of a microphone."""
    path.write_bytes(wav(sweeps(1, rate=rate), rate=rate))
    return f"--use-file-for-fake-audio-capture={path}"


async def test_a_person_at_the_console_is_heard_in_front_of_the_camera_and_nowhere_else(demo: Demo, tmp_path: Path) -> None:
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", microphone(tmp_path / "voice.wav"))
    async with browser(tmp_path / "profile", flags=flags) as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        before = {other: await packets_heard(demo, other) for other in await speakers(http) if other != speaker}
        await sign_in(page, demo, "operator")
        await page.run(AS_IT_IS)
        await show(page, http, camera)
        await page.until("document.querySelector('.hearers')")
        assert await page.run("document.querySelector('.hearers input').checked")
        await shortcut(page, "t")
        assert await page.run("document.activeElement.matches('.talk-key')")
        await key(page, "keydown")
        await page.until("document.querySelector('.talk.on-air') || document.querySelector('.shout .wrong')")
        await page.until("document.querySelector('.talk.on-air')")
        await page.until("document.querySelector('.talk meter')?.value > -30")
        await page.screenshot(tmp_path / "talk.png")
        # held until one sweep came through whole: on a busy machine the browser's microphone stutters
        await until(lambda: heard_db(demo, speaker), 45, lambda: heard_more(demo, speaker), wanted=lambda clearest: clearest > 30)
        await key(page, "keyup")
        await page.until("document.querySelector('.talk.off')")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'done'")
        assert page.errors == []
        assert {other: await packets_heard(demo, other) for other in before} == before


async def heard_more(demo: Demo, speaker: str) -> None:
    """Wait until a loudspeaker has heard as much more as a sweep and its pause last."""
    enough = await packets_heard(demo, speaker) + (SWEEP_S + PAUSE_S) / 0.02
    await until(lambda: packets_heard(demo, speaker), wanted=lambda packets: packets >= enough)


async def packets_heard(demo: Demo, speaker: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{demo.control}/speakers/{speaker}/heard") as answer:
        packets: int = (await answer.json())["packets"]
    return packets


async def heard_db(demo: Demo, speaker: str) -> float:
    """How clear the clearest sweep is that a loudspeaker has heard so far."""
    async with aiohttp.ClientSession() as http, http.get(f"{demo.control}/speakers/{speaker}/heard.wav") as answer:
        heard = read_wav(await answer.read())
    return clearest_db(heard) if len(heard) > 8_000 * 2 * (SWEEP_S + PAUSE_S) else 0.0


async def a_view(http) -> tuple[str, str]:
    """A camera, and the loudspeaker that would speak to what it sees."""
    async with http.get("/v1/devices?kind=camera&limit=1000") as answer:
        cameras = [device["id"] for device in (await answer.json())["items"]]
    for camera in cameras:
        async with http.get(f"/v1/cameras/{camera}/speakers?priority=talk") as answer:
            chosen = [one["speaker"] for one in (await answer.json())["items"] if one["chosen"]]
        if len(chosen) == 1:
            return camera, chosen[0]
    raise AssertionError("no camera of the demo sees a place that a loudspeaker reaches")


async def has_presets(http, camera: str) -> bool:
    """Whether loudspeakers are bound to presets of it, among which one is chosen in the console."""
    async with http.get(f"/v1/bindings?camera={camera}") as answer:
        return any(one["preset"] for one in (await answer.json())["items"])


async def speakers(http) -> list[str]:
    async with http.get("/v1/devices?kind=speaker") as answer:
        return [device["id"] for device in (await answer.json())["items"]]


async def show(page: Page, http, camera: str) -> None:
    """Open the camera's page."""
    async with http.get(f"/v1/devices/{camera}") as answer:
        device = await answer.json()
    await page.run(fill(".top input[type=search]", device["id"]))
    await page.until("document.querySelectorAll('.tile').length === 1")
    await page.run("document.querySelector('.tile').click()")
    row = f"[...document.querySelectorAll('.devices li')].find(row => row.textContent.includes({device['name']!r}))"
    await page.until(row)
    await page.run(f"{row}.querySelector('button').click()")  # which the keyboard reaches as well


async def key(page: Page, kind: str) -> None:
    await page.run(f"document.activeElement.dispatchEvent(new KeyboardEvent({kind!r}, {{ key: ' ', bubbles: true }}))")


async def say_something_long(page: Page, speaker: str) -> None:
    """On a camera's page, until `speaker` is heard."""
    await page.until("document.querySelector('.hearers')")
    await page.run(fill(".shout input[name=text]", "请勿占道经营,谢谢配合。" * 8))
    await page.run("document.querySelector('.shout form').requestSubmit()")
    await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'playing'")


async def test_a_text_is_said_there_and_one_press_silences_all(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await say_something_long(page, speaker)
        await page.screenshot(tmp_path / "text.png")
        await page.run("document.querySelector('.top .stop-all').click()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'cancelled'")
        assert page.errors == []


@pytest.mark.parametrize(("width", "height"), [(560, 800), (800, 768), (1366, 768)])
async def test_what_came_of_it_is_seen_without_scrolling_on_a_small_screen(demo: Demo, tmp_path: Path, width: int, height: int) -> None:
    async with browser(tmp_path / "profile", width=width, height=height) as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.seen img')?.complete && document.querySelector('.hearers label')")
        if await has_presets(http, camera):
            await page.until("document.querySelector('.shout .preset')")
        assert await page.run(in_view("h2")), "the device that was opened"
        if width == 800:
            assert await page.run(in_view(".shout"))
        if width == 1366:
            assert [await page.run(in_view(part)) for part in (".seen img", ".hearers", ".talk-key", ".shout form")] == [True] * 4
        await page.run("document.querySelector('.shout form').scrollIntoView({ block: 'end' })")
        await say_something_long(page, speaker)
        await page.screenshot(tmp_path / "answer.png")
        assert await page.run(in_view(".outcome"))
        await page.run("document.querySelector('.silence').click()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'cancelled'")
        assert page.errors == []


def in_view(what: str) -> str:
    """Whether a part of a device's page is seen whole: within the window, and within what it may be scrolled in."""
    return f"""(() => {{
        const part = document.querySelector({f".page {what}"!r}).getBoundingClientRect();
        const page = document.querySelector('.page').getBoundingClientRect();
        return part.top >= Math.max(0, page.top) && part.bottom <= Math.min(innerHeight, page.bottom);
    }})()"""


async def test_one_broadcast_is_silenced_while_others_sound_on(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        other = next(one for one in await speakers(http) if one != speaker)
        soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
        body = {"id": "sounding-on", "text": "请保持通道畅通。" * 30, "targets": {"speakers": [other]}, "not_after": soon}
        async with http.post("/v1/broadcasts", json=body) as answer:
            assert answer.status == 202, await answer.text()
            sounding = (await answer.json())["id"]
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await say_something_long(page, speaker)
        await page.screenshot(tmp_path / "silence.png")
        await page.run("document.querySelector('.shout .silence').click()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'cancelled'")
        await page.until("!document.querySelector('.shout .silence')")
        async with http.get(f"/v1/broadcasts/{sounding}") as answer:
            assert [one["state"] for one in (await answer.json())["deliveries"]] == ["playing"]
        await shortcut(page, "b")
        await page.until(f"document.querySelector('[data-broadcast={sounding}]')")
        await page.run(f"document.querySelector('[data-broadcast={sounding}]').click()")
        await page.until("document.querySelector('.looked .silence')")
        await page.screenshot(tmp_path / "ledger.png")
        await page.run("document.querySelector('.looked .silence').click()")
        await page.until("document.querySelector('.looked [data-state=cancelled]')")
        assert page.errors == []


async def test_what_the_operator_saw_is_the_picture_of_before(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.seen img')?.naturalWidth > 0")
        await page.until("document.querySelector('.hearers')")
        await page.screenshot(tmp_path / "seen.png")
        await page.run(fill(".shout input[name=text]", "请不要停留。"))
        await page.run("document.querySelector('.shout form').requestSubmit()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'done'")
        async with http.get("/v1/broadcasts?limit=1") as answer:
            said = (await answer.json())["items"][0]
        before = next(one for one in said["pictures"] if one["moment"] == "before")
        assert (before["camera"], before["at"] < said["created_at"]) == (camera, True)
        assert page.errors == []


async def test_where_the_camera_looks_can_be_chosen_and_is_heard_there(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http, api(demo, "admin") as admin:
        camera, speaker = await a_view(http)
        bound = {"bindings": [{"camera": camera, "speaker": speaker, "preset": "north"}], "decision": "confirm", "reach_m": 2_000}
        async with admin.post("/v1/bindings/decisions", json=bound) as answer:
            assert answer.status == 200, await answer.text()
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.shout .preset')")
        await page.run(choose(".shout .preset", "north"))
        await page.until("document.querySelectorAll('.hearers label').length > 1")
        await page.run(fill(".shout input[name=text]", "请离开。"))
        await page.run("document.querySelector('.shout form').requestSubmit()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'done'")
        async with http.get("/v1/broadcasts?limit=1") as answer:
            said = (await answer.json())["items"][0]
        assert said["targets"]["views"] == [{"camera": camera, "preset": "north"}]
        assert page.errors == []


async def test_who_looks_away_stops_talking(demo: Demo, tmp_path: Path) -> None:
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", microphone(tmp_path / "voice.wav"))
    async with browser(tmp_path / "profile", flags=flags) as page, api(demo, "operator") as http:
        camera, _ = await a_view(http)
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.hearers')")
        await page.run("document.querySelector('.talk-key').focus()")
        await key(page, "keydown")
        await page.until("document.querySelector('.talk.on-air')")
        await page.run("document.querySelector('.top input[type=search]').focus()")
        await page.until("document.querySelector('.talk.off')")
        said = await page.until("document.querySelector('.shout .wrong')?.textContent")
        assert said in {"喊话人离开了页面", "the talker looked at something else"}


async def test_what_was_said_a_moment_ago_is_said_again_once_that_is_confirmed(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http:
        camera, speaker = await a_view(http)
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.hearers')")
        await page.run(fill(".shout input[name=text]", "再说一遍也一样"))
        await page.run("document.querySelector('.shout form').requestSubmit()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'done'")
        assert not await page.run("Boolean(document.querySelector('.shout .again'))")
        await page.run("document.querySelector('.shout form').requestSubmit()")
        await page.until("document.querySelector('.shout .again')")
        await page.run("document.querySelector('.shout .again').click()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'playing'")
        async with http.get("/v1/broadcasts?limit=1") as answer:
            assert (await answer.json())["items"][0]["again"] is True


async def test_in_quiet_hours_a_named_reason_is_asked_for_and_goes_on_record(demo: Demo, tmp_path: Path) -> None:
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", microphone(tmp_path / "voice.wav"))
    async with browser(tmp_path / "profile", flags=flags) as page, api(demo, "operator") as http, AsyncExitStack() as stack:
        camera, speaker = await a_view(http)
        await stack.enter_async_context(quiet(demo))
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.hearers')")
        assert not await page.run("Boolean(document.querySelector('.shout .override'))")
        await press(page)
        await page.until("document.querySelector('.shout .override')")
        await key(page, "keyup")
        await page.run(fill(".shout .override", "a burst main"))
        await press(page)
        await page.until("document.querySelector('.talk.on-air')")
        await page.until("document.querySelector('.talk meter')?.value > -30")
        await key(page, "keyup")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'done'")
        async with http.get("/v1/broadcasts?limit=1") as answer:
            assert (await answer.json())["items"][0]["override"] == "a burst main"


async def test_an_emergency_is_heard_in_quiet_hours_and_is_for_what_is_said_next_alone(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http, AsyncExitStack() as stack:
        camera, speaker = await a_view(http)
        await stack.enter_async_context(quiet(demo))
        await sign_in(page, demo, "operator")
        await show(page, http, camera)
        await page.until("document.querySelector('.hearers')")
        await page.run("document.querySelector('.urgent input').click()")
        await say_something_long(page, speaker)
        assert not await page.run("document.querySelector('.urgent input').checked")
        await page.run("document.querySelector('.silence').click()")
        await page.until(f"document.querySelector('.outcome [data-speaker={speaker}]')?.dataset.state === 'cancelled'")
        async with http.get("/v1/broadcasts?limit=1") as answer:
            assert (await answer.json())["items"][0]["priority"] == "emergency"
        assert page.errors == []


async def press(page: Page) -> None:
    await page.run("document.querySelector('.talk-key').focus()")
    await key(page, "keydown")


@asynccontextmanager
async def quiet(demo: Demo) -> AsyncIterator[None]:
    """The whole city, quiet for the duration."""
    today = datetime.now(UTC).date()
    days = {"first": str(today - timedelta(days=2)), "last": str(today + timedelta(days=2)), "start": "00:00", "end": "00:00"}
    async with api(demo, "admin") as http:
        async with http.post("/v1/quiet-hours/exceptions", json={"name": "exam", "effect": "quiet", "reason": "a test", **days}) as answer:
            assert answer.status in {200, 201}, await answer.text()
            made = await answer.json()
        try:
            yield
        finally:
            async with http.delete(f"/v1/quiet-hours/exceptions/{made['id']}") as answer:
                assert answer.status < 300, await answer.text()
