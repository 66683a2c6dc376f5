"""verify.html in a real browser, opened from the disk as somebody at a court would: whole packages are told from altered ones."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.evidence.contents import PAGE, PROOF, SECOND_PROOF, SM_KEY, SM_SUMS
from gateway.footage import sm2_key
from gateway.footage.keys import P256Signer, open_signer
from tests.footage.packages import FOOTAGE, IMPORTED, NOW, extended, made, zipped
from tests.system import chromium

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(chromium.program() is None, reason="chromium is not installed"),
    pytest.mark.timeout(300),
]
_TOLD = "['verified', 'unaltered', 'altered', 'unread'].includes(document.body.dataset.verdict) && document.body.dataset.verdict"


@pytest.fixture
def signer(tmp_path: Path) -> P256Signer:
    return open_signer(tmp_path / "keys", now=NOW)


@pytest.fixture
def package(tmp_path: Path, signer: P256Signer) -> Path:
    return made(tmp_path / "F-1", signer)


@pytest.fixture
async def page(tmp_path: Path, package: Path) -> AsyncIterator[chromium.Page]:
    shutil.copy(package / PAGE, tmp_path / PAGE)
    async with chromium.browser(tmp_path / "profile") as found:
        await found.open((tmp_path / PAGE).as_uri())
        await found.until("document.readyState === 'complete' && document.getElementById('drop')")
        yield found
        assert found.errors == []
        assert [url for url in found.requested if not url.startswith(("file:", "blob:"))] == []


async def chosen(page: chromium.Page, *paths: Path) -> str:
    """What the page says of a folder, of files or of a ZIP."""
    await page.run("document.body.dataset.verdict = ''")
    await page.choose("#chosen-folder" if paths[0].is_dir() else "#chosen-files", *paths)
    return str(await page.until(_TOLD))


async def trust(page: chromium.Page, fingerprint: str) -> str:
    field = "document.getElementById('fingerprint')"
    await page.run(f"{field}.value = {fingerprint!r}; {field}.dispatchEvent(new Event('input'))")
    return str(await page.run("document.body.dataset.verdict"))


async def shown(page: chromium.Page) -> str:
    return str(await page.run("document.getElementById('files').innerText"))


async def test_a_whole_package_is_verified_as_a_folder_as_files_as_a_zip_and_dropped(
    page: chromium.Page, package: Path, tmp_path: Path, signer: P256Signer
) -> None:
    whole = tmp_path / "F-1.zip"
    whole.write_bytes(zipped(package))
    files = [package / name for name in (*FOOTAGE, *PROOF)]
    assert await chosen(page, package) == "unaltered"  # whose it is, the page cannot know
    assert await trust(page, "00" * 32) == "altered"
    assert await trust(page, ":".join(signer.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()) == "verified"
    assert await chosen(page, *files) == "verified"
    assert await chosen(page, whole) == "verified"
    for dropped in ([package], files, [whole]):
        await page.run("document.body.dataset.verdict = ''")
        await page.drop(*dropped, at=(400, 200))
        assert await page.until(_TOLD) == "verified"
    about = await page.run("document.getElementById('about').innerText")
    assert all(
        word in about for word in ("聊公（治）字〔2026〕0001号", "423.25", "2026-09-21 21:00:00 +08:00", "2026-09-21 21:06:00 +08:00")
    )


async def test_parts_that_a_later_version_added_are_signed_too_and_so_are_their_files(
    page: chromium.Page, package: Path, signer: P256Signer
) -> None:
    extended(package, signer)
    await trust(page, signer.fingerprint)
    assert await chosen(page, package) == "verified"
    about = await page.run("document.getElementById('about').innerText")
    assert "holds" in about
    assert f"{FOOTAGE[-1]} · IPC-9" in about
    assert f"{FOOTAGE[-1]} · G726-32" in about
    assert f"{FOOTAGE[-1]} · PCMA" in about
    assert f"The device's time went back, it showed the same times twice\n{FOOTAGE[0]}; {FOOTAGE[1]}" in about
    assert "Times reckoned by the gateway" in about
    (package / IMPORTED).write_bytes((package / IMPORTED).read_bytes().replace(b"vendor", b"cousin"))
    assert await chosen(page, package) == "altered"
    assert (await shown(page)).splitlines()[1].startswith(IMPORTED)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
async def test_a_package_that_is_signed_a_second_time_is_whole_with_what_belongs_to_that(page: chromium.Page, tmp_path: Path) -> None:
    sm2_key.begin(tmp_path / "keys")
    signer = open_signer(tmp_path / "keys", now=NOW)
    package = made(tmp_path / "F-2", signer)
    await trust(page, signer.fingerprint)
    assert await chosen(page, package) == "verified"
    assert "SM2" in await page.run("document.getElementById('about').innerText")
    for name in (*SECOND_PROOF, SM_KEY):
        whole = (package / name).read_bytes()
        (package / name).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        assert await chosen(page, package) == "altered"
        assert (await shown(page)).splitlines()[1].startswith(name)
        (package / name).write_bytes(whole)
    (package / SM_SUMS).unlink()
    assert await chosen(page, package) == "altered"


async def test_it_names_the_file_that_was_altered_added_or_is_missing(page: chromium.Page, package: Path) -> None:
    (package / FOOTAGE[0]).write_bytes((package / FOOTAGE[0]).read_bytes()[:-1] + b"?")
    (package / FOOTAGE[1]).unlink()
    (package / "03_<img src=x onerror=alert(1)>.mp4").write_bytes(b"more")
    assert await chosen(page, package) == "altered"
    lines = [line.split("\t") for line in (await shown(page)).splitlines()]
    assert [lines[number][0] for number in (1, 2, 3)] == ["03_<img src=x onerror=alert(1)>.mp4", *FOOTAGE[:2]]
    assert ["added" if "not part" in lines[1][2] else "", "is missing" in lines[3][2]] == ["added", True]
    assert "another content" in lines[2][2]


async def test_a_dropped_folder_with_an_empty_one_in_it_is_altered(page: chromium.Page, package: Path) -> None:
    (package / "more").mkdir()
    await page.run("document.body.dataset.verdict = ''")
    await page.drop(package, at=(400, 200))
    assert await page.until(_TOLD) == "altered"
    assert "more/" in await shown(page)


async def test_a_film_longer_than_memory_is_digested_piece_by_piece(page: chromium.Page, tmp_path: Path) -> None:
    """More than 512 MiB, where the count of bits leaves 32 of them; what the page keeps of it is less than a tenth."""
    film = tmp_path / "film.mp4"
    with film.open("wb") as file:
        file.truncate(600_000_003)
        file.seek(299_999_999)
        file.write(b"picture")
    await page.run(
        "document.getElementById('chosen-files').addEventListener('change', event => (film = event.target.files[0]), {once: true})"
    )
    await page.choose("#chosen-files", film)
    await page.until("globalThis.film && document.body.dataset.verdict === 'altered'")
    found = await page.run("hashed(() => undefined)(film, true, 'film').then(({sha256}) => sha256)")
    with film.open("rb") as file:
        assert found == hashlib.file_digest(file, "sha256").hexdigest()
    assert await page.run("performance.memory.usedJSHeapSize") < 60_000_000


async def test_strict_json_is_read_as_the_gateway_reads_it(page: chromium.Page) -> None:
    good = '{"a": [1, 2.5, -0, 1e3, true, null, "\\\\u00e9\\\\n"], "b": {}, "c": []}'
    assert await page.run(f"(() => {{ const m = strictJson('{good}'); return [m.size, m.get('a').length, m.get('a')[6]]; }})()") == [
        3,
        7,
        "é\n",
    ]
    bad = [
        "",
        "{",
        '{"a":1,}',
        "[1,]",
        '{"a":1,"a":1}',
        "[1] 2",
        "NaN",
        "01",
        "'a'",
        '"\\x01"',
        "[" * 100 + "]" * 100,
        '{"a" 1}',
        "[1 2]",
        "\ufeff1",
    ]
    refused = await page.run(f"{bad!r}.map(text => {{ try {{ strictJson(text); return text; }} catch {{ return null; }} }})")
    assert [text for text in refused if text is not None] == []
