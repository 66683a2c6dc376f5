"""Cameras: what they can show, where they can look, and a picture now."""

from aiohttp import web
from pydantic import Field

from gateway.api.models import Input, OptionalLine, Output, instant_text
from gateway.api.replies import content_reply
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach
from gateway.api.services import CameraDriver
from gateway.control.captures import TIMEOUT_S, first_profile
from gateway.control.steering import Velocity
from gateway.domain.access import Permission
from gateway.domain.devices import Device, DeviceKind
from gateway.drivers.base import MediaProfile
from gateway.errors import Conflict, DeviceError, Forbidden, NotFound, NotSupported, Overloaded

routes = Routes("cameras", "What a camera shows.")

_PICTURE = Media(("image/jpeg",))
_DEVICE = (NotFound, NotSupported, DeviceError)


class StreamOut(Output):
    """One stream of a camera. `url` has no log-in in it; the player asks for one."""

    profile: str
    name: str
    encoding: str
    width: int
    height: int
    frame_rate: float
    bitrate_kbps: int
    ptz: bool
    url: str = Field(examples=["rtsp://127.8.0.1:554/stream/main"])


class StreamList(Output):
    """The streams of a camera, as it names them."""

    items: list[StreamOut]


class PresetOut(Output):
    """A place where a camera can look."""

    token: str
    name: str


class PresetList(Output):
    """The presets of a camera."""

    items: list[PresetOut]


class ProfileQuery(Input):
    """Of which profile; without it, the camera's first."""

    profile: str | None = Field(default=None, max_length=128)


class CaptureIn(Input):
    """Why the picture is taken."""

    case: OptionalLine = Field(default="", description="The platform's case number.")
    profile: str | None = Field(default=None, max_length=128)


class SteerIn(Input):
    """How fast to move, each from -1 to 1, and for how long."""

    pan: float = Field(default=0.0, strict=True, ge=-1, le=1)
    tilt: float = Field(default=0.0, strict=True, ge=-1, le=1)
    zoom: float = Field(default=0.0, strict=True, ge=-1, le=1)
    seconds: float = Field(default=1.0, strict=True, ge=0.1, le=30)
    profile: str | None = Field(default=None, max_length=128)
    case: OptionalLine = Field(default="", description="The platform's case number.")


class SteerOut(Output):
    """What was set going: after `seconds` the camera is stopped."""

    camera: str
    seconds: float


@routes.op("GET", "/v1/cameras/{camera_id}/stream", needs=Permission.CONTROL_READ, problems=_DEVICE)
async def list_streams(call: Call) -> StreamList:
    """The streams of a camera with their RTSP addresses: host and port are the inventory's, the path is the camera's own."""
    device, driver = _camera(call)
    profiles = await driver.profiles(timeout_s=TIMEOUT_S)
    return StreamList(items=[await _stream(device, driver, profile) for profile in profiles[:8]])


@routes.op("GET", "/v1/cameras/{camera_id}/presets", needs=Permission.CONTROL_READ, problems=_DEVICE)
async def list_presets(call: Call, query: ProfileQuery) -> PresetList:
    """Where a camera can look."""
    _, driver = _camera(call)
    profile = query.profile or first_profile(await driver.profiles(timeout_s=TIMEOUT_S), movable=True)
    found = await driver.presets(profile, timeout_s=TIMEOUT_S)
    return PresetList(items=[PresetOut(token=preset.token, name=preset.name) for preset in found])


@routes.op(
    "POST",
    "/v1/cameras/{camera_id}/captures",
    needs=Permission.CONTROL_ACT,
    answers=_PICTURE,
    problems=(*_DEVICE, Forbidden, Conflict),
    repeatable=True,
)
async def take_capture(call: Call, body: CaptureIn) -> web.Response:
    """抓拍: take a picture now. The answer is the picture; the record keeps its SHA-256, the case and who took it.

    The picture is kept nowhere: sent again with its Idempotency-Key, the call takes no second one and answers `answer-not-kept`.
    """
    device, _ = _camera(call)
    must_reach(call.caller.key, [device.id], call.services.city)
    capture = await call.services.captures.take(device.id, profile=body.profile, case=body.case, actor=call.caller.actor)
    headers = {"X-Capture-Sha256": capture.sha256, "X-Capture-At": instant_text(capture.at)}
    return content_reply(capture.picture, content_type="image/jpeg", headers=headers)


@routes.op(
    "POST",
    "/v1/cameras/{camera_id}/ptz",
    needs=Permission.CONTROL_ACT,
    problems=(*_DEVICE, Forbidden, Conflict, Overloaded),
    repeatable=True,
)
async def steer_camera(call: Call, body: SteerIn) -> SteerOut:
    """Pan, tilt and zoom for some seconds, or stop (all speeds zero). The gateway stops it itself, whatever becomes of the caller."""
    device, _ = _camera(call)
    must_reach(call.caller.key, [device.id], call.services.city)
    velocity = Velocity(body.pan, body.tilt, body.zoom)
    await call.services.steering.steer(
        device.id, velocity, for_s=body.seconds, profile=body.profile, case=body.case, actor=call.caller.actor
    )
    return SteerOut(camera=device.id, seconds=0.0 if velocity.is_still else body.seconds)


def _camera(call: Call) -> tuple[Device, CameraDriver]:
    device = find_device(call.services.city, call.path("camera_id"), DeviceKind.CAMERA)
    return device, call.services.camera_of(device.id)


async def _stream(device: Device, driver: CameraDriver, profile: MediaProfile) -> StreamOut:
    path = await driver.stream_path(profile.token, timeout_s=TIMEOUT_S)
    same = {name: getattr(profile, name) for name in StreamOut.model_fields if name not in {"profile", "url"}}
    return StreamOut(profile=profile.token, url=f"rtsp://{device.address}:{device.ports.rtsp}{path}", **same)
