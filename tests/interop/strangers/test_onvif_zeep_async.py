"""onvif-zeep-async, used as its documentation has it, takes a simulated dome for a real one."""

import asyncio
import importlib.util
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.street import Street, standing
from tests.waiting import until

pytestmark = pytest.mark.interop


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with standing() as street:
        street.clock.now = time.time()
        yield street


@pytest.fixture
def onvif(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, without what importing it does to the environment and to logging."""
    if importlib.util.find_spec("onvif") is None:
        pytest.skip("onvif-zeep-async: the package is not installed")
    environment, handlers = dict(os.environ), list(logging.getLogger().handlers)
    import onvif  # noqa: PLC0415 -- importing it configures logging and changes the environment

    yield onvif
    os.environ.update(environment)
    logging.getLogger().handlers[:] = handlers


async def test_onvif_zeep_async_meets_a_dome_and_drives_it(street: Street, onvif: Any) -> None:
    dome = street.camera
    wsdl = Path(onvif.__file__).parent / "wsdl"
    camera = onvif.ONVIFCamera(dome.address, street.city.http_port, dome.username, dome.password, str(wsdl), adjust_time=True)
    try:
        await camera.update_xaddrs()
        management = await camera.create_devicemgmt_service()
        assert (await management.GetDeviceInformation()).SerialNumber == dome.serial
        media = await camera.create_media_service()
        profiles = await media.GetProfiles()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        streams = [(await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": profile.token})).Uri for profile in profiles]
        assert streams == [f"rtsp://{dome.address}:{street.city.rtsp_port}/live/{name}" for name in ("main", "sub")]
        assert await camera.get_snapshot_uri(profiles[0].token) == f"http://{dome.address}:{street.city.http_port}/snapshot/main.jpg"
        imaging = await camera.create_imaging_service()
        assert (await imaging.GetImagingSettings({"VideoSourceToken": "VideoSource_1"})).Brightness == 50
        await drive(street, await camera.create_ptz_service(), profiles[0].token)
    finally:
        await camera.close()


async def drive(street: Street, ptz: Any, profile: str) -> None:
    options = await ptz.GetConfigurationOptions({"ConfigurationToken": (await ptz.GetConfigurations())[0].token})
    assert options.Spaces.ContinuousPanTiltVelocitySpace[0].XRange.Max == 1
    move = {"ProfileToken": profile, "Velocity": {"PanTilt": {"x": 1.0, "y": 0.0}}, "Timeout": timedelta(seconds=30)}
    await ptz.ContinuousMove(move)
    street.clock.now += 1
    assert (await ptz.GetStatus({"ProfileToken": profile})).MoveStatus.PanTilt == "MOVING"
    await ptz.Stop({"ProfileToken": profile, "PanTilt": True, "Zoom": True})
    stopped = await ptz.GetStatus({"ProfileToken": profile})
    assert (stopped.MoveStatus.PanTilt, round(stopped.Position.PanTilt.x, 2)) == ("IDLE", 0.25)
    token = await ptz.SetPreset({"ProfileToken": profile, "PresetName": "stranger"})
    assert [preset.Name for preset in await ptz.GetPresets({"ProfileToken": profile})][-1] == "stranger"
    await ptz.GotoPreset({"ProfileToken": profile, "PresetToken": token})
    await ptz.RemovePreset({"ProfileToken": profile, "PresetToken": token})


async def test_onvif_zeep_async_keeps_a_pull_point_and_hears_what_happens(street: Street, onvif: Any) -> None:
    dome, lost = street.camera, list[str]()
    wsdl = Path(onvif.__file__).parent / "wsdl"
    camera = onvif.ONVIFCamera(dome.address, street.city.http_port, dome.username, dome.password, str(wsdl), adjust_time=True)
    try:
        await camera.update_xaddrs()
        manager = await camera.create_pullpoint_manager(timedelta(minutes=10), lambda: lost.append("subscription"))
        pulling = manager.get_service()
        limits = {"MessageLimit": 100, "Timeout": timedelta(seconds=10)}
        states = {message.Topic._value_1 for message in (await pulling.PullMessages(limits)).NotificationMessage}
        assert "tns1:VideoSource/MotionAlarm" in states

        waiting = asyncio.create_task(pulling.PullMessages(limits))
        await until(lambda: street.state.counters["events.PullMessages.camera"] >= 2)
        street.state.happen(dome, "motion")
        message = (await waiting).NotificationMessage[0]
        assert message.Topic._value_1 == "tns1:VideoSource/MotionAlarm"
        said = message.Message._value_1
        assert (said.PropertyOperation, said.Data.SimpleItem[0].Name, said.Data.SimpleItem[0].Value) == ("Changed", "State", "true")

        manager.resume()  # renews at once
        await until(lambda: street.state.counters["events.Renew.camera"])
        await manager.set_synchronization_point()
        assert len((await pulling.PullMessages(limits)).NotificationMessage) == len(states)
        await manager.shutdown()
        assert street.state.counters["events.Unsubscribe.camera"] == 1
        assert lost == []
    finally:
        await camera.close()
