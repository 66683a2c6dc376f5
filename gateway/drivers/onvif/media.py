"""Streams and pictures of a camera: ONVIF Media by its WSDL, Media2 by templates, one answer for both."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from gateway.drivers.base import MediaProfile
from gateway.drivers.http import path_of
from gateway.drivers.onvif.answers import TEXT_LIMIT
from gateway.drivers.onvif.caller import Caller, deadline
from gateway.drivers.onvif.soap import MEDIA, MEDIA2, Operation, child, children, text
from gateway.errors import DeviceFault, NotSupported, ProtocolError

PROFILES_LIMIT = 512

GET_PROFILES2 = Operation(
    MEDIA2, "GetProfiles", f'<ns0:GetProfiles xmlns:ns0="{MEDIA2}"><ns0:Type>All</ns0:Type></ns0:GetProfiles>'.encode(), large=True
)


async def profiles(device: Caller, *, timeout_s: float) -> Sequence[MediaProfile]:
    """The device's profiles: those of Media, then those that only Media2 knows. Raises when neither tells any: NotSupported at best.

    Where both list a profile, Media's entry stands, because some firmware leaves out of Media2's what it should hold; but Media has no
    word for H.265, so that Media2 tells the encoder where Media tells none.
    """
    async with deadline(timeout_s):
        found: dict[str, MediaProfile] = {}
        failed: list[DeviceFault | ProtocolError] = []
        for source in (_profiles1, _profiles2):
            try:
                for profile in await source(device, timeout_s):
                    found[profile.token] = _completed(found.get(profile.token), profile)
            except (DeviceFault, ProtocolError) as error:
                failed.append(error)
        if failed and not found:
            raise next((error for error in failed if not isinstance(error, NotSupported)), failed[0])
        return tuple(found.values())


async def stream_path(device: Caller, profile: str, *, timeout_s: float) -> str:
    """Path and query of the profile's RTSP URI, for unicast over RTSP (Media, 5.15.1; Media2, 5.2)."""
    async with deadline(timeout_s):
        return path_of(await _uri(device, "GetStreamUri", profile, timeout_s=timeout_s, StreamSetup=_UNICAST))


async def snapshot_path(device: Caller, profile: str, *, timeout_s: float) -> str:
    """Path and query of the profile's JPEG snapshot (Media, 5.16; Media2, 5.4). NotSupported where there is none, or no HTTP address."""
    async with deadline(timeout_s):
        uri = await _uri(device, "GetSnapshotUri", profile, timeout_s=timeout_s)
        if not is_picture_address(uri):
            raise NotSupported("the device gives no HTTP address for pictures", code="no-picture")
        return path_of(uri)


def is_picture_address(uri: str) -> bool:
    """Whether a picture may be fetched from there by HTTP: some cameras name their stream instead."""
    return not uri.strip().lower().startswith(("rtsp:", "rtsps:"))


async def snapshot(device: Caller, profile: str, *, timeout_s: float) -> bytes:
    """One JPEG. Raises ProtocolError when what comes is none."""
    async with deadline(timeout_s):
        path = await snapshot_path(device, profile, timeout_s=timeout_s)
        picture = await device.fetch(path, timeout_s=timeout_s)
        if not picture.startswith(b"\xff\xd8\xff"):
            raise ProtocolError("the snapshot is no JPEG picture")
        return picture


def read_profiles(value: Any) -> Sequence[MediaProfile]:
    """What zeep makes of Media's GetProfilesResponse."""
    return tuple(_profile(one) for one in value.Profiles[:PROFILES_LIMIT] if one.token)


def read_profiles2(payload: etree._Element) -> Sequence[MediaProfile]:
    """Media2's GetProfilesResponse (Media2, 5.1.2)."""
    return tuple(_profile2(one) for one in list(children(payload, "Profiles"))[:PROFILES_LIMIT] if one.get("token"))


# -- both services ----------------------------------------------------------------------------------------------------

_UNICAST = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}


def _completed(known: MediaProfile | None, told: MediaProfile) -> MediaProfile:
    if known is None:
        return told
    if known.encoding or not told.encoding:
        return known
    picture = ("encoding", "width", "height", "frame_rate", "bitrate_kbps")
    return replace(known, **{name: getattr(told, name) for name in picture})


async def _profiles1(device: Caller, timeout_s: float) -> Sequence[MediaProfile]:
    return await device.invoke(MEDIA, "GetProfiles", read_profiles, timeout_s=timeout_s, large=True)


async def _profiles2(device: Caller, timeout_s: float) -> Sequence[MediaProfile]:
    return read_profiles2(await device.call(GET_PROFILES2, timeout_s=timeout_s))


async def _uri(device: Caller, name: str, profile: str, *, timeout_s: float, **setup: Any) -> str:
    """Ask Media; where it is missing or does not know the profile, ask Media2."""
    try:
        uri = await device.invoke(MEDIA, name, _read_uri, timeout_s=timeout_s, ProfileToken=profile, **setup)
    except DeviceFault as refusal:
        try:
            uri = await _uri2(device, name, profile, timeout_s=timeout_s)
        except NotSupported:
            raise refusal from None
    if not uri.strip():
        raise ProtocolError(f"the device gives no URI in answer to {name}")
    return uri


async def _uri2(device: Caller, name: str, profile: str, *, timeout_s: float) -> str:
    protocol = "<ns0:Protocol>RTSP</ns0:Protocol>" if name == "GetStreamUri" else ""
    body = f'<ns0:{name} xmlns:ns0="{MEDIA2}">{protocol}<ns0:ProfileToken>{escape(profile)}</ns0:ProfileToken></ns0:{name}>'
    return text(await device.call(Operation(MEDIA2, name, body.encode()), timeout_s=timeout_s), "Uri")


def _read_uri(value: Any) -> str:
    return str(_dig(value, "MediaUri", "Uri") or "")


def _profile(one: Any) -> MediaProfile:
    encoder, size, rate = (_dig(one, "VideoEncoderConfiguration", *rest) for rest in ((), ("Resolution",), ("RateControl",)))
    return MediaProfile(
        token=str(one.token)[:TEXT_LIMIT],
        name=str(one.Name or "")[:TEXT_LIMIT],
        encoding=str(_dig(encoder, "Encoding") or ""),
        width=_whole(_dig(size, "Width")),
        height=_whole(_dig(size, "Height")),
        frame_rate=float(_whole(_dig(rate, "FrameRateLimit"))),
        bitrate_kbps=_whole(_dig(rate, "BitrateLimit")),
        ptz=one.PTZConfiguration is not None,
        audio_output=_dig(one, "Extension", "AudioOutputConfiguration") is not None,
    )


def _profile2(one: etree._Element) -> MediaProfile:
    held = child(one, "Configurations")
    encoder = child(held, "VideoEncoder")
    rate = child(encoder, "RateControl")
    return MediaProfile(
        token=one.get("token", "")[:TEXT_LIMIT],
        name=text(one, "Name")[:TEXT_LIMIT],
        encoding=text(encoder, "Encoding")[:TEXT_LIMIT],
        width=_whole(text(encoder, "Resolution", "Width")),
        height=_whole(text(encoder, "Resolution", "Height")),
        frame_rate=float(_whole(text(rate, "FrameRateLimit"))),
        bitrate_kbps=_whole(text(rate, "BitrateLimit")),
        ptz=child(held, "PTZ") is not None,
        audio_output=child(held, "AudioOutput") is not None,
        service="media2",
    )


def _dig(value: Any, *names: str) -> Any:
    """An inner value along `names`; None where any is missing."""
    for name in names:
        value = getattr(value, name, None)
    return value


def _whole(value: Any) -> int:
    """A size or a rate; 0 for what is none, or out of all reason."""
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if 0 <= number < 10_000_000 else 0
