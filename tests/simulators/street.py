"""A small simulated city on real sockets, and a plain ONVIF client for it that shares no code with the simulators."""

import asyncio
import base64
import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from lxml import etree

from demo.processes import free_port
from simulators.city import City, SimDevice, plan
from simulators.serving import running
from simulators.state import State

SERVICES = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trc": "http://www.onvif.org/ver10/recording/wsdl",
    "trp": "http://www.onvif.org/ver10/replay/wsdl",
    "timg": "http://www.onvif.org/ver20/imaging/wsdl",
    "tan": "http://www.onvif.org/ver20/analytics/wsdl",
    "tmd": "http://www.onvif.org/ver10/deviceIO/wsdl",
}
TT = "{http://www.onvif.org/ver10/schema}"
NOW = 1_790_000_000.0
"""What the city's clock shows unless a test moves it: 2026-09-21T14:13:20Z."""
_nonces = itertools.count(1)


class Hand:
    """A clock set by hand."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> etree._Element:
        return etree.fromstring(self.body)

    def texts(self, name: str) -> list[str]:
        """The texts of all elements of that local name."""
        return [element.text or "" for element in self.xml.iter(f"{{*}}{name}")]

    @property
    def subcodes(self) -> list[str]:
        return self.texts("Value")


@dataclass(frozen=True)
class Street:
    city: City
    state: State
    clock: Hand
    control_port: int

    @cached_property
    def camera(self) -> SimDevice:
        return next(device for device in self.city.of_kind("camera") if device.ptz and device.auth == "wsse" and not device.lacks)

    @cached_property
    def digest_camera(self) -> SimDevice:
        return next(device for device in self.city.of_kind("camera") if device.auth == "digest")

    @property
    def _plain(self) -> list[SimDevice]:
        """Cameras that have every service and take WS-UsernameToken."""
        return [device for device in self.city.of_kind("camera") if device.auth == "wsse" and not device.lacks]

    @cached_property
    def fixed_camera(self) -> SimDevice:
        return next(
            one for one in self.city.of_kind("camera") if not one.ptz and one.auth == "wsse" and not one.lacks and one.codec == "H264"
        )

    @cached_property
    def h265_camera(self) -> SimDevice:
        return next(one for one in self._plain if one.codec == "H265")

    @cached_property
    def card_camera(self) -> SimDevice:
        return next(one for one in self._plain if one.card and not one.ptz and one.codec == "H264")

    @cached_property
    def talking_camera(self) -> SimDevice:
        linked = (self.city.by_id(speaker.audio_output_of) for speaker in self.city.of_kind("speaker") if speaker.audio_output_of)
        return next(one for one in linked if one is not None)

    @cached_property
    def speaker(self) -> SimDevice:
        return next(device for device in self.city.of_kind("speaker") if not device.lacks)

    @cached_property
    def recorder(self) -> SimDevice:
        return next(device for device in self.city.of_kind("recorder") if any(channel.gappy for channel in device.channels))

    async def call(self, device: SimDevice, prefix: str, operation: str, inner: str = "", *, header: str | None = None) -> Answer:
        """One SOAP call, logged in as the device wants it unless `header` replaces the SOAP header."""
        return await self.post(device, envelope(f"<{prefix}:{operation}>{inner}</{prefix}:{operation}>", self.login(device, header)))

    async def post(self, device: SimDevice, body: bytes, path: str = "/onvif/device_service") -> Answer:
        return await self.http(device, "POST", path, body=body)

    def login(self, device: SimDevice, header: str | None = None) -> str:
        return security(device.username, device.password, self.state.device_time(device)) if header is None else header

    async def http(self, device: SimDevice, method: str, target: str, *, body: bytes = b"", headers: str = "") -> Answer:
        head = f"{method} {target} HTTP/1.1\r\nHost: {device.address}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        return parse(await self.raw(device, head.encode() + body))

    async def raw(self, device: SimDevice, sent: bytes) -> bytes:
        """What comes back until the device closes."""
        reader, writer = await asyncio.open_connection(device.address, self.city.http_port)
        try:
            writer.write(sent)
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()


def parse(received: bytes) -> Answer:
    """One HTTP answer that ended with the connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert len(body) == int(headers["content-length"])
    return Answer(int(first.split()[1]), headers, body)


def envelope(content: str, header: str = "") -> bytes:
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SERVICES.items())
    return (
        f'<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="{TT[1:-1]}" {spaces}>'
        f"<s:Header>{header}</s:Header><s:Body>{content}</s:Body></s:Envelope>"
    ).encode()


def security(username: str, password: str, device_time: float, *, nonce: bytes | None = None, kind: str = "PasswordDigest") -> str:
    """A WS-UsernameToken signed for a device whose clock shows `device_time`."""
    wss = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
    nonce = nonce or next(_nonces).to_bytes(16, "big")
    created = datetime.fromtimestamp(device_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    secret = password if kind == "PasswordText" else digest
    return (
        f'<w:Security xmlns:w="{wss}-wssecurity-secext-1.0.xsd" xmlns:u="{wss}-wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{username}</w:Username>"
        f'<w:Password Type="{wss}-username-token-profile-1.0#{kind}">{secret}</w:Password>'
        f"<w:Nonce>{base64.b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )


def authorization(answer: Answer, device: SimDevice, *, method: str, target: str, password: str | None = None) -> str:
    """The Authorization line that answers a digest challenge (RFC 7616, qop=auth)."""
    asked = dict(part.strip().split("=", 1) for part in answer.headers["www-authenticate"].removeprefix("Digest ").split(","))
    realm, nonce = asked["realm"].strip('"'), asked["nonce"].strip('"')
    cnonce = f"c{next(_nonces)}"

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    a1, a2 = md5(f"{device.username}:{realm}:{password or device.password}"), md5(f"{method}:{target}")
    response = md5(f"{a1}:{nonce}:00000001:{cnonce}:auth:{a2}")
    return (
        f'Authorization: Digest username="{device.username}", realm="{realm}", nonce="{nonce}", uri="{target}", qop=auth, nc=00000001, '
        f'cnonce="{cnonce}", response="{response}"\r\n'
    )


def free_ports(count: int) -> list[int]:
    """Different ports on which nobody listens, neither on TCP nor on UDP."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port(0))
    return list(found)


@asynccontextmanager
async def standing(*, seed: int = 7, groups: int = 30) -> AsyncIterator[Street]:
    """A city whose HTTP side answers for the duration."""
    http, rtsp, snmp = free_ports(3)
    city, clock = plan(seed=seed, groups=groups, speakers=15, http_port=http, rtsp_port=rtsp, snmp_port=snmp), Hand()
    state = State(clock)
    async with running(city, state, control=("127.0.0.1", 0), only=("http",)) as ports:
        yield Street(city, state, clock, ports["control"])
