"""Somebody who speaks live through the gateway: opens a talk with a key, and sends a sound as a microphone would, 20 ms at a time."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

FRAME_S = 0.020
FRAME_BYTES = 640
_PAUSE_S = 0.2  # who said nothing for so long begins anew, instead of catching up


@dataclass(slots=True)
class Talker:
    """One talk. `words`: what the gateway said so far; `sent`: when each frame was sent, in seconds of `time.monotonic`."""

    socket: aiohttp.ClientWebSocketResponse
    words: list[dict[str, Any]] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    _due: float = 0.0
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def listen(self) -> None:
        """Collect words until the connection ends."""
        async for message in self.socket:
            async with self._heard:
                self.words.append(json.loads(message.data))
                self._heard.notify_all()
        async with self._heard:
            self.words.append({"type": "closed"})
            self._heard.notify_all()

    async def word(self, *kinds: str, within_s: float = 60.0, state: str = "") -> dict[str, Any]:
        """The first word of one of `kinds` (and for a delivery of `state`), once it was said."""

        def found() -> dict[str, Any] | None:
            said = (word for word in self.words if word["type"] in kinds)
            return next((word for word in said if not state or word.get("delivery", {}).get("state") == state), None)

        async with asyncio.timeout(within_s), self._heard:
            await self._heard.wait_for(found)
        word = found()
        assert word is not None
        return word

    async def say(self, pcm: bytes) -> None:
        """Send 16 kHz mono PCM of signed 16 bit at the pace of a microphone; what is left of a frame is filled up with silence."""
        await self.send(pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in range(0, len(pcm), FRAME_BYTES))

    async def send(self, messages: Iterable[bytes]) -> None:
        """Send frames or packets at the pace of a microphone."""
        for message in messages:
            now = time.monotonic()
            self._due = self._due if now - self._due < _PAUSE_S else now
            await asyncio.sleep(max(0.0, self._due - now))
            self._due += FRAME_S
            self.sent.append(time.monotonic())
            await self.socket.send_bytes(message)

    async def on_air(self, silence: bytes = bytes(FRAME_BYTES)) -> None:
        """Send `silence` until the talk is heard somewhere, as a microphone does while its person waits."""
        playing = asyncio.ensure_future(self.word("delivery", "ended", "refused", state="playing"))
        while not playing.done():
            await self.send([silence])
        playing.result()

    async def release(self) -> dict[str, Any]:
        """Let go of the key; the last word."""
        await self.socket.send_str('{"end":"released"}')
        return await self.word("ended", "refused")


@contextlib.asynccontextmanager
async def talking(
    http: aiohttp.ClientSession, url: str, key: str, order: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Talker]:
    """A talk that was ordered; whether it was accepted or refused is its first word."""
    async with http.ws_connect(f"{url}/v1/talk", headers={"Authorization": f"Bearer {key}", **(headers or {})}) as socket:
        talker = Talker(socket)
        listening = asyncio.create_task(talker.listen())
        try:
            await socket.send_str(json.dumps(order))
            await talker.word("accepted", "refused")
            yield talker
        finally:
            listening.cancel()
