"""An RTSP server for the tests, small and obedient: it does what its script says and remembers what it was asked."""

import asyncio
import contextlib
import hashlib
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target

SPEAKER_SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=speaker
t=0 0
a=control:*
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=recvonly
a=control:video
m=audio 0 RTP/AVP 0 8
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=sendonly
a=control:back
"""

REPLAY_SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=recording
t=0 0
a=control:*
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==
a=control:trackID=1
m=audio 0 RTP/AVP 8
a=control:trackID=2
"""


@dataclass
class Asked:
    method: str
    url: str
    headers: dict[str, str]


@dataclass
class Reply:
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


Answer = Callable[["Peer", Asked], Reply | bytes | None]


@dataclass
class Login:
    """What the server wants: RFC 7616 digest. `refuses_as_stale`: how many right answers are still refused; `rotates`: a new nonce in
    each challenge, without a word of the old one being stale; `one_time`: such a nonce is good for one request."""

    user: str = "admin"
    password: str = "secret"
    algorithm: str = "MD5"
    qop: bool = False
    refuses_as_stale: int = 0
    rotates: bool = False
    one_time: bool = False
    nonce: str = "nonce-0"
    spent: str = ""
    prime: tuple[str, str] = ("", "")

    def challenge(self, *, stale: bool = False) -> str:
        self.nonce += "y" if self.rotates or self.one_time else ""
        parts = ['realm="device"', f'nonce="{self.nonce}"', f"algorithm={self.algorithm}"]
        parts += ['qop="auth,auth-int"'] if self.qop else []
        parts += ["stale=true"] if stale else []
        return "Digest " + ", ".join(parts)

    def accepts(self, asked: Asked) -> bool:
        given = dict(re.findall(r'(\w+)="?([^",]+)"?', asked.headers.get("authorization", "")))
        hash_of = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[self.algorithm.removesuffix("-sess")]
        first = hash_of(f"{self.user}:device:{self.password}".encode()).hexdigest()
        if self.algorithm.endswith("-sess"):  # hashed once for each nonce, with what was sent first
            self.prime = self.prime if self.prime[0] == self.nonce else (self.nonce, given.get("cnonce", ""))
            first = hash_of(f"{first}:{self.nonce}:{self.prime[1]}".encode()).hexdigest()
        second = hash_of(f"{asked.method}:{asked.url}".encode()).hexdigest()
        middle = f"{given.get('nc')}:{given.get('cnonce')}:auth:" if self.qop else ""
        right = hash_of(f"{first}:{self.nonce}:{middle}{second}".encode()).hexdigest()
        if given.get("response") != right or given.get("nonce") != self.nonce or given.get("uri") != asked.url or self.nonce == self.spent:
            return False
        self.spent = self.nonce if self.one_time else ""
        return True


@dataclass
class Peer:
    sdp: str = SPEAKER_SDP
    login: Login | None = None
    script: dict[str, Answer] = field(default_factory=dict)
    session: str = "12345678"
    asked: list[Asked] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    refused: int = 0
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    after_play: Callable[["Peer"], Awaitable[None]] | None = None
    writer: asyncio.StreamWriter | None = None

    @property
    def target(self) -> Target:
        return Target(DeviceId("dev"), "127.0.0.1", Ports(rtsp=self.port), Credentials("admin", "secret"))

    def methods(self) -> list[str]:
        return [asked.method for asked in self.asked]

    def last(self, method: str) -> Asked:
        return next(asked for asked in reversed(self.asked) if asked.method == method)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self.news:
            await self.news.wait_for(condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._one(reader, writer)
        self.gone.set()
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(1)
        if first == b"$":
            channel, size = struct.unpack("!BH", await reader.readexactly(3))
            self.frames.append((channel, await reader.readexactly(size)))
        else:
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("RTSP/"):
                self.said.append(head.encode())
            else:
                await self._answer(_parsed(head), writer)
        async with self.news:
            self.news.notify_all()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        reply = self._refusal(asked) or self.script.get(asked.method, _usual)(self, asked)
        if reply is None:
            return
        if isinstance(reply, bytes):
            writer.write(reply)
            return
        fields = {"CSeq": asked.headers["cseq"], **reply.headers}
        fields |= {"Content-Length": str(len(reply.body))} if reply.body else {}
        head = f"RTSP/1.0 {reply.status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(head.encode() + b"\r\n" + reply.body.encode())
        if asked.method == "PLAY" and reply.status.startswith("200") and self.after_play:
            await self.after_play(self)

    def _refusal(self, asked: Asked) -> Reply | None:
        login = self.login
        if login is None:
            return None
        if "authorization" not in asked.headers:
            return Reply("401 Unauthorized", {"WWW-Authenticate": login.challenge()})
        if not login.accepts(asked):
            self.refused += 1
            return Reply("401 Unauthorized", {"WWW-Authenticate": login.challenge()})
        if login.refuses_as_stale:
            login.refuses_as_stale -= 1
            login.nonce += "x"
            return Reply("401 Unauthorized", {"WWW-Authenticate": login.challenge(stale=True)})
        return None


def _usual(peer: Peer, asked: Asked) -> Reply:
    if asked.method == "DESCRIBE":
        return Reply(headers={"Content-Base": asked.url + "/", "Content-Type": "application/sdp"}, body=peer.sdp.replace("\n", "\r\n"))
    if asked.method == "SETUP":
        return Reply(headers={"Session": f"{peer.session};timeout=60", "Transport": asked.headers["transport"]})
    return Reply(headers={"Session": peer.session})


def _parsed(head: str) -> Asked:
    start, *lines = head.strip().split("\r\n")
    method, url, _ = start.split(" ")
    return Asked(method, url, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)})


@contextlib.asynccontextmanager
async def listening(peer: Peer, *, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    server = await asyncio.start_server(peer.serve, host, 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        if peer.writer is not None:
            peer.writer.close()


def rtp(sequence: int, timestamp: int, payload: bytes, *, ntp: float | None = None, flags: int = 0, marker: bool = True) -> bytes:
    """One RTP packet; `ntp`: seconds since 1900 for the ONVIF replay extension."""
    head = struct.pack("!BBHII", 0x90 if ntp is not None else 0x80, 96 | (0x80 if marker else 0), sequence, timestamp, 7)
    if ntp is None:
        return head + payload
    whole = int(ntp)
    return head + struct.pack("!HHIIBBH", 0xABAC, 3, whole, int((ntp - whole) * (1 << 32)), flags, 1, 0) + payload


def frame(channel: int, packet: bytes) -> bytes:
    return b"$" + struct.pack("!BH", channel, len(packet)) + packet
