"""A camera that is strict about its logins: it verifies every signature by its own clock, and counts the wrong ones."""

import base64
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.clock import Clock
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from tests.drivers.devices import FakeDevice, Heard, Wire, answer, device, fault, soap

USERNAME, PASSWORD = "operator", "correct <horse> & battery"
REALM = "camera"


@dataclass
class Camera:
    """`true_offset`: how far its clock is from ours. `stated_offset`: how far it says that it is, when it lies. `window_s`: how old a
    signature may be. `scheme`: "wsse", "MD5" or "SHA-256" (HTTP digest). `guard_clock`: even the clock wants a login."""

    clock: Clock
    true_offset: timedelta = timedelta()
    stated_offset: timedelta | None = None
    timezone: str = "CST-8:00:00"
    window_s: float = 20.0
    scheme: str = "wsse"
    guard_clock: bool = False
    tell_date: bool = True
    password: str = PASSWORD
    refusal: bytes | None = None
    one_time_nonces: bool = False
    paths: tuple[str, ...] = ("/onvif/device_service",)
    extra: dict[str, Callable[[Heard], bytes]] = field(default_factory=dict)
    refused: int = 0
    accepted: int = 0
    nonces: set[str] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    async def __call__(self, wire: Wire) -> None:
        while heard := await wire.request():
            await wire.send(self._answer(heard))

    def now(self) -> datetime:
        return self.clock.now() + self.true_offset

    def _answer(self, heard: Heard) -> bytes:
        if heard.path not in self.paths and heard.operation in ("GetSystemDateAndTime", "GetDeviceInformation"):
            return answer(b"<html>404</html>", "404 Not Found")
        if heard.operation == "GetSystemDateAndTime" and not self.guard_clock:
            return answer(self._date_and_time())
        if not self._let_in(heard):
            return self._refuse()
        if heard.operation in self.extra:
            return self.extra[heard.operation](heard)
        known = {"GetSystemDateAndTime": self._date_and_time, "GetDeviceInformation": identity}
        return answer(known[heard.operation]()) if heard.operation in known else answer(fault("ter:ActionNotSupported"), "400 Bad Request")

    def _date_and_time(self) -> bytes:
        stated = self.clock.now() + (self.true_offset if self.stated_offset is None else self.stated_offset)
        return date_and_time(stated, self.timezone)

    # -- logins --------------------------------------------------------------------------------------------------------

    def _let_in(self, heard: Heard) -> bool:
        tried = b"UsernameToken" in heard.body or "authorization" in heard.fields
        allowed = self._is_signed(heard.body) if self.scheme == "wsse" else self._is_digested(heard)
        self.accepted += allowed
        self.refused += tried and not allowed
        return allowed

    def _is_signed(self, body: bytes) -> bool:
        username, given, nonce, created = (_element(body, name) for name in ("Username", "Password", "Nonce", "Created"))
        if username != USERNAME.encode() or nonce in self.seen:
            return False
        self.seen.add(nonce)
        expected = hashlib.sha1(base64.b64decode(nonce) + created + self.password.encode()).digest()
        age = self.now() - datetime.fromisoformat(created.decode())
        return created.endswith(b"Z") and base64.b64decode(given) == expected and abs(age.total_seconds()) <= self.window_s

    def _is_digested(self, heard: Heard) -> bool:
        said = dict(re.findall(r'(\w+)="?([^",]*)"?', heard.fields.get("authorization", "")))
        if said.get("nonce") not in self.nonces or said.get("uri") != heard.path:
            return False
        if self.one_time_nonces:
            self.nonces.discard(said["nonce"])
        kind = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[self.scheme]
        one = kind(f"{USERNAME}:{REALM}:{self.password}".encode()).hexdigest()
        two = kind(f"{heard.method}:{heard.path}".encode()).hexdigest()
        return said["response"] == kind(f"{one}:{said['nonce']}:{said['nc']}:{said['cnonce']}:auth:{two}".encode()).hexdigest()

    def _refuse(self) -> bytes:
        fields = [f"Date: {self.now():%a, %d %b %Y %H:%M:%S} GMT"] if self.tell_date else []
        if self.refusal is not None:
            return answer(self.refusal, "401 Unauthorized", *fields)
        if self.scheme == "wsse":
            return answer(fault("ter:NotAuthorized", reason="Sender not Authorized"), "400 Bad Request", *fields)
        nonce = secrets.token_hex(8)
        self.nonces.add(nonce)
        challenge = f'WWW-Authenticate: Digest realm="{REALM}", nonce="{nonce}", qop="auth", algorithm={self.scheme}'
        return answer(b"", "401 Unauthorized", challenge, *fields)


@asynccontextmanager
async def met(camera: Camera, *, password: str = PASSWORD) -> AsyncIterator[tuple[FakeDevice, OnvifDevice]]:
    """The camera on the wire and our side of it."""
    async with device(camera) as fake:
        yield fake, OnvifDevice(fake.target(USERNAME, password), Http(), camera.clock)


def identity() -> bytes:
    return soap(
        "<tds:GetDeviceInformationResponse><tds:Manufacturer>ACME</tds:Manufacturer><tds:Model>Eye 3</tds:Model>"
        "<tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>S-1</tds:SerialNumber>"
        "<tds:HardwareId>H</tds:HardwareId></tds:GetDeviceInformationResponse>"
    )


def date_and_time(moment: datetime, timezone: str = "CST-8:00:00", *, local: bool = False) -> bytes:
    at = moment.astimezone(UTC)
    parts = (
        f"<tt:Time><tt:Hour>{at.hour}</tt:Hour><tt:Minute>{at.minute}</tt:Minute><tt:Second>{at.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{at.year}</tt:Year><tt:Month>{at.month}</tt:Month><tt:Day>{at.day}</tt:Day></tt:Date>"
    )
    name = "LocalDateTime" if local else "UTCDateTime"
    return soap(
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
        f"<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>{timezone}</tt:TZ></tt:TimeZone>"
        f"<tt:{name}>{parts}</tt:{name}></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def _element(body: bytes, name: str) -> bytes:
    match = re.search(rb"<(?:\w+:)?%b(?: [^>]*)?>([^<]*)<" % name.encode(), body)
    return match[1] if match else b""
