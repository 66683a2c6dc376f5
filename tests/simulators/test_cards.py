"""Some cameras keep footage on a card: they have all of Profile G, and RTSP replays what they found."""

from datetime import UTC, datetime, timedelta

import pytest

from simulators import footage
from simulators.city import CARD_DAYS, CARD_RECORDING, SimChannel, plan
from tests.simulators.block import NOW, city_of, device, rtsp_block
from tests.simulators.rtsp_client import pictures
from tests.simulators.street import Street

CARD = device("camera", 9, channels=(SimChannel(1, "CAMERA-9", CARD_RECORDING),), retention_days=CARD_DAYS)


def test_a_share_of_the_cameras_has_a_card_dealt_from_the_seed() -> None:
    cameras = plan(seed=3, groups=200, speakers=0).of_kind("camera")
    carded = [camera for camera in cameras if camera.card]

    assert 0.08 < len(carded) / len(cameras) < 0.25
    assert carded == [camera for camera in plan(seed=3, groups=200, speakers=0).of_kind("camera") if camera.card]
    assert all([channel.camera for channel in camera.channels] == [camera.id] for camera in carded)
    assert {camera.retention_days for camera in cameras} == {0, CARD_DAYS}


async def test_a_card_is_found_searched_and_replayed_by_its_own_camera(street: Street) -> None:
    camera = street.card_camera
    found = await street.call(camera, "tse", "FindRecordings", "<tse:Scope/><tse:KeepAliveTime>PT30S</tse:KeepAliveTime>")
    token = f"<tse:SearchToken>{found.texts('SearchToken')[0]}</tse:SearchToken>"
    listed = await street.call(camera, "tse", "GetRecordingSearchResults", token)
    kept = footage.kept(camera, street.state.device_time(camera))

    assert listed.texts("RecordingToken") == [CARD_RECORDING]
    assert datetime.fromisoformat(listed.texts("EarliestRecording")[0]).timestamp() == kept.start
    uri = await street.call(camera, "trp", "GetReplayUri", f"<trp:RecordingToken>{CARD_RECORDING}</trp:RecordingToken>")
    assert uri.texts("Uri") == [f"rtsp://{camera.address}:{street.city.rtsp_port}/replay/{CARD_RECORDING}"]
    assert "onvif://www.onvif.org/Profile/G" in (await street.call(camera, "tds", "GetScopes")).texts("ScopeItem")
    assert (await street.call(camera, "trc", "GetRecordingJobs")).texts("Token") != []


async def test_a_camera_without_a_card_has_no_recordings(street: Street) -> None:
    plain = next(one for one in street.city.of_kind("camera") if not one.card and one.auth == "wsse")

    assert (await street.call(plain, "tse", "GetRecordingSummary")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]
    assert (await street.call(plain, "trc", "GetRecordings")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]


@pytest.mark.parametrize("operation", ["FindMetadata", "FindPTZPosition", "GetMetadataSearchResults"])
async def test_metadata_is_not_searched_and_said_so(street: Street, operation: str) -> None:
    assert (await street.call(street.card_camera, "tse", operation)).subcodes == ["s:Receiver", "ter:ActionNotSupported"]


async def test_rtsp_replays_a_card() -> None:
    start = datetime.fromtimestamp(NOW - 3600, UTC)
    window = f"clock={start:%Y%m%dT%H%M%SZ}-{start + timedelta(seconds=2):%Y%m%dT%H%M%SZ}"
    async with rtsp_block(city_of(CARD)) as block, block.client(CARD, f"replay/{CARD_RECORDING}") as client:
        await client.ask("DESCRIBE")
        session = (await client.ask("SETUP", "trackID=0", Transport="RTP/AVP/TCP;unicast;interleaved=0-1")).session
        await client.ask("PLAY", Session=session, Range=window, Require="onvif-replay", Rate_Control="no")
        assert [picture.first.time for picture in pictures(await client.until_bye())] == [
            start + timedelta(milliseconds=80 * index) for index in range(25)
        ]
