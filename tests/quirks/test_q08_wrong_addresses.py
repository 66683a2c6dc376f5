"""Q8: addresses of services, streams and pictures are those behind NAT, malformed, or lead nowhere."""

import pytest

from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q8")


async def all_told(camera: Meeting) -> tuple[int, str, bytes]:
    """How many profiles, the first one's stream, the beginning of its picture."""
    profiles = await camera.ours.profiles(timeout_s=20)
    stream = await camera.ours.stream_path(profiles[0].token, timeout_s=20)
    return len(profiles), stream, (await camera.ours.snapshot(profiles[0].token, timeout_s=20))[:3]


@pytest.mark.parametrize("switch", ["inner-addresses", "malformed-addresses", "unknown-paths"])
async def test_whatever_addresses_a_camera_names_its_services_streams_and_pictures_are_found(camera: Meeting, switch: str) -> None:
    camera.quirk(switch)

    assert await all_told(camera) == (2, "/live/main", b"\xff\xd8\xff")


async def test_a_service_path_that_leads_nowhere_is_asked_once(camera: Meeting) -> None:
    camera.quirk("unknown-paths")
    await camera.ours.profiles(timeout_s=20)

    asked = camera.count("requests")
    await camera.ours.profiles(timeout_s=20)
    assert camera.count("requests") == asked + 2, "one to Media, one to Media2, both at the entry"
