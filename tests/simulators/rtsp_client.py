"""A small RTSP client for tests, written from the standards and not from the simulator: it shares no code with it."""

import asyncio
import hashlib
import re
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BACKCHANNEL = {"Require": "www.onvif.org/ver20/backchannel"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def session(self) -> str:
        return self.headers["session"].split(";")[0]


@dataclass
class Packet:
    """One RTP packet; `extension` is its header extension's words, `profile` the 16 bits that name it."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    profile: int = 0
    extension: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> "Packet":
        first, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
        assert first >> 6 == 2
        rest, profile, extension = data[12:], 0, b""
        if first & 0x10:
            profile, words = struct.unpack("!HH", rest[:4])
            extension, rest = rest[4 : 4 + 4 * words], rest[4 + 4 * words :]
        return cls(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc, rest, profile, extension)

    @property
    def time(self) -> datetime:
        seconds, fraction = struct.unpack("!II", self.extension[:8])
        return datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=round(fraction * 1e6 / 2**32))

    @property
    def flags(self) -> str:
        return "".join(name for bit, name in ((0x80, "C"), (0x40, "E"), (0x20, "D"), (0x10, "T")) if self.extension[8] & bit)


@dataclass
class Picture:
    """One access unit put together again: NAL units, and the packet that began it."""

    first: Packet
    nals: list[bytes] = field(default_factory=list)


def pictures(packets: list[Packet]) -> list[Picture]:
    """RFC 6184 single NAL units and FU-A, asserting that nothing is missing."""
    found: list[Picture] = []
    open_picture: Picture | None = None
    for before, packet in zip([None, *packets], packets, strict=False):
        assert before is None or packet.sequence == (before.sequence + 1) % 65536
        open_picture = open_picture or Picture(packet)
        if packet.payload[0] & 31 != 28:
            open_picture.nals.append(packet.payload)
        elif packet.payload[1] & 0x80:
            open_picture.nals.append(bytes([packet.payload[0] & 0xE0 | packet.payload[1] & 31]) + packet.payload[2:])
        else:
            open_picture.nals[-1] += packet.payload[2:]
        if packet.marker:
            found.append(open_picture)
            open_picture = None
    return found


class Client:
    """One connection. `login`: user and password for digest, tried once a challenge has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, login: tuple[str, str]) -> None:
        self.reader, self.writer, self.url, self.login = reader, writer, url, login
        self.cseq = 0
        self.challenge = ""
        self.frames: list[tuple[int, bytes]] = []
        """Interleaved frames met while waiting for an answer."""

    @classmethod
    async def connect(cls, address: str, port: int, path: str, login: tuple[str, str], **options: int) -> "Client":
        reader, writer = await asyncio.open_connection(address, port, **options)
        return cls(reader, writer, f"rtsp://{address}:{port}/{path}", login)

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)

    async def ask(self, method: str, track: str = "", **headers: str) -> Answer:
        """Send a request, logging in when challenged; the answer."""
        answer = await self.ask_once(method, track, **headers)
        if answer.status == 401 and self.login[0]:
            self.challenge = answer.headers["www-authenticate"]
            answer = await self.ask_once(method, track, **headers)
        return answer

    async def ask_once(self, method: str, track: str = "", **headers: str) -> Answer:
        self.send(method, track, **headers)
        return await self.answer()

    def send(self, method: str, track: str = "", **headers: str) -> None:
        self.cseq += 1
        url = f"{self.url}/{track}" if track else self.url
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self.cseq}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if self.challenge and "Authorization" not in headers:
            lines.append("Authorization: " + authorization(self.challenge, *self.login, method=method, uri=url))
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def answer(self) -> Answer:
        """The next answer; interleaved frames before it are kept in `frames`."""
        while True:
            first = await self.reader.readexactly(1)
            if first != b"$":
                break
            self.frames.append(await self._frame())
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        assert headers["cseq"] == str(self.cseq)
        return Answer(int(status.split()[1]), headers, body)

    async def frame(self) -> tuple[int, bytes]:
        """The next interleaved frame: channel and packet."""
        if self.frames:
            return self.frames.pop(0)
        assert await self.reader.readexactly(1) == b"$"
        return await self._frame()

    async def _frame(self) -> tuple[int, bytes]:
        channel, length = struct.unpack("!BH", await self.reader.readexactly(3))
        return channel, await self.reader.readexactly(length)

    async def until_bye(self) -> list[Packet]:
        """All RTP packets up to RTCP BYE on the odd channel."""
        packets = []
        while True:
            channel, data = await self.frame()
            if channel % 2 == 0:
                packets.append(Packet.parse(data))
            elif 203 in rtcp_types(data):
                return packets


def rtcp_types(compound: bytes) -> list[int]:
    types = []
    while compound:
        types.append(compound[1])
        compound = compound[4 + 4 * struct.unpack("!H", compound[2:4])[0] :]
    return types


def authorization(challenge: str, user: str, password: str, *, method: str, uri: str) -> str:
    """RFC 7616 §3.4, with qop=auth when it is offered and RFC 2069's form when not."""
    fields = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', challenge)}
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[fields.get("algorithm", "MD5")]

    def digest(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    secret, request, nonce = digest(f"{user}:{fields['realm']}:{password}"), digest(f"{method}:{uri}"), fields["nonce"]
    out = f'Digest username="{user}", realm="{fields["realm"]}", nonce="{nonce}", uri="{uri}"'
    if "algorithm" in fields:
        out += f", algorithm={fields['algorithm']}"
    if "qop" in fields:
        response = digest(f"{secret}:{nonce}:00000001:0a4f113b:auth:{request}")
        return f'{out}, qop=auth, nc=00000001, cnonce="0a4f113b", response="{response}"'
    return f'{out}, response="{digest(f"{secret}:{nonce}:{request}")}"'


def audio(payload: bytes, *, sequence: int, timestamp: int, payload_type: int = 8, ssrc: int = 7) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, sequence % 65536, timestamp % 2**32, ssrc) + payload
