"""An HTTP client that costs little: raw keep-alive connections, each sending its next request when it has the answer to the last.

Run as a program it takes one JSON order on standard input (port, requests, seconds, connections, pause_s) and prints one JSON object.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any


class Asker(asyncio.Protocol):
    """One keep-alive connection: sends, waits for the whole answer, notes how long it took, sends the next."""

    def __init__(self, requests: Sequence[bytes], first: int, pause_s: float) -> None:
        self.took: list[float] = []
        self._requests = requests
        self._next = first
        self._pause_s = pause_s
        self._sent_at = 0.0
        self._missing = -1
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 200"), head
            at = head.lower().index(b"content-length:") + 15
            self._missing = int(head[at : at + 12].split(b"\r\n")[0])
            data = body
        self._missing -= len(data)
        if self._missing == 0:
            self._answered()

    def _answered(self) -> None:
        self.took.append(time.perf_counter() - self._sent_at)
        self._head, self._missing = b"", -1
        if self._pause_s:
            asyncio.get_running_loop().call_later(self._pause_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        assert self._transport
        self._next = (self._next + 1) % len(self._requests)
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests[self._next])


async def ask(order: dict[str, Any]) -> dict[str, float]:
    """Carry out `order`; answers a second, and latencies in ms."""
    requests = [request.encode() for request in order["requests"]]
    loop = asyncio.get_running_loop()
    askers = [partial(Asker, requests, index * 37, order["pause_s"]) for index in range(order["connections"])]
    made = [await loop.create_connection(asker, "127.0.0.1", order["port"]) for asker in askers]
    await asyncio.sleep(order["seconds"])
    took = sorted(one for _, asker in made for one in asker.took)
    for transport, _ in made:
        transport.abort()
    p50, p99 = (1000 * took[int(len(took) * part)] for part in (0.5, 0.99))
    return {"rate": len(took) / order["seconds"], "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(json.load(sys.stdin)))))
