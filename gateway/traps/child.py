"""The daemon's end of the receiving process: starts it, hears what it tells in batches, and says what has been taken."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from gateway.drivers.snmp.ber import Value
from gateway.drivers.snmp.notifications import Notification
from gateway.errors import GatewayError
from gateway.processes import put_down

BATCH: Final = 32
"""Notifications taken at a time: some 3 ms of work between two turns of the loop."""
_CHUNK: Final = 1 << 16


class ReceiverEnded(GatewayError):
    """The receiving process has ended without being asked to."""

    code = "trap-receiver-ended"


@dataclass(frozen=True, slots=True)
class Told:
    """What a device told. `number`: by which it is taken, for one that waits to be acknowledged; else 0."""

    number: int
    device: str
    version: str
    notification: Notification


class ReceiverProcess:
    """A running receiver of datagrams on a socket that stays the daemon's, so that nothing is lost while the process starts anew."""

    def __init__(self, sock: socket.socket, hello: Mapping[str, Any]) -> None:
        self._socket = sock
        self._hello = hello
        self._process: asyncio.subprocess.Process | None = None
        self.counts: Mapping[str, int] = {}
        self.strangers: Sequence[str] = ()

    async def __aenter__(self) -> "ReceiverProcess":
        descriptor = self._socket.fileno()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.traps.receiving", str(descriptor)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(descriptor,),
        )
        self._order(self._hello)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process, self._process = self._process, None
        if process is not None:
            await put_down(process)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def introduce(self, sources: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Let these, by address, be believed from now on."""
        self._order({"sources": sources})

    def taken(self, numbers: Iterable[int]) -> None:
        """These have been taken: those who wait for that are told."""
        if told := [number for number in numbers if number]:
            self._order({"taken": told})

    async def batches(self) -> AsyncIterator[Sequence[Told]]:
        """What is told, some at a time; nothing, when only the counts are new. Raises ReceiverEnded."""
        assert self._process is not None and self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            told = [each for line in lines if (each := self._read(line)) is not None]
            for start in range(0, len(told), BATCH) or (0,):  # an empty one tells that the counts are new
                yield told[start : start + BATCH]
        raise ReceiverEnded(f"the receiving process ended with {await self._process.wait()}")

    def _read(self, line: bytes) -> Told | None:
        order = json.loads(line)
        if "told" in order:
            number, device, version, trap, uptime, inform, rows = order["told"]
            bindings = tuple((oid, _value(value)) for oid, value in rows)
            return Told(number, device, version, Notification(trap, bindings, uptime, inform))
        self.counts, self.strangers = order["counts"], order["strangers"]
        return None

    def _order(self, order: Mapping[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(order, separators=(",", ":")).encode() + b"\n")


def _value(value: Any) -> Value:
    if isinstance(value, dict):
        return bytes.fromhex(value["x"])
    plain: Value = value
    return plain
