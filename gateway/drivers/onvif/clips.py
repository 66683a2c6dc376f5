"""Audio clips that a loudspeaker keeps and plays by itself (ONVIF Media2, release 25.06, "Audio clip management")."""

import asyncio
import re
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from gateway.clock import Clock
from gateway.drivers.base import DeviceClip
from gateway.drivers.http import path_of
from gateway.drivers.onvif.answers import TEXT_LIMIT
from gateway.drivers.onvif.caller import Caller, deadline
from gateway.drivers.onvif.soap import MEDIA2, Operation, by_status, child, children, text
from gateway.errors import DeviceFault, NotSupported, ProtocolError

FRESH_S: Final = 60.0
"""How long it is believed which clips a device has: a restart may have cost it some."""
SIZE_LIMIT: Final = 2 << 20
"""Bytes of a clip for a device that names no limit."""
LISTED_LIMIT: Final = 256
OURS: Final = "gateway-"
"""How the names of our clips begin; the rest is the sound's key."""
_KEY: Final = 40

GET_CAPABILITIES: Final = Operation(MEDIA2, "GetServiceCapabilities")
GET_CLIPS: Final = Operation(MEDIA2, "GetAudioClips", large=True)
GET_PLAYING: Final = Operation(MEDIA2, "GetPlayingAudioClips")
_PCM, _MULAW = 1, 7  # format tags of WAV files (RFC 2361)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device says of its clips: how many, how many bytes, and which of our formats it plays; 0: it does not say."""

    clips: int
    size: int
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A clip that a device has."""

    token: str
    name: str
    format: str
    interval_s: int


class Clips:
    """The `ClipPlayer` of `drivers.base` for one ONVIF device.

    Clips are known again by their names, after a restart of either side, too. Where the device is full, the one of ours that has not been
    wanted for longest makes room; clips of others are never touched.
    """

    def __init__(self, device: Caller, clock: Clock) -> None:
        self._device = device
        self._clock = clock
        self._target = device.target
        self._offer: Offer | None = None
        self._clips: dict[str, Listed] = {}  # of ours by name, the least lately wanted first; bounded by LISTED_LIMIT
        self._listed_at: float | None = None
        self._keeps_in_vain = False
        self._one_at_a_time = asyncio.Lock()

    async def ensure(self, clip: DeviceClip, *, timeout_s: float) -> str:
        async with deadline(timeout_s), self._one_at_a_time:
            if self._target.address != self._device.target.address:
                self._forget()
            if self._keeps_in_vain:
                self._keeps_in_vain = False  # who was told tries another path, and this one when that is old
                raise NotSupported("the device keeps audio clips and plays none", code="no-audio-clips")
            if self._fresh():
                return await self._token(clip, timeout_s)
            self._offer = self._offer or read_offer(await self._device.call(GET_CAPABILITIES, timeout_s=timeout_s))
            await self._list(timeout_s)
            return await self._token(clip, timeout_s)

    async def play(self, token: str, *, repeats: int, timeout_s: float) -> None:
        try:
            await self._device.call(play(token, repeats=repeats), timeout_s=timeout_s)
        except DeviceFault as fault:
            self._listed_at = None  # look again: it may have lost the clip
            self._keeps_in_vain = isinstance(fault, NotSupported)
            raise

    async def stop(self, token: str, *, timeout_s: float) -> None:
        await self._device.call_at_once(silence(token), timeout_s=timeout_s)

    async def playing(self, *, timeout_s: float) -> Collection[str]:
        return read_playing(await self._device.call_at_once(GET_PLAYING, timeout_s=timeout_s))

    def learned(self) -> Iterator[tuple[str, str]]:
        """What is known of its clips, in words."""
        if self._offer is not None and self._listed_at is not None:
            yield "audio clips", f"{len(self._clips)} of ours" + (f", room for {self._offer.clips}" if self._offer.clips else "")

    # -- which clips it has --------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._target, self._offer, self._clips, self._listed_at = self._device.target, None, {}, None
        self._keeps_in_vain = False

    def _fresh(self) -> bool:
        return self._offer is not None and self._listed_at is not None and self._clock.monotonic() - self._listed_at < FRESH_S

    async def _list(self, timeout_s: float) -> None:
        listed = read_clips(await self._device.call(GET_CLIPS, timeout_s=timeout_s))
        ours = {one.name: one for one in listed if one.name.startswith(OURS)}
        known = [name for name in self._clips if name in ours]  # the order in which they were wanted
        self._clips = {name: ours[name] for name in [*(name for name in ours if name not in known), *known]}
        self._listed_at = self._clock.monotonic()

    async def _token(self, clip: DeviceClip, timeout_s: float) -> str:
        name = name_of(clip)
        known = self._clips.pop(name, None)
        if known is None:
            known = await self._add(clip, timeout_s)
        elif known.interval_s != clip.interval_s:
            known = Listed(known.token, name, known.format, clip.interval_s)
            await self._device.call(change(known), timeout_s=timeout_s)
        self._clips[name] = known
        return known.token

    # -- bringing one there --------------------------------------------------------------------------------------------

    async def _add(self, clip: DeviceClip, timeout_s: float) -> Listed:
        assert self._offer is not None
        refusal: DeviceFault = too_large(clip, self._offer)
        for kind in self._offer.formats:
            data = FORMATS[kind](clip)
            if len(data) > (self._offer.size or SIZE_LIMIT):
                continue
            try:
                return await self._bring(Listed("", name_of(clip), kind, clip.interval_s), data, timeout_s)
            except DeviceFault as fault:
                if fault.code not in ("device-clip-too-large", "device-clip-format"):
                    raise
                refusal = fault
        raise refusal

    async def _bring(self, wanted: Listed, data: bytes, timeout_s: float) -> Listed:
        answer = await self._announce(wanted, timeout_s)
        token, path = text(answer, "Token")[:TEXT_LIMIT], path_of(text(answer, "UploadUri"))
        if not token:
            raise ProtocolError("the device gives no token to a clip")
        try:
            await self._upload(path, data, kind=wanted.format.partition(";")[0], timeout_s=timeout_s)
        except BaseException:
            self._listed_at = None  # it may be there after all
            raise
        return Listed(token, wanted.name, wanted.format, wanted.interval_s)

    async def _announce(self, wanted: Listed, timeout_s: float) -> etree._Element:
        assert self._offer is not None
        if self._offer.clips and len(self._clips) >= self._offer.clips:
            await self._make_room(timeout_s)
        try:
            return await self._device.call(announce(wanted), timeout_s=timeout_s)
        except DeviceFault as fault:
            if "MaxAudioClips" not in fault.detail:
                raise
        await self._make_room(timeout_s)
        return await self._device.call(announce(wanted), timeout_s=timeout_s)

    async def _make_room(self, timeout_s: float) -> None:
        """Take away the clip of ours that has not been wanted for longest, unless it plays."""
        busy = await self._busy(timeout_s)
        oldest = next((clip for clip in self._clips.values() if clip.token not in busy), None)
        if oldest is None:
            hint = "Delete clips that others have put there, or take the path audio-clip out of the profile."
            raise DeviceFault("the device has no room for another clip", code="device-clips-full", hint=hint)
        await self._device.call(remove(oldest.token), timeout_s=timeout_s)
        del self._clips[oldest.name]

    async def _busy(self, timeout_s: float) -> Collection[str]:
        try:
            return await self.playing(timeout_s=timeout_s)
        except NotSupported:
            return ()

    async def _upload(self, path: str, data: bytes, *, kind: str, timeout_s: float) -> None:
        status = await self._device.upload(path, data, kind=kind, timeout_s=timeout_s)
        if status == 413:
            raise DeviceFault("the device finds the clip too large", code="device-clip-too-large", detail="413")
        if status == 415:
            raise DeviceFault("the device does not play this kind of clip", code="device-clip-format", detail="415")
        if not 200 <= status < 300:
            raise by_status(status)


# -- what is sent -----------------------------------------------------------------------------------------------------


def name_of(clip: DeviceClip) -> str:
    """The name under which a device keeps a clip."""
    return OURS + clip.key[:_KEY]


def announce(clip: Listed) -> Operation:
    """AddAudioClip. Asked twice, it makes two clips."""
    return _operation("AddAudioClip", _configuration(clip), repeatable=False)


def change(clip: Listed) -> Operation:
    """SetAudioClip."""
    return _operation("SetAudioClip", f"<ns0:Token>{escape(clip.token)}</ns0:Token>{_configuration(clip)}")


def remove(token: str) -> Operation:
    """DeleteAudioClip."""
    return _operation("DeleteAudioClip", f"<ns0:Token>{escape(token)}</ns0:Token>")


def play(token: str, *, repeats: int) -> Operation:
    """PlayAudioClip, which makes a noise: sent once."""
    inner = f"<ns0:Token>{escape(token)}</ns0:Token><ns0:Play>true</ns0:Play><ns0:RepeatCycles>{repeats}</ns0:RepeatCycles>"
    return _operation("PlayAudioClip", inner, repeatable=False)


def silence(token: str) -> Operation:
    """PlayAudioClip that ends it."""
    return _operation("PlayAudioClip", f"<ns0:Token>{escape(token)}</ns0:Token><ns0:Play>false</ns0:Play>")


def _operation(name: str, inner: str, *, repeatable: bool = True) -> Operation:
    return Operation(MEDIA2, name, f'<ns0:{name} xmlns:ns0="{MEDIA2}">{inner}</ns0:{name}>'.encode(), repeatable=repeatable)


def _configuration(clip: Listed) -> str:
    return (
        f"<ns0:Configuration><ns0:Enabled>true</ns0:Enabled><ns0:Name>{escape(clip.name)}</ns0:Name><ns0:Type>{escape(clip.format)}</ns0:Type>"
        f"<ns0:RepeatCycles>0</ns0:RepeatCycles><ns0:RepeatInterval>{clip.interval_s}</ns0:RepeatInterval></ns0:Configuration>"
    )


def linear(clip: DeviceClip) -> bytes:
    """The clip as a WAV file of linear PCM."""
    return _wave(_PCM, 16, clip.pcm)


def mu_law(clip: DeviceClip) -> bytes:
    """The clip as a WAV file of µ-law."""
    return _wave(_MULAW, 8, clip.mulaw)


def _wave(tag: int, bits: int, data: bytes) -> bytes:
    rate, width = 8_000, bits // 8
    head = struct.pack("<HHIIHHH", tag, 1, rate, rate * width, width, bits, 0)
    facts = b"fact" + struct.pack("<II", 4, len(data) // width)
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + facts + b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


FORMATS: Final[Mapping[str, Callable[[DeviceClip], bytes]]] = {"audio/vnd.wave;codec=1": linear, "audio/vnd.wave;codec=7": mu_law}
"""The formats in which we can bring a clip, the better sound first."""


def too_large(clip: DeviceClip, offer: Offer) -> DeviceFault:
    most = offer.size or SIZE_LIMIT
    why = f"{clip.duration_s:.1f} s of sound are more than the {most >> 10} KiB that the device keeps of one clip"
    return DeviceFault(why, code="device-clip-too-large")


# -- what comes back --------------------------------------------------------------------------------------------------


def read_offer(payload: etree._Element) -> Offer:
    """GetServiceCapabilitiesResponse of Media2. Raises NotSupported (no-audio-clips) where it tells of none that we could bring."""
    told = child(payload, "Capabilities", "AudioClipCapabilities")
    if told is None:
        raise NotSupported("the device keeps no audio clips", code="no-audio-clips")
    listed = re.sub(r"\s*;\s*", ";", told.get("SupportedAudioClipFormat", "")[:4096].lower()).replace(",", " ").split()
    formats = tuple(kind for kind in FORMATS if kind in listed)
    if not formats:
        raise NotSupported("the device plays none of the clips that we can bring", code="no-audio-clips")
    return Offer(int(_number(told.get("MaxAudioClipLimit", ""))), int(_number(told.get("MaxAudioClipSize", "")) * 1000), formats)


def read_clips(payload: etree._Element) -> list[Listed]:
    """GetAudioClipsResponse."""
    found = []
    for item in list(children(payload, "AudioClipItem"))[:LISTED_LIMIT]:
        token, told = text(item, "Token")[:TEXT_LIMIT], child(item, "Configuration")
        name, kind = text(told, "Name")[:TEXT_LIMIT], text(told, "Type")[:TEXT_LIMIT]
        if token:
            found.append(Listed(token, name, kind, int(_number(text(told, "RepeatInterval")))))
    return found


def read_playing(payload: etree._Element) -> Collection[str]:
    """The tokens in GetPlayingAudioClipsResponse."""
    return {text(one, "Token")[:TEXT_LIMIT] for one in list(children(payload, "PlayingAudioClips"))[:LISTED_LIMIT]}


def _number(told: str) -> float:
    """A number of the device's, 0 for what is none or out of all reason."""
    try:
        number = float(told)
    except ValueError:
        return 0.0
    return number if 0 <= number < 1e7 else 0.0
