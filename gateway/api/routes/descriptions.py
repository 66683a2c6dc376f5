"""Descriptions: what a device tells of itself when it is asked now, for whoever has to write it into the inventory."""

from pydantic import Field

from gateway.api.models import Instant, Output
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceKind
from gateway.errors import DeviceError, InvalidInput, NotFound

routes = Routes("descriptions", "What a device tells of itself.")


class StreamDescription(Output):
    """One media profile."""

    profile: str
    name: str
    encoding: str
    width: int
    height: int
    ptz: bool
    stream_path: str
    snapshot_path: str


class PresetDescription(Output):
    """A place where a camera can look."""

    token: str
    name: str


class RecordingDescription(Output):
    """A recording of a recorder or of a camera's card. `token` is what a channel's `recording_token` in the inventory must be."""

    token: str
    source_name: str
    earliest: Instant | None
    latest: Instant | None


class DescriptionOut(Output):
    """All of it, as the device says: untrusted text. What it does not have is empty."""

    device: str
    manufacturer: str
    model: str
    firmware: str
    serial: str
    clock_offset_s: float | None = Field(description="The device's clock minus the gateway's; null when it tells no possible time.")
    services: dict[str, str] = Field(description="Paths by ONVIF namespace.")
    streams: list[StreamDescription]
    presets: list[PresetDescription]
    recordings: list[RecordingDescription]
    troubles: list[str] = Field(description="Parts that it offers and then failed to tell.")


@routes.op("GET", "/v1/devices/{device_id}/description", needs=Permission.CONTROL_READ, problems=(NotFound, InvalidInput, DeviceError))
async def describe_device(call: Call) -> DescriptionOut:
    """Ask an ONVIF device now for its identity, services, profiles, presets and recordings. Takes some seconds."""
    device = find_device(call.services.city, call.path("device_id"))
    if device.kind is DeviceKind.SWITCH:
        raise InvalidInput("A switch speaks SNMP, not ONVIF.", hint=f"GET /v1/devices/{device.id} has what its sensors say.")
    told = await call.services.describe(device.id)
    return DescriptionOut(
        device=device.id,
        manufacturer=told.identity.manufacturer,
        model=told.identity.model,
        firmware=told.identity.firmware,
        serial=told.identity.serial,
        clock_offset_s=round(told.clock.offset.total_seconds(), 3) if told.clock else None,
        services=told.services,
        streams=[
            StreamDescription(
                profile=stream.profile.token,
                name=stream.profile.name,
                encoding=stream.profile.encoding,
                width=stream.profile.width,
                height=stream.profile.height,
                ptz=stream.profile.ptz,
                stream_path=stream.stream_path,
                snapshot_path=stream.snapshot_path,
            )
            for stream in told.streams
        ],
        presets=[PresetDescription(token=preset.token, name=preset.name) for preset in told.presets],
        recordings=[
            RecordingDescription(token=one.token, source_name=one.source_name, earliest=one.earliest, latest=one.latest)
            for one in told.recordings
        ],
        troubles=list(told.troubles),
    )
