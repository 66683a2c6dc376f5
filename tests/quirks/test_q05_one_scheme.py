"""Q5: only one way of logging in is taken, and how a refusal says so differs."""

import pytest

from gateway.errors import AuthenticationFailed
from tests.quirks.meeting import Meeting, meet

pytestmark = pytest.mark.quirk("Q5")

SCHEMES = {
    "token-only": "token",
    "digest-only": "digest MD5",
    "digest-sha256": "digest SHA-256",
    "digest-uri-bound": "digest MD5",
    "fault-not-challenge": "digest MD5",
}


@pytest.mark.parametrize("switch", SCHEMES)
async def test_a_camera_with_one_scheme_is_let_in_by_it_and_remembered(camera: Meeting, switch: str) -> None:
    camera.quirk(switch)

    assert await camera.serial() == camera.device.serial
    assert camera.ours.learned()["authentication"] == SCHEMES[switch]
    asked = camera.count("requests")
    assert await camera.serial() == camera.device.serial
    assert camera.count("requests") == asked + 2
    assert camera.count("digest_bad") == 0


async def test_a_nonce_that_holds_for_one_path_costs_one_refusal_and_then_none(camera: Meeting) -> None:
    camera.quirk("digest-uri-bound")
    await camera.serial()

    for _ in range(4):
        assert await camera.ours.profiles(timeout_s=10)
        assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") <= 1
    assert camera.ours.learned()["nonces"] == "one-use"


@pytest.mark.parametrize("switch", SCHEMES)
async def test_a_wrong_password_is_given_up_whatever_the_scheme(camera: Meeting, switch: str) -> None:
    stranger = meet(camera.street, camera.clock, camera.device, password="wrong")
    stranger.quirk(switch)

    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            await stranger.serial()
    assert stranger.count("digest_bad") <= 2
