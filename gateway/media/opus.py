"""Speech as Opus packets (RFC 6716): what is none is refused before it is decoded, which a process of its own does for each talk."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import structlog

from gateway.errors import InvalidInput, Overloaded

log = structlog.get_logger()

LONGEST_S: Final = 0.120
PACKET_BYTES: Final = 4_000  # 120 ms at 256 kbit/s
_FRAME_BYTES = 1_275
_CONCEALED_MAX = 10  # lost packets in a row for which something is made up
_WORKER = Path(__file__).with_name("opus_worker.py")
_END_S = 1.0
_ANSWER_BYTES = 1 << 16
_ANSWERS_A_TURN = 16
_MS = (*(10, 20, 40, 60) * 3, *(10, 20) * 2, *(2.5, 5, 10, 20) * 4)
"""A frame's length by the packet's configuration (RFC 6716, table 2)."""


def duration_of(packet: bytes) -> float:
    """How many seconds of sound a packet holds. Raises InvalidInput (`bad-frame`) for what the requirements of RFC 6716, 3.4 rule out."""
    if not packet or len(packet) > PACKET_BYTES:
        raise _bad(f"a packet has 1 to {PACKET_BYTES} bytes, not {len(packet)}")
    frame_s = _MS[packet[0] >> 3] / 1000
    count = {0: _one, 1: _two_alike, 2: _two, 3: _many}[packet[0] & 3](packet)
    if count * frame_s > LONGEST_S + 1e-9:
        raise _bad(f"a packet holds {LONGEST_S * 1000:.0f} ms at the most")
    return count * frame_s


def _one(packet: bytes) -> int:
    _must_fit(len(packet) - 1)
    return 1


def _two_alike(packet: bytes) -> int:
    if len(packet) % 2 == 0:
        raise _bad("two frames of the same length have an even number of bytes")
    _must_fit((len(packet) - 1) // 2)
    return 2


def _two(packet: bytes) -> int:
    first, at = _length(packet, 1)
    if at + first > len(packet):
        raise _bad("the first frame is longer than its packet")
    _must_fit(len(packet) - at - first)
    return 2


def _many(packet: bytes) -> int:
    if len(packet) < 2 or not packet[1] & 0x3F:
        raise _bad("a packet of any number of frames says how many")
    count, at, padding = packet[1] & 0x3F, 2, 0
    if packet[1] & 0x40:
        padding, at = _padding(packet)
    left = len(packet) - at - padding
    if packet[1] & 0x80:
        for _ in range(count - 1):
            size, following = _length(packet, at)
            left -= size + following - at
            at = following
        _must_fit(left)
    else:
        if left < 0 or left % count:
            raise _bad("frames of the same length share their bytes evenly")
        _must_fit(left // count)
    return count


def _padding(packet: bytes) -> tuple[int, int]:
    """How many bytes of padding there are, and where what follows their count begins."""
    padding, at = 0, 2
    while at < len(packet):
        size, at = packet[at], at + 1
        padding += min(size, 254)
        if size < 255:
            return padding, at
    raise _bad("the padding is longer than its packet")


def _length(packet: bytes, at: int) -> tuple[int, int]:
    """The length of a frame (RFC 6716, 3.2.1), and where what follows it begins."""
    if at >= len(packet):
        raise _bad("a length is missing")
    if packet[at] < 252:
        return packet[at], at + 1
    if at + 1 >= len(packet):
        raise _bad("a length is cut short")
    return packet[at] + 4 * packet[at + 1], at + 2


def _must_fit(size: int) -> None:
    if not 0 <= size <= _FRAME_BYTES:
        raise _bad(f"a frame has 0 to {_FRAME_BYTES} bytes, not {size}")


def _bad(why: str) -> InvalidInput:
    return InvalidInput(f"this is no Opus packet (RFC 6716): {why}", code="bad-frame")


class OpusVoice:
    """One person's voice, packets in, PCM of 8 kHz out, by a process that lives as long as this is open.

    The process is ready some tenths of a second after `start`; what came meanwhile it decodes then.
    """

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, take: Callable[[bytes], None]) -> None:
        self.gone = False
        self._process = process
        self._control = control
        self._take = take
        self._last = b""
        self._lost = 0
        self._refused = False
        asyncio.get_running_loop().add_reader(control, self._hear)

    @classmethod
    async def start(cls, take: Callable[[bytes], None]) -> Self:
        """`take` is called with the PCM (mono, signed 16 bit, little endian). Raises Overloaded (`no-opus`) where no process can be had."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.setblocking(False)
            command = (sys.executable, "-I", str(_WORKER), str(theirs.fileno()))
            nowhere = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=(theirs.fileno(),), stdin=nowhere, stdout=nowhere, stderr=nowhere
            )
        except BaseException as error:
            ours.close()
            if isinstance(error, OSError):
                raise Overloaded("nothing can decode Opus now", code="no-opus", hint="Send PCM, or try again.") from error
            raise
        finally:
            theirs.close()
        return cls(process, ours, take)

    def hear(self, packet: bytes) -> float:
        """Decode the next packet, an empty one for one that was lost. How many seconds that is. Raises InvalidInput (`bad-frame`)."""
        if self._refused:
            raise _bad("a packet before this one cannot be decoded")
        if not packet:
            return self._conceal()
        seconds = duration_of(packet)
        self._last, self._lost = packet[:1], 0
        self._send(packet)
        return seconds

    def _conceal(self) -> float:
        """Let something be made up for a packet that was lost: a frame of nothing is what libopus does that for."""
        if not self._last:
            return 0.0
        self._lost += 1
        packet = bytes([self._last[0] & 0xFC])
        if self._lost <= _CONCEALED_MAX:
            self._send(packet)
        return duration_of(packet)

    def _send(self, packet: bytes) -> None:
        try:
            self._control.send(packet)
        except BlockingIOError:
            pass  # it is busy with much that came at once: who speaks is to be heard now
        except OSError:
            self._lose()

    def _hear(self) -> None:
        for _ in range(_ANSWERS_A_TURN):
            try:
                answer = self._control.recv(_ANSWER_BYTES)
            except BlockingIOError:
                return
            except OSError:
                answer = b""
            if not answer:
                self._lose()
                return
            if answer[0]:
                self._take(answer[1:])
            else:
                self._refused = True

    def _lose(self) -> None:
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().remove_reader(self._control)
            log.warning("media.opus_worker_gone", pid=self._process.pid)

    async def close(self) -> None:
        """End the process."""
        if not self.gone:
            asyncio.get_running_loop().remove_reader(self._control)
            self.gone = True
        self._control.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
