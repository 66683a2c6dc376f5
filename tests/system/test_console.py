"""The console in a real browser, against a whole small city."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.chromium import browser, program
from tests.system.conftest import ROOT, Demo

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="the console in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]


async def test_an_operator_signs_in_and_sees_every_group_and_whatever_changes(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await page.open(demo.url + "/")
        await page.until("document.querySelector('.sign-in input')")
        await page.run(
            f"""(() => {{
                const box = document.querySelector('.sign-in input');
                box.value = {demo.keys["operator"]!r};
                box.dispatchEvent(new Event('input', {{ bubbles: true }}));
            }})()"""
        )
        await page.run("document.querySelector('.sign-in button').click()")
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
