"""Asks a server as fast as it answers, or at a pace, from a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of the client saw: answers a second, latencies in ms."""

    rate: float
    p50_ms: float
    p99_ms: float


def drive(port: int, requests: Sequence[bytes], seconds: float, *, connections: int = CONNECTIONS, pause_s: float = 0.0) -> Load:
    """Ask the server on `port` for `seconds`; each connection waits `pause_s` between an answer and its next request."""
    order = {"port": port, "requests": [request.decode() for request in requests]}
    order |= {"seconds": seconds, "connections": connections, "pause_s": pause_s}
    client = [sys.executable, "-m", "bench.asker"]
    done = subprocess.run(client, input=json.dumps(order), capture_output=True, text=True, check=True, timeout=seconds + 30)
    return Load(**json.loads(done.stdout))


def request_for(path: str, key: str) -> bytes:
    """A GET of `path` as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
