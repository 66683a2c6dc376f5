"""Being let in: whatever a device's clock and scheme, right credentials work, and wrong ones are tried a few times and never again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials
from gateway.drivers.onvif.access import AT_ONCE, BUDGET, LOCKOUT_S, PAUSE_S, Access
from gateway.errors import AuthenticationFailed, DeviceFault, NotSupported
from tests.drivers.devices import answer, fault, soap
from tests.drivers.onvif.camera import Camera, met

HOURS = timedelta(hours=1)


async def checked(camera: Camera, times: int = 1) -> int:
    """Check it; how many logins it refused."""
    async with met(camera) as (_, ours):
        for _ in range(times):
            _, identity = await ours.check(timeout_s=5)
            assert identity.serial == "S-1"
        return camera.refused


@pytest.mark.parametrize("offset_s", [0, 1, -1, 600, -600, 3600, 8 * 3600, -200 * 86400, 40 * 365 * 86400])
async def test_a_device_whose_clock_is_off_accepts_us_at_the_first_try(clock: SimulatedClock, offset_s: int) -> None:
    assert await checked(Camera(clock, timedelta(seconds=offset_s))) == 0


async def test_the_offset_is_measured_to_the_second(clock: SimulatedClock) -> None:
    async with met(Camera(clock, timedelta(minutes=10))) as (_, ours):
        told, _ = await ours.check(timeout_s=5)
        assert abs(told.offset - timedelta(minutes=10)) <= timedelta(seconds=1)
        assert ours.offset == told.offset


@pytest.mark.parametrize(
    ("true_offset", "stated_offset"),
    [
        (timedelta(), 8 * HOURS),  # the UTC field carries local time
        (timedelta(), HOURS),  # daylight saving applied wrongly
        (timedelta(minutes=5), 8 * HOURS + timedelta(minutes=5)),  # both wrong at once
        (8 * HOURS, 16 * HOURS),
        (9 * HOURS, HOURS),
    ],
)
async def test_a_device_that_lies_about_its_clock_is_seen_through(
    clock: SimulatedClock, true_offset: timedelta, stated_offset: timedelta
) -> None:
    camera = Camera(clock, true_offset, stated_offset)
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        assert 0 < camera.refused < BUDGET
        refused = camera.refused
        for _ in range(5):
            await ours.check(timeout_s=5)
        assert camera.refused == refused, "what worked is remembered"


@pytest.mark.parametrize("tell_date", [True, False])
async def test_a_device_that_guards_its_clock_is_signed_for_by_the_date_of_its_refusal(clock: SimulatedClock, tell_date: bool) -> None:
    offset = timedelta(minutes=10) if tell_date else timedelta()
    camera = Camera(clock, offset, guard_clock=True, tell_date=tell_date)
    async with met(camera) as (fake, ours):
        told, _ = await ours.check(timeout_s=5)
        assert abs(told.offset - offset) <= timedelta(seconds=1)
        await ours.check(timeout_s=5)
        assert camera.refused == 0
        assert len(fake.heard) == 5, "the second check asks for nothing anonymously"


@pytest.mark.parametrize("scheme", ["MD5", "SHA-256"])
async def test_a_device_that_wants_http_digest_gets_it_and_is_remembered(clock: SimulatedClock, scheme: str) -> None:
    camera = Camera(clock, scheme=scheme)
    async with met(camera) as (fake, ours):
        for _ in range(3):
            await ours.check(timeout_s=5)
        assert camera.refused == 1, "only the first signature, which was of another kind"
        assert len(fake.heard) == 3 + 2 + 2
        assert b"UsernameToken" not in fake.heard[-1].body


async def test_a_device_that_gives_each_nonce_once_is_not_taken_for_a_wrong_password(clock: SimulatedClock) -> None:
    camera = Camera(clock, scheme="MD5", one_time_nonces=True)
    async with met(camera) as (_, ours):
        for _ in range(10):
            await ours.check(timeout_s=5)
        assert camera.accepted == 10


async def test_a_digest_device_that_guards_its_clock_works_too(clock: SimulatedClock) -> None:
    assert await checked(Camera(clock, timedelta(hours=5), scheme="SHA-256", guard_clock=True), times=3) <= 1


async def test_a_device_that_changes_from_digest_to_tokens_is_followed(clock: SimulatedClock) -> None:
    camera = Camera(clock, scheme="MD5")
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        camera.scheme = "wsse"
        await ours.check(timeout_s=5)


async def test_a_device_whose_clock_jumps_between_calls_is_read_again_and_accepted(clock: SimulatedClock) -> None:
    camera = Camera(clock, extra={"GetServices": lambda _: answer(fault("ter:ActionNotSupported"), "500 Error")})
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        camera.true_offset = timedelta(days=-180)
        with pytest.raises(NotSupported):
            await ours.profiles(timeout_s=5)
        assert camera.refused == 1


async def test_a_device_behind_another_path_is_found(clock: SimulatedClock) -> None:
    camera = Camera(clock, paths=("/onvif/services",))
    async with met(camera) as (fake, ours):
        await ours.check(timeout_s=5)
        await ours.check(timeout_s=5)
        assert [heard.path for heard in fake.heard] == ["/onvif/device_service"] + ["/onvif/services"] * 4


async def test_a_web_server_that_is_no_device_is_not_supported(clock: SimulatedClock) -> None:
    with pytest.raises(NotSupported):
        await checked(Camera(clock, paths=()))


async def test_an_account_without_a_right_is_told_so_and_stays_let_in(clock: SimulatedClock) -> None:
    """The device refuses one operation as it would refuse a wrong password; only the identity tells them apart."""
    camera = Camera(clock, extra={"GetServices": lambda _: answer(fault("ter:NotAuthorized"), "400 Bad Request")})
    camera.extra["GetCapabilities"] = camera.extra["GetServices"]
    async with met(camera) as (_, ours):
        for _ in range(10):
            with pytest.raises(DeviceFault) as caught:
                await ours.profiles(timeout_s=5)
            assert caught.value.code == "not-permitted"
            await ours.check(timeout_s=5)
        assert camera.refused == 0


async def test_nothing_is_signed_for_the_rich_path_before_the_credentials_are_proven(clock: SimulatedClock) -> None:
    camera = Camera(clock)
    async with met(camera, password="wrong") as (fake, ours):
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await ours.profiles(timeout_s=5)
        assert set(fake.operations()) == {"GetSystemDateAndTime", "GetDeviceInformation"}
        assert camera.refused == 1


async def test_a_password_that_changed_is_given_up_within_the_budget_by_whatever_call(clock: SimulatedClock) -> None:
    camera = Camera(clock, timedelta(hours=3))
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        camera.password = "changed"
        for call in [ours.check, ours.profiles] * 10:
            with pytest.raises(AuthenticationFailed):
                await call(timeout_s=5)
            await clock.advance(PAUSE_S)
        assert camera.refused <= BUDGET


@pytest.mark.parametrize("one_time_nonces", [False, True])
async def test_a_digest_device_lets_the_rich_path_in_without_a_single_refusal_more(clock: SimulatedClock, one_time_nonces: bool) -> None:
    camera = Camera(clock, scheme="SHA-256", one_time_nonces=one_time_nonces)
    camera.extra["GetServices"] = lambda _: answer(soap("<tds:GetServicesResponse/>"))
    camera.extra["GetCapabilities"] = lambda _: answer(soap("<tds:GetCapabilitiesResponse/>"))
    async with met(camera) as (_, ours):
        for _ in range(3):
            with pytest.raises(NotSupported):
                await ours.profiles(timeout_s=5)


# -- wrong credentials ------------------------------------------------------------------------------------------------


async def refused_checks(camera: Camera, times: int, *, password: str = "wrong") -> list[str]:
    codes = []
    async with met(camera, password=password) as (_, ours):
        for _ in range(times):
            with pytest.raises(AuthenticationFailed) as caught:
                await ours.check(timeout_s=5)
            codes.append(caught.value.code)
    return codes


@pytest.mark.parametrize("offset", [timedelta(), timedelta(minutes=3), 8 * HOURS, timedelta(days=-180)])
async def test_a_wrong_password_is_tried_few_times_and_never_again(clock: SimulatedClock, offset: timedelta) -> None:
    camera = Camera(clock, offset)
    assert set(await refused_checks(camera, 10)) == {"bad-credentials"}
    assert 1 <= camera.refused <= BUDGET


async def test_a_wrong_password_at_a_device_with_the_right_time_is_tried_once(clock: SimulatedClock) -> None:
    camera = Camera(clock)
    await refused_checks(camera, 3)
    assert camera.refused == 1


@pytest.mark.parametrize("scheme", ["MD5", "SHA-256"])
async def test_a_wrong_digest_password_is_tried_twice_at_most(clock: SimulatedClock, scheme: str) -> None:
    camera = Camera(clock, scheme=scheme)
    assert set(await refused_checks(camera, 5)) == {"bad-credentials"}
    assert camera.refused <= 2


@pytest.mark.parametrize("body", [b"", b"<html><body>401 Unauthorized</body></html>"], ids=["empty", "HTML"])
async def test_a_bare_401_is_a_refusal_and_no_broken_answer(clock: SimulatedClock, body: bytes) -> None:
    camera = Camera(clock, refusal=body)
    assert await refused_checks(camera, 2) == ["bad-credentials"] * 2


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"The account is locked, please try again in 30 minutes", "locked-out"),
        (b"You still have 5 attempts", "locked-out"),
        (b"Too many connections", "too-many-connections"),
        (b"Maximum number of sessions exceeded", "too-many-connections"),
        (b"<html style='display:block'>Check the clock</html>", "clock-skew"),
        (b"<html style='display:block'>Unauthorized</html>", "bad-credentials"),
    ],
)
async def test_a_refusal_is_classified_by_what_the_device_says(clock: SimulatedClock, said: bytes, code: str) -> None:
    assert await refused_checks(Camera(clock, refusal=said), 1) == [code]


async def test_while_credentials_are_known_bad_the_device_is_still_asked_for_its_clock(clock: SimulatedClock) -> None:
    camera = Camera(clock)
    async with met(camera, password="wrong") as (fake, ours):
        for _ in range(3):
            with pytest.raises(AuthenticationFailed):
                await ours.check(timeout_s=5)
        assert fake.operations().count("GetSystemDateAndTime") == 3
        assert sum(b"UsernameToken" in heard.body for heard in fake.heard) == 1


async def test_changed_credentials_are_tried(clock: SimulatedClock) -> None:
    camera = Camera(clock)
    async with met(camera, password="wrong") as (fake, ours):
        with pytest.raises(AuthenticationFailed):
            await ours.check(timeout_s=5)
        ours.retarget(fake.target(*_right()))
        await ours.check(timeout_s=5)


async def test_forgetting_lets_the_same_credentials_be_tried_again(clock: SimulatedClock) -> None:
    camera = Camera(clock, password="changed at the device")
    async with met(camera) as (_, ours):
        with pytest.raises(AuthenticationFailed):
            await ours.check(timeout_s=5)
        camera.password = ours.target.credentials.password
        with pytest.raises(AuthenticationFailed):
            await ours.check(timeout_s=5)
        ours.forget()
        await ours.check(timeout_s=5)


async def test_credentials_that_worked_survive_a_passing_refusal(clock: SimulatedClock) -> None:
    camera = Camera(clock)
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        camera.password, right = "too busy to know", camera.password
        with pytest.raises(AuthenticationFailed):
            await ours.check(timeout_s=5)
        camera.password = right
        with pytest.raises(AuthenticationFailed):
            await ours.check(timeout_s=5)
        assert camera.refused == 1, "not tried again at once"
        await clock.advance(PAUSE_S)
        await ours.check(timeout_s=5)


async def test_a_password_that_was_changed_at_the_device_is_given_up_within_the_budget(clock: SimulatedClock) -> None:
    camera = Camera(clock, timedelta(hours=3))
    async with met(camera) as (_, ours):
        await ours.check(timeout_s=5)
        camera.password = "changed"
        for _ in range(50):
            with pytest.raises(AuthenticationFailed):
                await ours.check(timeout_s=5)
            await clock.advance(PAUSE_S)
        assert camera.refused <= BUDGET


async def test_another_address_is_another_device(clock: SimulatedClock) -> None:
    async with met(Camera(clock, timedelta(hours=1))) as (_, ours), met(Camera(clock)) as (other, _):
        await ours.check(timeout_s=5)
        ours.retarget(other.target(*_right()))
        assert ours.offset is None
        await ours.check(timeout_s=5)


def _right() -> tuple[str, str]:
    credentials = Credentials("operator", "correct <horse> & battery")
    return credentials.username, credentials.password


# -- the rules by themselves ------------------------------------------------------------------------------------------

CODES = st.sampled_from(["bad-credentials", "clock-skew", "locked-out"])
STEPS = st.lists(st.tuples(st.floats(0, 4000), CODES, st.floats(-1e6, 1e6), st.booleans()), max_size=40)


@given(STEPS, st.booleans())
def test_no_device_ever_refuses_more_than_the_budget(steps: list[tuple[float, str, float, bool]], worked: bool) -> None:
    """A device that refuses everything, for whatever reason it says, with whatever clock, however long we live."""
    access, now, refused = Access(), 0.0, 0
    if worked:
        access.accepted()
    for wait, code, offset_s, fresh in steps:
        now += wait
        try:
            access.begin(now)
        except AuthenticationFailed:
            continue
        again, at_once = True, 0
        while again:
            refused += 1
            at_once += 1
            used_s = access.signing_shift(offset_s, 8 * 3600)
            again = access.refused(code, now, used_s=used_s + (0 if fresh else 100), offset_s=offset_s, zone_s=8 * 3600)
        assert at_once <= (AT_ONCE if worked else BUDGET)
    assert refused <= BUDGET


def test_a_device_that_says_locked_out_is_left_alone_and_then_asked_once() -> None:
    access = Access()
    access.begin(0)
    assert not access.refused("locked-out", 0, used_s=0, offset_s=9e9, zone_s=0)
    with pytest.raises(AuthenticationFailed) as caught:
        access.begin(LOCKOUT_S - 1)
    assert caught.value.code == "locked-out"
    access.begin(LOCKOUT_S)
    assert not access.refused("locked-out", LOCKOUT_S, used_s=0, offset_s=9e9, zone_s=0)
    with pytest.raises(AuthenticationFailed):
        access.begin(1e12)


def test_a_crowded_device_is_asked_again_after_pauses_that_grow() -> None:
    access, now, tries = Access(), 0.0, 0
    while now < 86400:
        try:
            access.begin(now)
        except AuthenticationFailed:
            now += 10
            continue
        tries += 1
        assert not access.refused("too-many-connections", now, used_s=0, offset_s=0, zone_s=0)
    assert 24 <= tries <= 60


def test_being_let_in_wipes_the_slate() -> None:
    access = Access()
    for _ in range(20):
        access.begin(0)
        assert access.refused("bad-credentials", 0, used_s=0, offset_s=3600, zone_s=0)
        access.accepted()
