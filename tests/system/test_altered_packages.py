"""Packages altered at random, the same ones for our verification, for the page in Chromium and for the commands that are printed.

The page and the commands take a tenth of a second for each: they are asked about some of every kind here. `./gw bench evidence` asks all
three about a thousand.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.evidence.contents import PAGE
from gateway.evidence.verifying import verify
from gateway.footage.keys import P256Signer, open_signer
from tests.footage import altering, judges
from tests.footage.altering import ODD_WAYS, WAYS, altered_archives, altered_packages
from tests.footage.packages import NOW, made, zipped
from tests.system import chromium

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]
_SEED = 20260921


@pytest.fixture
def signer(tmp_path: Path) -> P256Signer:
    return open_signer(tmp_path / "keys", now=NOW)


@pytest.fixture
def other(tmp_path: Path) -> P256Signer:
    return open_signer(tmp_path / "others", now=NOW)


@pytest.fixture
def package(tmp_path: Path, signer: P256Signer) -> Path:
    return made(tmp_path / "F-1", signer)


@pytest.fixture
async def page(tmp_path: Path, package: Path, signer: P256Signer) -> AsyncIterator[chromium.Page]:
    if chromium.program() is None:
        pytest.skip("chromium is not installed")
    shutil.copy(package / PAGE, tmp_path / PAGE)
    async with chromium.browser(tmp_path / "profile") as found:
        await judges.open_page(found, tmp_path / PAGE, signer.fingerprint)
        yield found
        assert found.errors == []


def test_our_verification_takes_none_of_a_thousand(package: Path, signer: P256Signer, other: P256Signer) -> None:
    altered = altered_packages(package, (*WAYS, *ODD_WAYS), 1_000, seed=_SEED, signer=signer, other=other)
    assert list(judges.taken_by_us(altered, signer.fingerprint)) == []
    assert verify(package, trusted=signer.fingerprint).altered == ()


async def test_the_page_takes_none(page: chromium.Page, package: Path, signer: P256Signer, other: P256Signer) -> None:
    whole = altering.contents(package)
    unseen = (altering.linked, altering.with_an_empty_folder)  # a browser does not tell a link from a file, nor shows what is empty
    ways = (*WAYS, *(way for way in ODD_WAYS if way not in unseen))
    altered = altered_packages(package, ways, 6 * len(ways), seed=_SEED, signer=signer, other=other)
    assert await judges.taken_by_the_page(page, whole, ((f"{one.number} {one.way}", one.changes()) for one in altered)) == []
    assert await judges.taken_by_the_page(page, whole, [("whole", {})]) == ["whole"]


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sha256sum")), reason="openssl or sha256sum is missing")
def test_the_printed_commands_take_none(package: Path, signer: P256Signer, other: P256Signer) -> None:
    ways = (*WAYS, altering.linked, altering.with_an_empty_folder, altering.manifest_signed_by_another)
    altered = altered_packages(package, ways, 2 * len(ways), seed=_SEED, signer=signer, other=other)
    assert list(judges.taken_by_the_commands(altered, signer.fingerprint)) == []
    assert judges.commands_take(package, signer.fingerprint)


def test_our_verification_takes_none_of_a_thousand_archives(package: Path, tmp_path: Path) -> None:
    whole, altered = zipped(package), tmp_path / "F-1.zip"
    taken = []
    for way, data in altered_archives(whole, 1_000, seed=_SEED):
        altered.write_bytes(data)
        if not verify(altered).altered:
            taken.append(way)
    assert taken == []
    altered.write_bytes(whole)
    assert verify(altered).altered == ()


async def test_the_page_takes_no_altered_archive(page: chromium.Page, package: Path) -> None:
    whole = zipped(package)
    altered = ((way, {"F-1.zip": data}) for way, data in altered_archives(whole, 100, seed=_SEED))
    assert await judges.taken_by_the_page(page, {}, altered) == []
    assert await judges.taken_by_the_page(page, {}, [("whole", {"F-1.zip": whole})]) == ["whole"]
