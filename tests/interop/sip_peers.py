"""Foreign SIP programs as loudspeakers: baresip, which records what it plays, and SIPp, which follows a script."""

import asyncio
import contextlib
import shutil
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import processes
from tests.waiting import until

BARESIP = """\
sip_listen 127.0.0.1:{port}
call_max_calls 1
audio_player aubridge,horn
audio_source aubridge,horn
audio_level no
rtp_ports {rtp}-{last}
jitter_buffer_delay 0-0
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
snd_path {folder}
"""


@dataclass
class Peer:
    port: int
    folder: Path

    def played(self) -> list[bytes]:
        """What it played of each call, as 16-bit samples."""
        return [_samples(file) for file in sorted(self.folder.glob("dump-*-dec.wav"))]


def _samples(file: Path) -> bytes:
    """Empty as long as the call lasts: baresip writes the length of the file at its end."""
    if int.from_bytes(file.read_bytes()[4:8], "little") != file.stat().st_size - 8:
        return b""
    with wave.open(str(file)) as recorded:
        assert (recorded.getnchannels(), recorded.getsampwidth(), recorded.getframerate()) == (1, 2, 8000)
        return recorded.readframes(recorded.getnframes())


def free_port() -> int:
    """A port that nobody has now over UDP and TCP, even, with the next one free too."""
    while True:
        port = processes.free_port(0)
        if port % 2 == 0 and processes.free_port(port + 1) == port + 1:
            return port


@contextlib.asynccontextmanager
async def baresip(folder: Path, encoding: str) -> AsyncIterator[Peer]:
    """A telephone that takes every call by itself and records what it hears."""
    if shutil.which("baresip") is None:
        pytest.skip("a foreign SIP loudspeaker: baresip-core is not installed")
    port, rtp = free_port(), free_port()
    (folder / "config").write_text(BARESIP.format(port=port, rtp=rtp, last=rtp + 200, folder=folder))
    (folder / "accounts").write_text(f"<sip:horn@127.0.0.1>;regint=0;answermode=auto;audio_codecs={encoding.lower()}\n")
    log = folder / "log"
    with log.open("wb") as out:
        program = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(folder), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        await until(lambda: b"baresip is ready" in log.read_bytes() or program.returncode is not None)
        assert program.returncode is None, log.read_text()
        yield Peer(port, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.terminate()
        await program.wait()


@dataclass
class Sipp:
    """SIPp at work. `port`: where it is called; `rtp`: the port that it names for sound, on which the test itself listens."""

    port: int
    rtp: int
    program: asyncio.subprocess.Process
    errors: Path

    async def judged(self) -> None:
        """Wait for its end: it says itself whether everything went as its script has it."""
        code = await asyncio.wait_for(self.program.wait(), 90)
        assert code == 0, self.errors.read_text() if self.errors.exists() else code


@contextlib.asynccontextmanager
async def sipp(folder: Path, script: str, *, transport: str = "u1", **words: str) -> AsyncIterator[Sipp]:
    """SIPp following `tests/interop/sipp/SCRIPT.xml`, in which @WORD@ stands for what is given."""
    if shutil.which("sipp") is None:
        pytest.skip("a foreign SIP loudspeaker: sip-tester is not installed")
    port, rtp = free_port(), free_port()
    text = (Path(__file__).parent / "sipp" / f"{script}.xml").read_text()
    for word, value in {"RTP": str(rtp), "BYE": "200 OK", **words}.items():
        text = text.replace(f"@{word}@", value)
    (folder / "script.xml").write_text(text)
    log, errors = folder / "sipp.log", folder / "errors.log"
    command = ("sipp", "-sf", str(folder / "script.xml"), "-i", "127.0.0.1", "-p", str(port), "-t", transport, "-m", "1", "-nostdin")
    watch = ("-trace_err", "-error_file", str(errors), "-timeout", "60", "-timeout_error")
    with log.open("wb") as out:
        program = await asyncio.create_subprocess_exec(
            *command, *watch, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder
        )
    try:
        await until(lambda: _listens(port, "/proc/net/udp" if transport == "u1" else "/proc/net/tcp"))
        yield Sipp(port, rtp, program, errors)
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


def _listens(port: int, table: str) -> bool:
    return any(line.split()[1].endswith(f":{port:04X}") for line in Path(table).read_text().splitlines()[1:])


@contextlib.asynccontextmanager
async def ear(port: int) -> AsyncIterator[list[bytes]]:
    """All RTP packets that come to a port."""
    heard: list[bytes] = []
    loop = asyncio.get_running_loop()

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _addr: object) -> None:
            heard.append(data)

    transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=("127.0.0.1", port))
    try:
        yield heard
    finally:
        transport.close()
