"""Who filed a request sends its package from the console, sees it arrive, and sees why another did not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.processes import free_port
from tests.api.conftest import template
from tests.system.chromium import Page, program
from tests.system.conftest import ROOT
from tests.system.sealed import bucket_at, prepared, request_page, share_in

__all__ = ["template"]

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="sending in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]


@pytest.fixture
async def desk(tmp_path: Path, template: Path) -> AsyncIterator[Page]:
    """The page of the request, open for who filed it; its package may go to a share, and to a store that is not there."""
    store = bucket_at(f"http://127.0.0.1:{free_port(0)}", tmp_path)
    async with request_page(tmp_path, await prepared(tmp_path, template), share_in(tmp_path), store) as page:
        await page.until("document.querySelector('.sending form')")
        yield page


async def test_a_package_is_sent_and_arrives_and_what_does_not_says_why(desk: Page, tmp_path: Path) -> None:
    await desk.run(SHOWN)
    await desk.screenshot(tmp_path / "before.png")
    options = "[...document.querySelectorAll('.sending option')].map(one => one.value)"
    assert await desk.run(options) == ["police-share", "platform"]
    await desk.run("(() => { const box = document.querySelector('.sending select'); box.value = 'platform'; })()")
    await desk.run("document.querySelector('.sending select').dispatchEvent(new Event('change', { bubbles: true }))")
    await desk.run("document.querySelector('.sending form').requestSubmit()")
    await desk.until("document.querySelector('[data-sent][data-state=pending] .wrong')?.textContent")
    await desk.run(SHOWN)
    await desk.screenshot(tmp_path / "waiting.png")
    await desk.run("(() => { const box = document.querySelector('.sending select'); box.value = 'police-share'; })()")
    await desk.run("document.querySelector('.sending select').dispatchEvent(new Event('change', { bubbles: true }))")
    await desk.run("document.querySelector('.sending form').requestSubmit()")
    await desk.until("document.querySelector('[data-sent][data-state=done] .chip.resolved')")
    await desk.until("!document.querySelector('.sending form')")
    await desk.run(SHOWN)
    await desk.screenshot(tmp_path / "sent.png")
    digest = await desk.run("document.querySelector('[data-state=done] p:last-child code').textContent")
    assert len(digest) == 64
    assert await desk.run("document.querySelectorAll('.media [data-delivery]').length") == 0
    assert desk.errors == []


SHOWN = "document.querySelector('.sending').scrollIntoView({ block: 'center' })"
