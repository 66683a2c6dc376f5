"""A small city for the tests of its protocols, on addresses of its own, with time that stands still until a test moves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from simulators.city import City, SimChannel, SimDevice
from simulators.rtsp import server as rtsp
from simulators.state import State
from tests.simulators.rtsp_client import Client

NOW = 1_777_680_000.0  # 2026-05-02T00:00:00Z


class Wallclock:
    """Seconds since the epoch; `advance` moves it."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


_PART = {"camera": 10, "speaker": 20, "recorder": 30, "switch": 40}


def device(kind: str, number: int, **values: object) -> SimDevice:
    base = SimDevice(id=f"{kind.upper()}-{number}", kind=kind, name=f"{kind} {number}", address=f"127.77.{_PART[kind]}.{number}",
                     model="M1", serial=f"S{kind}{number}", firmware="1.0", mac=f"02:00:00:00:{_PART[kind]}:{number:02x}",
                     username="admin", password="secret-1")  # fmt: skip
    return replace(base, **values)


def city_of(*devices: SimDevice) -> City:
    return City(1, 0, 0, 0, groups=(), devices=devices)


CAMERA = device("camera", 1)
TALKING_CAMERA = device("camera", 2)
SPEAKER = device("speaker", 1, audio=("PCMA", "PCMU"))
SPEAKER_OF_CAMERA = device("speaker", 2, audio=("PCMU",), audio_output_of=TALKING_CAMERA.id)
SHA_CAMERA = device("camera", 3, rtsp_algorithm="SHA-256")
RECORDER = device(
    "recorder",
    1,
    channels=(SimChannel(1, CAMERA.id, "rec-01"), SimChannel(2, TALKING_CAMERA.id, "rec-02", gappy=True)),
    retention_days=30,
)


CITY = city_of(CAMERA, TALKING_CAMERA, SHA_CAMERA, SPEAKER, SPEAKER_OF_CAMERA, RECORDER)


@dataclass
class Block:
    """The servers under test with what they share."""

    server: rtsp.RtspServer
    state: State
    clock: Wallclock

    @property
    def port(self) -> int:
        return self.server.port

    @asynccontextmanager
    async def client(self, target: SimDevice, path: str, *, password: str = "", **options: int) -> AsyncIterator[Client]:
        """A connection to `path` of a device, with its own login unless told another password."""
        login = (target.username, password or target.password)
        client = await Client.connect(target.address, self.port, path, login, **options)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def rtsp_block(city: City = CITY) -> AsyncIterator[Block]:
    clock = Wallclock()
    state = State(clock)
    async with rtsp.serve(city, 0, state) as server:
        yield Block(server, state, clock)
