"""A headless Chromium, driven over the DevTools protocol: just enough to open a page, run a script in it, and look at it."""

import asyncio
import base64
import itertools
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
PATIENCE_S = 120.0


def program() -> str | None:
    """Where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requested: list[str] = []
        self.errors: list[str] = []

    async def open(self, url: str) -> None:
        for domain in ("Page", "Network", "Runtime"):
            await self._command(f"{domain}.enable")
        await self._command("Emulation.setFocusEmulationEnabled", enabled=True)  # else nothing in the tab gets or loses the focus
        await self._command("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = await self._command("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait in the page until the expression is truthy, and return it."""
        look = f"const look = () => {{ const found = ({script}); found ? done(found) : setTimeout(look, 50); }}; look();"
        poll = f"new Promise(done => {{ {look} }})"
        async with asyncio.timeout(PATIENCE_S):
            return await self.run(poll)

    async def choose(self, field: str, *paths: Path) -> None:
        """Choose files, or a folder where the field takes one, in the `<input type=file>` that the selector `field` names."""
        found = await self._command("Runtime.evaluate", expression=f"document.querySelector({field!r})")
        await self._command("DOM.setFileInputFiles", objectId=found["result"]["objectId"], files=[str(path) for path in paths])

    async def drop(self, *paths: Path, at: tuple[int, int]) -> None:
        """Drop files and folders at a place of the page."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await self._command("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)

    async def printed(self, path: Path) -> None:
        """Print the page to a PDF file, on the paper that it asks for."""
        data = base64.b64decode((await self._command("Page.printToPDF", preferCSSPageSize=True, printBackground=True))["data"])
        await asyncio.to_thread(path.write_bytes, data)

    async def screenshot(self, path: Path) -> None:
        picture = base64.b64decode((await self._command("Page.captureScreenshot", format="png"))["data"])
        await asyncio.to_thread(path.write_bytes, picture)

    async def _command(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in self._socket:
            answer = message.json()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)
        raise AssertionError("the browser went away")

    def _note(self, event: Any) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(event["params"]["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))


@asynccontextmanager
async def browser(profile: Path, *, width: int = 1600, height: int = 1000, flags: Sequence[str] = ()) -> AsyncIterator[Page]:
    """A fresh browser with one tab, gone afterwards."""
    command = (str(program()), *FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank")
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        port = await _port(process)
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/json") as answer:
            tab = next(tab for tab in await answer.json() if tab["type"] == "page")
            async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.kill()
        await process.communicate()


async def _port(process: asyncio.subprocess.Process) -> int:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in process.stderr:
            if b"DevTools listening on ws://" in line:
                return int(line.split(b"/devtools")[0].rpartition(b":")[2])
    raise AssertionError("Chromium did not start")
