"""A person at the console says by one key what came of a broadcast, corrects it, takes the ledger along, and pauses what is said again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.system.chromium import browser, program
from tests.system.conftest import ROOT, Demo
from tests.system.test_console import api, fill, press, sign_in
from tests.system.test_footage_desk import choose
from tests.waiting import until

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="the ledger in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]

TEXT = "请保持通道畅通"
HELD = """{
  const sent = window.fetch, answered = new Promise(resolve => window.answer = resolve)
  window.fetch = async (path, more) => { const answer = await sent(path, more); if (/outcome$/.test(path)) await answered; return answer }
}"""
"""JavaScript after which the page gets no answer to what it says of an outcome before `answer()`."""


async def test_one_key_says_what_came_of_a_broadcast_and_another_corrects_it(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http:
        async with http.get("/v1/devices?kind=speaker&limit=1") as answer:
            speaker = (await answer.json())["items"][0]
        name = await said(http, speaker["id"])
        await sign_in(page, demo, "operator")
        await press(page, "b")
        await page.until(f"document.querySelector('[data-broadcast={name}]')")
        assert speaker["name"] in await page.run(f"document.querySelector('[data-broadcast={name}]').textContent")
        await page.run(f"document.querySelector('[data-broadcast={name}] button').click()")
        assert TEXT in await page.until("document.querySelector('.looked h3')?.textContent")
        assert speaker["name"] in await page.run("document.querySelector('.looked li').textContent")
        await press(page, "1")
        await page.until(f"!['—', ''].includes(document.querySelector('[data-broadcast={name}] .came').textContent)")
        assert (await told(http, name))["outcome"]["outcome"] == "left"
        await page.run(HELD)
        await press(page, "3")
        after = await until(lambda: told(http, name), wanted=lambda one: bool(one["corrected"]))
        assert (after["outcome"]["outcome"], [one["outcome"] for one in after["corrected"]]) == ("nobody", ["left"])
        await page.run(fill(".looked .note", "人已走"))
        await page.run("document.querySelector('.looked .note').form.requestSubmit()")
        await page.run("answer()")
        after = await until(lambda: told(http, name), wanted=lambda one: one["outcome"]["note"] != "")
        assert (after["outcome"]["outcome"], after["outcome"]["note"]) == ("nobody", "人已走")
        await page.until("document.querySelector('.looked .note').value === ''")
        await page.run("document.activeElement.blur()")
        await press(page, "4")
        assert await page.run("document.activeElement.matches('.looked .note')"), "of the other outcome somebody says what it was"
        await page.run(fill(".looked .note", "城管已到场"))
        await page.run("document.activeElement.form.requestSubmit()")
        after = await until(lambda: told(http, name), wanted=lambda one: len(one["corrected"]) == 3)
        assert (after["outcome"]["outcome"], after["outcome"]["note"]) == ("other", "城管已到场")
        await page.until("[...document.querySelectorAll('.looked p')].some(line => line.textContent.includes('城管已到场'))")
        await page.run(choose("[aria-label='结果'], [aria-label='What came of it']", "other"))
        await page.until("document.querySelectorAll('.ledger [data-broadcast]').length === 1")
        await page.screenshot(tmp_path / "ledger.png")
        assert await page.run("fetch(document.querySelector('.filters a').href).then(answer => answer.status)") == 200
        assert page.errors == []


async def test_what_is_looked_at_opens_below_its_line_and_closes_again(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile", width=1366, height=560) as page, api(demo, "operator") as http:
        async with http.get("/v1/devices?kind=speaker&limit=5") as answer:
            items = (await answer.json())["items"]
        names = [await said(http, one["id"], name=f"below-{number}", text=f"第{number}处请让行") for number, one in enumerate(items)]
        await sign_in(page, demo, "operator")
        await press(page, "b")
        for name in (names[-1], names[0]):
            row = f"document.querySelector('[data-broadcast={name}]')"
            await page.until(row)
            await page.run(f"{row}.querySelector('button').click()")
            await page.until(f"{row}.nextElementSibling.querySelector('.looked .one-key')")
            await page.screenshot(tmp_path / f"{name}.png")
            place = f"{row}.nextElementSibling.querySelector('.one-key').getBoundingClientRect()"
            assert await page.run(f"{place}.top > document.querySelector('.top').offsetHeight && {place}.bottom < innerHeight"), name
        assert await page.run("document.querySelectorAll('.looked').length") == 1
        await press(page, "Escape")
        await page.until("!document.querySelector('.looked')")
        assert page.errors == []


@pytest.mark.parametrize("width", [560, 1366])
async def test_a_long_text_at_many_loudspeakers_makes_no_column_a_character_wide(demo: Demo, tmp_path: Path, width: int) -> None:
    async with browser(tmp_path / "profile", width=width, height=768) as page, api(demo, "operator") as http:
        async with http.get("/v1/devices?kind=speaker&limit=5") as answer:
            speakers = [one["id"] for one in (await answer.json())["items"]]
        name = await said(http, *speakers, name=f"long-{width}", text=f"{width}路段今晚十点至明晨六点检修排水管网，封闭外侧车道，" * 4)
        await sign_in(page, demo, "operator")
        await press(page, "b")
        row = f"document.querySelector('[data-broadcast={name}]')"
        await page.until(row)
        await page.run(f"{row}.click()")
        await page.until("document.querySelector('.looked .note')")
        await page.screenshot(tmp_path / "long.png")
        assert await page.run(f"{row}.offsetHeight") < 130
        assert await page.run("document.documentElement.scrollWidth <= innerWidth"), "the page is never scrolled sideways"
        assert await page.run("document.querySelector('.looked .note').getBoundingClientRect().right < innerWidth"), "nor is the note"
        assert page.errors == []


async def test_what_another_says_is_shown_at_once_and_takes_nothing_of_what_is_being_written(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "operator") as http, api(demo, "admin") as another:
        async with http.get("/v1/devices?kind=speaker&limit=2") as answer:
            speaker = (await answer.json())["items"][1]
        await sign_in(page, demo, "operator")
        await press(page, "b")
        await page.until("document.querySelector('.ledger')")
        name = await said(http, speaker["id"], name="ledger-2")
        await page.until(f"document.querySelector('[data-broadcast={name}]')")
        await page.run(f"document.querySelector('[data-broadcast={name}]').click()")
        await page.until("document.querySelector('.looked .note')")
        await press(page, "1")
        await page.until("document.querySelector('.looked button[aria-pressed=true]')?.textContent.startsWith('1')")
        await until(lambda: told(http, name), wanted=lambda one: one["outcome"])
        await page.run(fill(".looked .note", "摊主已"))
        async with another.post(f"/v1/broadcasts/{name}/outcome", json={"outcome": "passed-on", "note": "已报城管"}) as answer:
            assert answer.status == 200, await answer.text()
        await page.until("[...document.querySelectorAll('.looked p')].some(line => line.textContent.includes('已报城管'))")
        assert await page.run("document.querySelector('.looked .note').value") == "摊主已"
        await press(page, "w")
        await page.until("!document.querySelector('.ledger')")
        await press(page, "b")
        await page.until("document.querySelector('.looked .note')?.value === '摊主已'")
        await page.run(fill(".looked .note", "摊主已离开"))
        await page.run("document.querySelector('.looked .note').form.requestSubmit()")
        after = await until(lambda: told(http, name), wanted=lambda one: len(one["corrected"]) == 2)
        assert (after["outcome"]["outcome"], after["outcome"]["note"]) == ("left", "摊主已离开")
        assert page.errors == []


async def test_a_schedule_is_paused_and_resumed_by_a_button(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile", width=560, height=900) as page, api(demo, "operator") as http:
        async with http.get("/v1/devices?kind=speaker&limit=1") as answer:
            speaker = (await answer.json())["items"][0]
        start = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        rule = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU"
        body = {"name": "放学提醒", "text": "请走人行道", "start": start, "rrule": rule, "targets": {"speakers": [speaker["id"]]}}
        async with http.post("/v1/schedules", json=body) as answer:
            assert answer.status == 201, await answer.text()
            name = (await answer.json())["id"]
        await sign_in(page, demo, "operator")
        await press(page, "b")
        row = f"document.querySelector('[data-schedule={name}]')"
        await page.until(row)
        assert speaker["name"] in await page.run(f"{row}.textContent")
        assert await page.run(f"{row}.offsetHeight") < 130, "on a narrow screen it is scrolled, and no column is one character wide"
        for after in ("paused", "active"):
            before = await page.run(f"{row}.querySelector('.state').textContent")
            await page.run(f"{row}.querySelector('button').click()")
            await page.until(f"{row}.querySelector('.state').textContent !== '{before}'")
            async with http.get(f"/v1/schedules/{name}") as answer:
                assert (await answer.json())["state"] == after
        await page.screenshot(tmp_path / "schedules.png")
        assert page.errors == []


async def said(http, *speakers: str, name: str = "ledger-1", text: str = TEXT) -> str:
    """A broadcast that was heard, or not: the ledger has both."""
    soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
    body = {"id": name, "text": text, "case": "C-7", "not_after": soon, "targets": {"speakers": speakers}}
    async with http.post("/v1/broadcasts", json=body) as answer:
        assert answer.status == 202, await answer.text()
    await until(lambda: told(http, name), wanted=lambda one: not one["open"], within_s=60)
    return name


async def told(http, name: str) -> dict:
    async with http.get(f"/v1/broadcasts/{name}") as answer:
        return await answer.json()
