"""A recorder without replay: what a vendor's client exported is brought in the console, and is given, proved and viewed like any other."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import template
from tests.media.films import grey_film
from tests.system.chromium import Page, program
from tests.system.conftest import ROOT
from tests.system.sealed import lacking, request_page, share_in

__all__ = ["template"]

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="brought footage in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]


@pytest.fixture
async def desk(tmp_path: Path, template: Path) -> AsyncIterator[Page]:
    """The page of a request of which nothing could be fetched, open for who filed it."""
    async with request_page(tmp_path, await lacking(tmp_path, template), share_in(tmp_path)) as page:
        yield page


async def test_what_was_brought_alone_is_given_proved_and_viewed(desk: Page, tmp_path: Path) -> None:
    assert await desk.run("document.querySelectorAll('.viewings, .files, .links, .media, .sending').length") == 0
    await bring(desk, "通道03.mp4", grey_film())
    await desk.until("document.querySelectorAll('.files a').length === 1")
    await bring(desk, "通道04.dav", b"IMKH" + bytes(1000))
    await desk.until("document.querySelectorAll('.files a').length === 2")
    zipped = "fetch(document.querySelector('a.button.main').href).then(answer => answer.headers.get('content-type'))"
    assert await desk.run(zipped) == "application/zip"
    sheet = "fetch(document.querySelector('a[download=\"custody-sheet.html\"]').href).then(answer => answer.text())"
    assert "非网关提取" in await desk.run(sheet)
    await desk.until(
        "document.querySelector('.links form') && document.querySelector('.media form') && document.querySelector('.sending form')"
    )
    await desk.run("window.open = () => null; document.querySelector('.viewings form').requestSubmit()")
    viewing = await desk.until("document.querySelector('[data-viewing] a')?.href")
    page = await desk.run(f"fetch({viewing!r}).then(answer => answer.text())")
    assert "film=brought_01_03.mp4&amp;from_s=0" in page
    assert ("film=brought_02" in page, "厂商格式" in page) == (False, True)
    shown = (
        "fetch({0!r} + '/films/{1}').then(answer => {{ answer.body.cancel(); return [answer.status, answer.headers.get('content-type')] }})"
    )
    assert await desk.run(shown.format(viewing, "brought_01_03.mp4")) == [200, "video/mp4"]
    assert await desk.run(shown.format(viewing, "brought_02_04.dav")) == [502, "application/problem+json"]
    await desk.screenshot(tmp_path / "brought.png")
    assert desk.errors == []


async def bring(page: Page, name: str, content: bytes) -> None:
    await page.until("document.querySelector('.brought form')")  # away while another is sent
    await page.run(BRING.format(name=name, content=base64.b64encode(content).decode()))


BRING = """(() => {{
    const form = document.querySelector('.brought form');
    const words = {{ brought_by: '赵工', badge: 'HK-0091', device: 'DS-8632N, 10.3.0.7', client: 'iVMS-4200 3.11' }};
    for (const [name, value] of Object.entries(words)) form.elements[name].value = value;
    const chosen = new DataTransfer();
    chosen.items.add(new File([Uint8Array.from(atob('{content}'), letter => letter.charCodeAt(0))], '{name}'));
    form.elements.file.files = chosen.files;
    form.requestSubmit();
}})()"""
