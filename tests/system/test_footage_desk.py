"""A liaison at the console files a request by keyboard, an approver lets it be fetched, and the footage is downloaded and handed over."""

from pathlib import Path

import aiohttp
import pytest

from tests.system.chromium import Page, browser, program
from tests.system.conftest import ROOT, Demo
from tests.system.test_console import api, fill, press, sign_in

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(program() is None, reason="the footage desk in a browser: chromium is not installed"),
    pytest.mark.skipif(not (ROOT / "gateway/web/index.html").exists(), reason="the console is not built: ./gw console"),
]

ZIP = "application/zip"
SHOWN = """fetch('{viewing}/films/' + document.querySelector('.files a').textContent, {{ headers: {{ Range: 'bytes=0-' }} }})
    .then(answer => {{
        answer.body.cancel();
        return [answer.status, answer.headers.get('content-type'), answer.headers.get('content-length')];
    }})"""
TYPED = {
    "requester": "王建国",
    "badge": "371502-0417",
    "second_officer": "李敏",
    "unit": "东昌府分局治安大队",
    "case_number": "聊公（治）字〔2026〕0417号",
    "authorising_document": "调取证据通知书〔2026〕0417号",
}


async def test_a_request_goes_from_the_short_form_to_the_hand_over(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "liaison") as http:
        camera = await a_recorded_camera(http)
        await sign_in(page, demo, "liaison")
        await press(page, "f")
        await page.until("document.querySelector('.room-footage')")
        await press(page, "n")
        await page.until("document.querySelector('.request-form')")
        await typed(page, tmp_path, camera)
        request = await page.until("document.querySelector('.request[aria-current=true]')?.dataset.request")
        await page.screenshot(tmp_path / "filed.png")
        async with http.get(f"/v1/footage-requests/{request}") as answer:
            filed = await answer.json()
        assert {name: filed[name] for name in TYPED} == TYPED
        assert (filed["cameras"], filed["state"], filed["destination"]) == ([camera], "submitted", TYPED["unit"])
        await decide(demo, tmp_path, request, camera)
        await downloaded(page, tmp_path)
        await looked_at(page, tmp_path)
        await linked(page, tmp_path)
        await handed_over(page)
        async with http.get(f"/v1/footage-requests/{request}") as answer:
            after = await answer.json()
        assert after["state"] == "handed-over"
        assert {"downloaded", "handed-over"} <= {entry["step"] for entry in after["custody"]}
        assert page.errors == []


async def test_an_emergency_goes_ahead_at_once_and_is_confirmed_afterwards(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page, api(demo, "liaison") as http:
        camera = await a_recorded_camera(http)
        await sign_in(page, demo, "liaison")
        await press(page, "f")
        await press(page, "n")
        await page.until("document.querySelector('.request-form')")
        hurried = {name: words for name, words in TYPED.items() if name not in {"authorising_document", "second_officer"}}
        for name, words in (hurried | {"case_number": "走失0417", "places": camera}).items():
            await page.run(fill(f".request-form [name={name}]", words))
        await page.until("document.querySelector('.hits li')")
        await page.run(key(".request-form [name=places]", "Enter"))
        await page.run(fill(".request-form [name=minutes]", "0.5"))
        await page.run(choose(".request-form [name=emergency]", "missing-person"))
        await page.until("document.querySelector('.request-form label .wrong')")
        await submit(page)
        request = await page.until("document.querySelector('.request[aria-current=true]')?.dataset.request")
        await page.until("document.querySelectorAll('.dossier h2 .chip.hot').length === 2")
        await page.until("document.querySelector('.track .bar .obtained')")
        await page.screenshot(tmp_path / "emergency.png")
        async with browser(tmp_path / "approver") as other:
            await sign_in(other, demo, "approver")
            await press(other, "f")
            await other.until(f"document.querySelector('[data-request={request}].mine')")
            await other.run(f"document.querySelector('[data-request={request}]').click()")
            await other.until("document.querySelector('[data-step=confirm]')")
            await other.run("document.querySelector('[data-step=confirm]').click()")
            await other.until("!document.querySelector('[data-step=confirm]')")
            assert other.errors == []
        for name in await page.run("[...document.querySelectorAll('.papers form.filters:first-of-type input[name]')].map(box => box.name)"):
            if name in TYPED:
                await page.run(fill(f".papers [name={name}]", TYPED[name]))
        await page.run("document.querySelector('.papers form').requestSubmit()")
        await page.until("!document.querySelector('.papers [name=authorising_document]')")
        await page.run(SCANNED)
        await page.until("document.querySelector('[data-document]')")
        await page.screenshot(tmp_path / "papers.png")
        await page.until("document.querySelectorAll('.dossier h2 .chip.hot').length === 1")
        async with http.get(f"/v1/footage-requests/{request}") as answer:
            after = await answer.json()
        assert (after["decided_by"]["name"], after["emergency"], after["owing"]) == ("demo approver", "missing-person", False)
        assert page.errors == []


async def test_a_circle_and_a_way_on_the_map_say_which_cameras_and_when(demo: Demo, tmp_path: Path) -> None:
    async with browser(tmp_path / "profile") as page:
        await sign_in(page, demo, "liaison")
        await press(page, "f")
        await press(page, "n")
        await page.until("document.querySelector('.request-form')")
        await page.run(fill(".request-form [name=minutes]", "1"))
        await page.run("document.querySelector('.request-form [name=places]').parentElement.querySelector('button').click()")
        await page.until("document.querySelector('.request-form .map')")
        await page.run(fill(".request-form .line input.short", "5000"))
        await page.run(clicked(0.5, 0.5))
        await page.until("document.querySelector('.request-form circle.around')")
        await page.until("document.querySelectorAll('[data-recorded]').length > 3")
        await page.screenshot(tmp_path / "circle.png")
        await page.run("document.querySelector('.places .chip').click()")
        await page.until("!document.querySelector('[data-recorded]')")
        await page.run("document.querySelector('.request-form p.line button').click()")
        for place in await page.run(SPOTS):
            await page.run(clicked(*place))
        await page.until("document.querySelector('.request-form polyline.route')")
        await page.until("document.querySelectorAll('[data-recorded]').length >= 3")
        await page.screenshot(tmp_path / "way.png")
        assert page.errors == []


SPOTS = """(() => {
    const box = document.querySelector('.request-form .map').getBoundingClientRect();
    const spots = [...document.querySelectorAll('.request-form .map .spot')].slice(0, 3).map(one => one.getBoundingClientRect());
    return spots.map(at => [(at.x + at.width / 2 - box.x) / box.width, (at.y + at.height / 2 - box.y) / box.height]);
})()"""
"""Where the first three camera groups are on the map, as `clicked` takes it."""


def clicked(across: float, down: float) -> str:
    """A script that clicks at a place of the map, in parts of its size."""
    return f"""(() => {{
        const map = document.querySelector('.request-form .map');
        const box = map.getBoundingClientRect();
        const at = {{ clientX: box.left + box.width * {across}, clientY: box.top + box.height * {down}, bubbles: true }};
        map.dispatchEvent(new MouseEvent('click', at));
    }})()"""


async def typed(page: Page, folder: Path, camera: str) -> None:
    """The form marks all that is missing at once; then it is filled in by keyboard, shows what is recorded, and is sent."""
    await submit(page)
    marked = await page.run("document.querySelectorAll('.request-form [aria-invalid]').length")
    assert marked == 6, "all that is missing is marked at once"
    assert await page.run("document.activeElement.name") == "requester", "the first of it has the focus"
    for name, words in TYPED.items():
        await page.run(fill(f".request-form [name={name}]", words))
    await page.run(fill(".request-form [name=places]", camera))
    await page.until("document.querySelector('.hits li')")
    await page.run(key(".request-form [name=places]", "Enter"))
    await page.until("document.querySelector('.places .chip')")
    await page.run(fill(".request-form [name=minutes]", "0.5"))
    await page.until(f"document.querySelector('[data-recorded={camera}] .bar i')")
    await page.screenshot(folder / "form.png")
    await submit(page)


async def downloaded(page: Page, folder: Path) -> None:
    """What was fetched is downloaded, one file with the digest that is shown beside it, and the package; its footage is held."""
    await page.until("document.querySelector('[data-step=hand-over]')")
    await page.until("document.querySelector('.track .bar .obtained')")
    assert await page.run("document.querySelector('.deeds .uncopied') !== null"), "that no copy has left is said at the hand-over"
    digest = await page.run(DOWNLOADED)
    assert digest in await page.run("[...document.querySelectorAll('.files code')].map(one => one.textContent)")
    await page.screenshot(folder / "ready.png")
    kind = await page.run("fetch(document.querySelector('a.button.main').href).then(answer => answer.headers.get('content-type'))")
    assert kind == ZIP
    await page.run("document.querySelector('.holds .hold-now button').click()")
    await page.until("document.querySelector('[data-hold] .chip.resolved')")


async def looked_at(page: Page, folder: Path) -> None:
    """Small pictures of the footage are shown, and a film of it to somebody who comes to look."""
    await page.run("document.querySelector('.look').click()")
    await page.until("document.querySelectorAll('.strip img').length > 0")
    await page.screenshot(folder / "strip.png")
    await page.run("window.open = () => null; document.querySelector('.viewings form').requestSubmit()")
    viewing = await page.until("document.querySelector('[data-viewing] a')?.href")
    assert await page.run(f"fetch({viewing!r}).then(answer => answer.status)") == 200
    assert await page.run(SHOWN.format(viewing=viewing)) == [200, "video/mp4", None]
    await page.run("document.querySelectorAll('[data-viewing] button')[2].click()")
    await page.until("document.querySelector('[data-viewing] .chip')")


async def handed_over(page: Page) -> None:
    """A file of a vendor's client is brought along, and all of it handed over to a person who is in the log then."""
    await page.run(BROUGHT)
    await page.until("document.querySelector('[data-brought] code')?.textContent.length === 64")
    await press(page, "a")
    assert await page.run("document.querySelector('.deeds .uncopied') === null")
    await page.run(fill(".decide input", "王建国 371502-0417"))
    await page.run("document.querySelector('[data-step=hand-over]').click()")
    await page.until("[...document.querySelectorAll('.history li')].some(line => line.textContent.includes('王建国 371502-0417'))")


async def linked(page: Page, folder: Path) -> None:
    """A link for one person is made, its code shown once, and the person gets in by it; then it is revoked."""
    for name, words in {"receiver": "李敏", "badge": "371502-0418"}.items():
        await page.run(fill(f".links [name={name}]", words))
    await page.run("document.querySelector('.links form').requestSubmit()")
    code = await page.until("document.querySelector('.once .code')?.textContent")
    address = await page.run("document.querySelector('.once .address').textContent")
    await page.screenshot(folder / "link.png")
    async with aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth("371502-0418", code)}) as http:
        async with http.get(address) as answer:
            assert answer.status == 200, await answer.text()
        await page.run("document.querySelector('.links li button').click()")
        await page.until("document.querySelector('.links li.is-over')")
        async with http.get(address) as answer:
            assert answer.status == 409


async def decide(demo: Demo, tmp_path: Path, request: str, camera: str) -> None:
    """The approver finds it waiting, sees which camera it is about, and approves it."""
    async with api(demo, "approver") as http, http.get(f"/v1/devices/{camera}") as answer:
        name = (await answer.json())["name"]
    async with browser(tmp_path / "approver") as page:
        await sign_in(page, demo, "approver")
        await page.until("document.querySelector('nav .badge')")
        await press(page, "f")
        await page.until("document.querySelector('.request.mine')")
        await press(page, "j")
        await page.until(f"document.querySelector('[data-request={request}]').getAttribute('aria-current') === 'true'")
        await page.until("document.querySelector('[data-step=approve]')")
        assert name in await page.run("document.querySelector('.dossier .facts').innerText")
        await page.run("document.querySelector('[data-step=reject]').click()")
        await page.until("document.querySelector('.decide .wrong')")
        await press(page, "a")
        assert await page.run("document.activeElement.closest('.decide') !== null")
        await page.run(fill(".decide input", "同意"))
        await page.run("document.activeElement.form.requestSubmit()")
        await page.until("!document.querySelector('[data-step=approve]')")
        assert await page.run("document.querySelectorAll('.files a').length") == 0, "who approves does not download"
        assert page.errors == []


async def a_recorded_camera(http) -> str:
    async with http.get("/v1/devices?kind=recorder&limit=5") as answer:
        recorders = (await answer.json())["items"]
    for recorder in recorders:
        async with http.get(f"/v1/devices/{recorder['id']}") as answer:
            channels = (await answer.json()).get("channels") or []
        if channels:
            return channels[0]["camera"]
    raise AssertionError("no recorder keeps any camera's footage")


async def submit(page: Page) -> None:
    await page.run("document.querySelector('.request-form').requestSubmit()")


def key(box: str, name: str) -> str:
    event = f"new KeyboardEvent('keydown', {{ key: {name!r}, bubbles: true, cancelable: true }})"
    return f"document.querySelector({box!r}).dispatchEvent({event})"


def choose(box: str, value: str) -> str:
    """A script that chooses `value` in a list."""
    return f"""(() => {{
        const box = document.querySelector({box!r});
        box.value = {value!r};
        box.dispatchEvent(new Event('change', {{ bubbles: true }}));
    }})()"""


# Brings a file of a vendor's client, of more than one piece.
BROUGHT = """(() => {
    const form = document.querySelector('.brought form');
    const words = { brought_by: '赵工', badge: 'HK-0091', device: 'DS-8632N, 10.3.0.7', client: 'iVMS-4200 3.11' };
    for (const [name, value] of Object.entries(words)) form.elements[name].value = value;
    const chosen = new DataTransfer();
    chosen.items.add(new File([new Uint8Array(5 << 20).fill(7)], '通道03.dav'));
    form.elements.file.files = chosen.files;
    form.requestSubmit();
})()"""

# Chooses a scan as a person does, and uploads it.
SCANNED = """(() => {
    const form = [...document.querySelectorAll('.papers form')].at(-1);
    const chosen = new DataTransfer();
    chosen.items.add(new File(['%PDF-1.4 scan'], '通知书.pdf', { type: 'application/pdf' }));
    form.querySelector('[name=file]').files = chosen.files;
    form.requestSubmit();
})()"""

# Answers with the digest that the page itself reckons of what the first link gives.
DOWNLOADED = """
fetch(document.querySelector('.files a').href)
    .then(answer => answer.arrayBuffer())
    .then(bytes => crypto.subtle.digest('SHA-256', bytes))
    .then(digest => [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, '0')).join(''))
"""
