"""Q7: 401 means too many connections, and a nonce that is good once makes polling itself look like wrong logins."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.drivers.onvif.access import BUDGET, LOCKOUT_S
from gateway.errors import AuthenticationFailed
from tests.quirks.meeting import Meeting, meet

pytestmark = pytest.mark.quirk("Q7")


async def crowd(camera: Meeting, stack: AsyncExitStack, size: int) -> None:
    """Other clients that hold connections to the camera."""
    for _ in range(size):
        _, writer = await asyncio.open_connection(camera.device.address, camera.street.city.http_port)
        stack.callback(writer.close)


@pytest.mark.parametrize("says", [True, False])
async def test_a_crowded_camera_is_no_wrong_password_and_is_taken_up_when_the_crowd_has_gone(camera: Meeting, says: bool) -> None:
    camera.quirk("busy-401", connections=2, says=says)
    camera.know("busy-401")
    await camera.serial()

    async with AsyncExitStack() as stack:
        await crowd(camera, stack, 2)
        for _ in range(2 * BUDGET):
            with pytest.raises(AuthenticationFailed) as caught:
                await camera.serial()
            assert caught.value.code == "too-many-connections"
            await camera.clock.advance(LOCKOUT_S)
    assert camera.count("crowded") > 0
    await camera.clock.advance(LOCKOUT_S)
    assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") == 0


async def test_a_camera_that_is_crowded_when_we_first_meet_it_is_not_given_up(camera: Meeting) -> None:
    camera.quirk("busy-401", connections=2)

    async with AsyncExitStack() as stack:
        await crowd(camera, stack, 2)
        with pytest.raises(AuthenticationFailed):
            await camera.serial()
    await camera.clock.advance(LOCKOUT_S)
    assert await camera.serial() == camera.device.serial
    assert "clock" not in camera.ours.learned(), "a refusal for the crowd's sake says nothing of who may read the clock"


async def test_a_check_holds_one_connection(camera: Meeting) -> None:
    camera.quirk("busy-401", connections=1)

    for _ in range(5):
        assert await camera.serial() == camera.device.serial
    assert camera.count("crowded") == 0


@pytest.mark.parametrize("known", [True, False])
async def test_nonces_that_are_good_once_do_not_make_polling_a_row_of_wrong_logins(camera: Meeting, known: bool) -> None:
    polled = meet(camera.street, camera.clock, camera.device)
    polled.quirk("nonce-per-request")
    polled.quirk("lock-out")
    if known:
        polled.know("nonce-per-request")

    for _ in range(20):
        assert await polled.serial() == camera.device.serial
        assert await polled.ours.profiles(timeout_s=10)
        await camera.clock.advance(30)
    assert polled.count("digest_bad") == (0 if known else 1)
    assert polled.count("locked_out") == 0
    assert polled.ours.learned()["nonces"] == "one-use"
