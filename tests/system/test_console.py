"""The console in a real browser, against a whole small city."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.system.chromium import Page, browser, program
from tests.system.conftest import ROOT, Demo
from tests.waiting import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="the console in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]


async def test_an_operator_signs_in_and_sees_every_group_and_whatever_changes(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await sign_in(page, demo, "operator")
        await page.until("document.querySelectorAll('.tile').length === 12")
        await page.until("document.querySelectorAll('.tile.up').length === 12")
        await page.until("document.querySelector('.link.on')")
        await page.run("document.querySelector('.tile').click()")
        await page.until("document.querySelectorAll('.devices li').length >= 2")
        await page.run("[...document.querySelectorAll('nav button')].find(b => ['Map', '网格图'].includes(b.textContent)).click()")
        await page.until("document.querySelectorAll('.spot').length === 12")
        await page.screenshot(tmp_path / "console.png")
        hosts = {urlsplit(url).netloc for url in page.requested}
        assert hosts == {urlsplit(demo.url).netloc}, "the console asks nobody but the gateway"
        assert page.errors == []


async def test_an_engineer_sees_an_incident_come_acknowledges_it_by_keyboard_and_begins_maintenance(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "engineer") as http:
        device = await a_camera(http)
        await sign_in(page, demo, "engineer")
        await page.until("document.querySelector('.link.on')")
        await press(page, "i")
        await page.until("document.querySelector('.desk .notice') || document.querySelector('.incident')")
        async with fault(http, demo, device["id"]):
            mine = f"[...document.querySelectorAll('.incident')].find(row => row.textContent.includes({device['name']!r}))"
            await page.until(mine)
            await page.run(f"{mine}.click()")
            await page.until("document.querySelector('.whole')")
            await press(page, "a")
            assert await page.run("document.activeElement.classList.contains('comment')")
            await page.run(fill(".deeds .comment", "on my way"))
            await page.run(
                "document.querySelector('.deeds .comment').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))"
            )
            await page.until("document.querySelector('.whole .chip.acknowledged')")
            await page.until("[...document.querySelectorAll('.history q')].some(said => said.textContent === 'on my way')")
            await page.run("document.querySelector('.repair button').click()")
            await page.until("document.querySelector('.devices .chip.muted')")
            await page.screenshot(tmp_path / "incident.png")
        async with http.get(f"/v1/incidents?device={device['id']}") as answer:
            incident = (await answer.json())["items"][0]
        assert incident["state"] in {"acknowledged", "resolved"}
        assert incident["acknowledged_by"].startswith("api-key:")
        async with http.get("/v1/maintenance-windows?ahead=true") as answer:
            assert [device["id"]] in [window["devices"] for window in (await answer.json())["items"]]
        assert page.errors == []


async def test_the_bar_on_top_is_one_row_on_a_small_screen_also_while_something_is_down(demo: Demo, tmp_path: Path) -> None:
    async with api(demo, "admin") as http, fault(http, demo, (await a_camera(http))["id"]):
        for width in (1366, 1500, 1680):
            await bar_on_top_is_one_row(demo, tmp_path / str(width), width)


async def bar_on_top_is_one_row(demo: Demo, folder: Path, width: int) -> None:
    """With the count of what is down beside everything else, in both languages."""
    async with browser(folder / "profile", width=width, height=768) as page:
        await sign_in(page, demo, "admin")
        await page.until("document.querySelector('.count.down')")
        for language, button in (("en", "English"), ("zh-CN", "中文")):
            await page.run(f"[...document.querySelectorAll('nav button')].find(one => one.textContent === {button!r})?.click()")
            await page.until(f"document.documentElement.lang === {language!r}")
            await page.screenshot(folder / f"bar-{language}.png")
            assert await page.run("document.querySelector('.top').offsetHeight") < 70, (width, language)
        assert await page.run(SPARE) > 0, "the search says in Chinese all that it may be asked for"
        assert page.errors == []


async def test_an_engineer_says_which_loudspeaker_is_heard_where_a_camera_looks(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "engineer") as http:
        async with http.get("/v1/bindings?state=confirmed&limit=1") as answer:
            binding = (await answer.json())["items"][0]
        async with http.get(f"/v1/devices/{binding['camera']}") as answer:
            camera = await answer.json()
        await sign_in(page, demo, "engineer")
        await page.run(fill("input[type=search]", camera["name"]))
        await page.until("document.querySelectorAll('.tile').length === 1")
        await page.run("document.querySelector('.tile').click()")
        row = f"[...document.querySelectorAll('.devices li')].find(row => row.textContent.includes({camera['name']!r}))"
        await page.until(row)
        await page.run(f"{row}.click()")
        await page.until("document.querySelector('.speakers .chip.resolved')")
        await page.screenshot(tmp_path / "speakers.png")
        await page.run("document.querySelector('.speakers .chips button').click()")
        await page.until("!document.querySelector('.speakers .chip.resolved')")
        query = f"/v1/bindings?camera={binding['camera']}&speaker={binding['speaker']}"
        async with http.get(query) as answer:
            assert [one["state"] for one in (await answer.json())["items"] if one["preset"] == ""] == ["rejected"]
        await page.run("document.querySelector('.speakers .chips button').click()")
        await page.until("document.querySelector('.speakers .chip.resolved')")
        assert page.errors == []


async def test_whoever_signs_in_next_sees_nothing_of_what_was_looked_at(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await sign_in(page, demo, "operator")
        await page.run(fill("input[type=search]", "0417"))
        await press(page, "b")
        await page.until("document.querySelector('.room-ledger')")
        await page.run(f"[...document.querySelectorAll('nav button')].find(one => {LEAVES}.includes(one.textContent)).click()")
        await page.until("document.querySelector('.sign-in')")
        await page.run(fill(".sign-in input", demo.keys["liaison"]))
        await page.run("document.querySelector('.sign-in button').click()")
        await page.until("document.querySelector('main')")
        assert await page.run("document.querySelector('main').className") == "room-wall"
        assert await page.run("document.querySelector('input[type=search]').value") == ""
        assert await page.run("document.querySelector('.said.wrong')?.textContent") is None
        assert page.errors == []


async def test_a_device_has_a_page_and_the_month_a_report(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await sign_in(page, demo, "viewer")
        await page.run("document.querySelector('.tile').click()")
        await page.until("document.querySelector('.devices li')")
        await page.run("document.querySelector('.devices li').click()")
        link = await page.until("document.querySelector('.page a')?.getAttribute('href')")
        assert await page.run(f"fetch({link!r}).then(answer => answer.text())") != ""
        months = await page.run("[...document.querySelectorAll('.reports option')].map(option => option.value).filter(Boolean)")
        assert len(months) == 12
        await page.run("window.open = url => { window.asked = url; }")
        await page.run(
            f"""(() => {{
                const box = document.querySelector('.reports');
                box.value = {months[0]!r};
                box.dispatchEvent(new Event('change', {{ bubbles: true }}));
            }})()"""
        )
        status = await page.run("fetch(window.asked).then(answer => `${answer.status} ${answer.headers.get('content-type')}`)")
        assert status == "200 text/html; charset=utf-8"
        assert page.errors == []


async def test_who_may_only_look_has_no_buttons_to_act_with(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await sign_in(page, demo, "viewer")
        await page.run("document.querySelector('.tile').click()")
        await page.until("document.querySelector('.devices li')")
        assert await page.run("document.querySelectorAll('.repair').length") == 0
        await press(page, "i")
        await page.until("document.querySelector('.shelves')")
        assert await page.run("document.querySelectorAll('.incident input, .deeds').length") == 0


async def test_a_wrong_key_is_told_so(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.open(demo.url + "/")
        await page.until("document.querySelector('.sign-in button')")
        await page.run("document.querySelector('.sign-in button').click()")
        assert await page.until("document.querySelector('[role=alert]')?.textContent") in {"This key is not accepted.", "此密钥无效。"}


async def test_the_api_page_shows_the_operations_and_asks_nobody_else(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.open(demo.url + "/docs")
        await page.until("document.body?.innerText.includes('/v1/devices')")
        assert {urlsplit(url).netloc for url in page.requested if url.startswith("http")} == {urlsplit(demo.url).netloc}
        assert page.errors == []


async def sign_in(page: Page, demo: Demo, role: str) -> None:
    await page.open(demo.url + "/")
    await page.until("document.querySelector('.sign-in input')")
    await page.run(fill(".sign-in input", demo.keys[role]))
    await page.run("document.querySelector('.sign-in button').click()")
    await page.until("document.querySelectorAll('.tile').length === 12")


async def press(page: Page, key: str) -> None:
    await page.run(f"document.dispatchEvent(new KeyboardEvent('keydown', {{ key: {key!r}, bubbles: true }}))")


def fill(box: str, text: str) -> str:
    """A script that writes `text` into a box, as somebody who types."""
    return f"""(() => {{
        const box = document.querySelector({box!r});
        box.value = {text!r};
        box.dispatchEvent(new Event('input', {{ bubbles: true }}));
    }})()"""


@asynccontextmanager
async def api(demo: Demo, role: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(demo.url, headers={"Authorization": f"Bearer {demo.keys[role]}"}) as http:
        yield http


async def a_camera(http: aiohttp.ClientSession) -> dict[str, str]:
    """One that is up, once one is."""

    async def found() -> list[dict[str, str]]:
        async with http.get("/v1/devices?kind=camera&state=up&limit=1") as answer:
            return (await answer.json())["items"]

    return (await until(found))[0]


@asynccontextmanager
async def fault(http: aiohttp.ClientSession, demo: Demo, device: str) -> AsyncIterator[None]:
    """A device that is silent until the end of the block; it is visited until the gateway says that it is down."""
    async with http.post(f"{demo.control}/devices/{device}/fault", json={"answer": "silent"}) as answer:
        assert answer.status == 200

    async def state() -> str:
        async with http.post(f"/v1/devices/{device}/check", json={}) as answer:
            return (await answer.json())["state"]

    try:
        await until(state, wanted=lambda found: found == "down")
        yield
    finally:
        async with http.delete(f"{demo.control}/devices/{device}/fault"):
            pass


# How much wider the search is than what stands in it before anything is typed, in px.
LEAVES = ["Sign out", "退出"]
SPARE = """(() => {
    const box = document.querySelector('.top input');
    const { font, paddingLeft } = getComputedStyle(box);
    const pen = document.createElement('canvas').getContext('2d');
    pen.font = font;
    return box.clientWidth - 2 * parseFloat(paddingLeft) - pen.measureText(box.placeholder).width;
})()"""
