"""Two ONVIF clients of the npm registry take a simulated camera for a real one."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from simulators.city import SimDevice
from tests.simulators.street import Street, standing
from tests.waiting import until

HERE = Path(__file__).parent
MOVED = {"moving": "MOVING", "stopped": "IDLE"}

pytestmark = pytest.mark.interop


@pytest.fixture
async def street() -> Any:
    """A street whose clock is ours: these clients sign with the machine's own time, or with what GetSystemDateAndTime tells them."""
    async with standing() as street:
        street.clock.now = time.time()
        yield street


async def told_by(package: str, script: str, **said: Any) -> Any:
    """What `script` made of a camera; skips by the package's name where it is not installed."""
    if shutil.which("node") is None:
        pytest.skip("nodejs: node is not installed")
    if not (HERE / "node_modules" / package).is_dir():
        pytest.skip(f"{package}: the npm package is not installed in tests/interop/strangers")
    node = await asyncio.create_subprocess_exec("node", script, cwd=HERE, stdin=-1, stdout=-1, stderr=-1)
    out, complaints = await asyncio.wait_for(node.communicate(json.dumps(said).encode()), 60)
    assert node.returncode == 0, complaints.decode()
    return json.loads(out)


async def meet_onvif(street: Street, device: SimDevice) -> Any:
    login = {"hostname": device.address, "port": street.city.http_port, "username": device.username, "password": device.password}
    return await told_by("onvif", "meet_onvif.js", kind=device.kind, login=login)


async def test_onvif_connects_lists_what_a_dome_has_and_drives_it(street: Street) -> None:
    dome = street.camera
    told = await meet_onvif(street, dome)

    assert (told["information"]["model"], told["information"]["serialNumber"]) == (dome.model, dome.serial)
    assert told["streams"] == [f"rtsp://{dome.address}:{street.city.rtsp_port}/live/{name}" for name in ("main", "sub")]
    assert told["snapshot"] == f"http://{dome.address}:{street.city.http_port}/snapshot/main.jpg"
    assert told["encoders"] == ["H264", "H264"]
    assert told["options"]["resolutionsAvailable"] == {"width": 320, "height": 180}
    assert told["imaging"]["brightness"] == 50
    assert told["ptz"].items() >= {**MOVED, "nodes": ["PTZNode_1"], "configurations": ["ptz"]}.items()
    assert told["ptz"]["during"] == [*told["ptz"]["before"], "stranger"]
    assert told["ptz"]["after"] == told["ptz"]["before"]


async def test_onvif_connects_to_a_camera_that_encodes_h265(street: Street) -> None:
    told = await meet_onvif(street, street.h265_camera)

    assert told["encoders"] == ["H265", "H265"]
    assert len(told["streams"]) == 2
    assert "ptz" not in told


async def test_onvif_lists_a_recorders_recordings_and_where_they_are_replayed(street: Street) -> None:
    told = await meet_onvif(street, street.recorder)

    assert told["recordings"] == [channel.token for channel in street.recorder.channels]
    assert told["replay"] == f"rtsp://{street.recorder.address}:{street.city.rtsp_port}/replay/{told['recordings'][0]}"


async def test_node_onvif_connects_fetches_a_picture_and_drives_a_dome(street: Street) -> None:
    dome = street.camera
    xaddr = f"http://{dome.address}:{street.city.http_port}/onvif/device_service"
    told = await told_by("node-onvif", "meet_node_onvif.js", xaddr=xaddr, user=dome.username, **{"pass": dome.password})

    assert told["information"]["SerialNumber"] == dome.serial
    assert told["streams"] == [f"rtsp://{dome.address}:{street.city.rtsp_port}/live/{name}" for name in ("main", "sub")]
    assert told["picture"] == {"type": "image/jpeg", "jpeg": True}
    assert told["ptz"] == {"before": 3, "during": 4, "after": 3, **MOVED}


async def test_onvif_hears_what_happens_before_a_camera(street: Street) -> None:
    dome = street.camera
    login = {"hostname": dome.address, "port": street.city.http_port, "username": dome.username, "password": dome.password}
    hearing = asyncio.create_task(told_by("onvif", "hear_onvif.js", login=login))
    await until(lambda: street.state.counters["events.PullMessages.camera"] >= 2 or hearing.done())
    street.state.happen(dome, "motion")
    heard = await hearing

    assert {"topic": "tns1:Device/Trigger/DigitalInput", "change": "Initialized", "Name": "LogicalState", "Value": False} in heard
    assert heard[-1] == {"topic": "tns1:VideoSource/MotionAlarm", "change": "Changed", "Name": "State", "Value": True}
