"""Q14: Chinese bytes declared UTF-8, prefixes that nobody declares, NUL bytes at the end."""

import pytest

from gateway.errors import ProtocolError
from simulators.faults import Answer, Fault
from tests.quirks.meeting import Meeting, meet

pytestmark = pytest.mark.quirk("Q14")


async def test_names_in_gbk_that_are_declared_utf_8_are_read_as_they_are_meant(camera: Meeting) -> None:
    camera.quirk("gbk-as-utf8")

    token = (await camera.ours.profiles(timeout_s=20))[0].token
    assert [preset.name for preset in await camera.ours.presets(token, timeout_s=20)] == ["路口全景", "人行横道", "早市摊点"]
    assert camera.ours.learned()["charset"] == "gb18030"


async def test_recordings_whose_cameras_are_named_in_gbk_are_listed(camera: Meeting) -> None:
    recorder = meet(camera.street, camera.clock, camera.street.recorder)
    true = [one.source_name for one in await recorder.ours.recordings(timeout_s=20)]
    recorder.quirk("gbk-as-utf8")

    assert [one.source_name for one in await recorder.ours.recordings(timeout_s=20)] == true
    assert any(not name.isascii() for name in true)


@pytest.mark.parametrize("switch", ["undeclared-prefix", "nul-bytes"])
async def test_what_is_broken_in_a_known_way_is_mended(camera: Meeting, switch: str) -> None:
    camera.quirk(switch)

    assert await camera.serial() == camera.device.serial
    assert len(await camera.ours.profiles(timeout_s=20)) == 2


async def test_a_fault_that_is_broken_still_says_what_it_says(camera: Meeting) -> None:
    camera.quirk("undeclared-prefix")
    camera.quirk("digest-only")
    camera.quirk("fault-not-challenge")

    assert await camera.serial() == camera.device.serial
    assert camera.ours.learned()["authentication"] == "digest MD5"


@pytest.mark.parametrize("answer", [Answer.NOT_XML, Answer.WRONG_OPERATION, Answer.DTD, Answer.GARBAGE])
async def test_whatever_else_is_wrong_is_refused_as_before(camera: Meeting, answer: Answer) -> None:
    camera.quirk("gbk-as-utf8")
    camera.quirk("nul-bytes")
    camera.street.state.faults[camera.device.id] = Fault(answer)

    with pytest.raises(ProtocolError):
        await camera.serial()
