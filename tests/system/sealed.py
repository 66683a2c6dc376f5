"""A daemon with one request, ready and sealed or without any footage, with destinations that its package may be sent to, and its page."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from demo.processes import free_port, running
from gateway.clock import SystemClock
from gateway.domain.access import Role
from gateway.domain.footage import RequestId
from tests.api.house import House, open_house
from tests.api.test_brought_files import liaison
from tests.footage.buckets import BUCKET, LOGIN
from tests.footage.shelf import ready, unavailable
from tests.system.chromium import Page, browser
from tests.system.test_console import fill
from tests.waiting import until

FILM = os.urandom(1 << 20) * 48
REQUEST = "/v1/footage-requests/F-1"
_ROOM = "[...document.querySelectorAll('header button')].find(one => one.textContent.startsWith('Footage'))"


async def prepared(folder: Path, template: Path) -> str:
    """A data folder with a request that is ready and sealed; the key of who filed it."""
    async with _house(folder, template) as house:
        await ready(house.services.store, folder / "data" / "footage", now=house.clock.now(), by=liaison(house), content=FILM)
        await house.services.footage._prover.seal(RequestId("F-1"))
        return house.keys[Role.LIAISON]


async def lacking(folder: Path, template: Path) -> str:
    """A data folder with a request of which nothing could be fetched; the key of who filed it."""
    async with _house(folder, template) as house:
        await unavailable(house.services.store, now=house.clock.now(), by=liaison(house))
        return house.keys[Role.LIAISON]


@asynccontextmanager
async def _house(folder: Path, template: Path) -> AsyncIterator[House]:
    """A house over the data folder, with the key that the daemon then finds."""
    data = folder / "data"
    data.mkdir()
    (folder / "key").write_bytes(bytes(32))
    (folder / "key").chmod(0o600)
    async with open_house(data, template, clock=SystemClock()) as house:
        yield house


def configured(folder: Path, port: int, *destinations: Mapping[str, object]) -> Path:
    """The configuration of a daemon at `port` over the data folder that was `prepared`."""
    settings = {
        "data_dir": str(folder / "data"),
        "key_file": str(folder / "key"),
        "http": {"port": port},
        "footage": {"destinations": [dict(one) for one in destinations]},
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings, allow_unicode=True))
    return path


def share_in(folder: Path) -> dict[str, object]:
    """A destination of the configuration: a new directory."""
    (folder / "share").mkdir()
    return {"name": "police-share", "kind": "directory", "path": str(folder / "share"), "mounted": False}


def bucket_at(endpoint: str, folder: Path) -> dict[str, object]:
    """A destination of the configuration; its secrets lie in `folder`."""
    files = {"access_key_file": folder / "access", "secret_key_file": folder / "secret"}
    for path, secret in zip(files.values(), (LOGIN.access_key, LOGIN.secret_key), strict=True):
        path.write_text(secret)
    return {"name": "platform", "kind": "s3", "endpoint": endpoint, "bucket": BUCKET} | {name: str(path) for name, path in files.items()}


@asynccontextmanager
async def request_page(folder: Path, key: str, *destinations: Mapping[str, object]) -> AsyncIterator[Page]:
    """The page of the folder's one request in a browser, signed in by `key`, of a daemon of its own."""
    port = free_port(0)
    config = configured(folder, port, *destinations)
    async with running(("gateway", "serve", "--config", str(config)), log=folder / "log", ready=False), caller(port, key) as http:
        await until(lambda: up(http))
        async with browser(folder / "profile") as page:
            await page.open(f"http://127.0.0.1:{port}/")
            await page.until("document.querySelector('.sign-in input')")
            await page.run(fill(".sign-in input", key))
            await page.run("document.querySelector('.sign-in button').click()")
            await page.until(f"!!{_ROOM}")
            await page.run(f"{_ROOM}.click()")
            await page.until("document.querySelector('[data-request]')")
            await page.run("document.querySelector('[data-request]').click()")
            yield page


def caller(port: int, key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"})


async def up(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/v1/footage-destinations") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def delivery(http: aiohttp.ClientSession, made: dict[str, Any]) -> dict[str, Any]:
    async with http.get(f"/v1/footage-deliveries/{made['id']}") as answer:
        found: dict[str, Any] = await answer.json()
        return found
