"""Logins are really verified: what is wrong is refused and counted."""

import asyncio

from simulators.city import SimDevice
from simulators.faults import Fault
from tests.simulators.street import Answer, Street, authorization, envelope, security

ASK = "<tds:GetDeviceInformation/>"


async def ask(street: Street, header: str, device: SimDevice | None = None) -> Answer:
    return await street.post(device or street.camera, envelope(ASK, header))


def refused(answer: Answer) -> bool:
    return answer.status == 400 and answer.subcodes == ["s:Sender", "ter:NotAuthorized"]


async def test_a_good_digest_is_answered_and_counted(street: Street) -> None:
    answer = await ask(street, street.login(street.camera))

    assert answer.texts("SerialNumber") == [street.camera.serial]
    assert street.state.counters["http.digest_good.camera"] == 1
    assert street.state.counters["http.digest_bad.camera"] == 0
    assert street.state.is_verified(street.camera)


async def test_a_wrong_password_is_refused_and_counted(street: Street) -> None:
    assert refused(await ask(street, security(street.camera.username, "guess", street.clock.now)))
    assert street.state.counters["http.digest_bad.camera"] == 1
    assert street.state.counters["http.digest_bad.camera"] == 1
    assert not street.state.is_verified(street.camera)


async def test_a_wrong_user_is_refused(street: Street) -> None:
    assert refused(await ask(street, security("nobody", street.camera.password, street.clock.now)))


async def test_another_devices_login_is_refused(street: Street) -> None:
    other = next(device for device in street.city.of_kind("camera") if device.id != street.camera.id)

    assert refused(await ask(street, street.login(other)))


async def test_a_password_in_clear_is_refused(street: Street) -> None:
    header = security(street.camera.username, street.camera.password, street.clock.now, kind="PasswordText")

    assert refused(await ask(street, header))


async def test_a_good_digest_under_a_wrong_name_is_refused(street: Street) -> None:
    header = street.login(street.camera).replace("#PasswordDigest", "#PasswordText")

    assert refused(await ask(street, header))


async def test_no_login_is_refused_and_is_no_bad_digest(street: Street) -> None:
    assert refused(await ask(street, ""))
    assert street.state.counters["http.digest_none.camera"] == 1
    assert street.state.counters["http.digest_bad.camera"] == 0


async def test_the_same_token_is_refused_the_second_time(street: Street) -> None:
    header = street.login(street.camera)

    assert (await ask(street, header)).status == 200
    assert refused(await ask(street, header))
    assert street.state.counters["http.digest_replayed.camera"] == 1


async def test_a_token_of_another_time_than_the_devices_is_refused(street: Street) -> None:
    camera, shows = street.camera, street.state.device_time(street.camera)
    for seconds, good in ((29, True), (-29, True), (31, False), (-31, False)):
        answer = await ask(street, security(camera.username, camera.password, shows + seconds))
        assert (answer.status == 200) is good, seconds
    assert street.state.counters["http.digest_skewed.camera"] == 2


async def test_freshness_is_judged_by_the_devices_clock_not_by_ours(street: Street) -> None:
    camera = street.camera
    street.state.faults[camera.id] = Fault(clock_offset_s=3_600)

    assert refused(await ask(street, security(camera.username, camera.password, street.clock.now)))
    assert (await ask(street, security(camera.username, camera.password, street.clock.now + 3_600))).status == 200


async def test_the_clock_is_told_to_everybody(street: Street) -> None:
    answer = await street.call(street.camera, "tds", "GetSystemDateAndTime", header="")

    assert answer.texts("Year") == ["2026", "2026"]
    assert answer.texts("Hour") == ["14", "22"]


async def test_a_digest_only_device_challenges_and_takes_the_answer(street: Street) -> None:
    camera, target, body = street.digest_camera, "/onvif/device_service", envelope(ASK)
    asked = await street.http(camera, "POST", target, body=body)
    line = authorization(asked, camera, method="POST", target=target)
    answer = await street.http(camera, "POST", target, body=body, headers=line)

    assert asked.status == 401
    assert answer.texts("SerialNumber") == [camera.serial]
    assert street.state.counters["http.digest_good.camera"] == 1


async def test_a_digest_only_device_does_not_take_a_username_token(street: Street) -> None:
    assert (await ask(street, street.login(street.digest_camera), street.digest_camera)).status == 401


async def test_a_wrong_http_digest_is_refused_and_counted(street: Street) -> None:
    camera, target, body = street.digest_camera, "/onvif/device_service", envelope(ASK)
    asked = await street.http(camera, "POST", target, body=body)
    line = authorization(asked, camera, method="POST", target=target, password="guess")

    assert (await street.http(camera, "POST", target, body=body, headers=line)).status == 401
    assert street.state.counters["http.digest_bad.camera"] == 1


async def test_an_http_digest_is_good_once_only_for_its_own_target_and_while_its_nonce_is_young(street: Street) -> None:
    camera, target, body = street.digest_camera, "/onvif/device_service", envelope(ASK)
    asked = await street.http(camera, "POST", target, body=body)
    line = authorization(asked, camera, method="POST", target=target)

    assert (await street.http(camera, "POST", "/onvif/media_service", body=body, headers=line)).status == 401
    assert (await street.http(camera, "POST", target, body=body, headers=line)).status == 200
    assert (await street.http(camera, "POST", target, body=body, headers=line)).status == 401
    street.clock.now += 301
    late = await street.http(camera, "POST", target, body=body, headers=authorization(asked, camera, method="POST", target=target))
    assert late.status == 401
    assert "stale=true" in late.headers["www-authenticate"]
    assert street.state.counters["http.digest_replayed.camera"] == 1


async def test_a_snapshot_wants_an_http_digest_and_is_a_jpeg(street: Street) -> None:
    camera = street.camera
    url = (
        await street.call(camera, "trt", "GetSnapshotUri", f"<trt:ProfileToken>{await profile(street, camera)}</trt:ProfileToken>")
    ).texts("Uri")[0]
    target = "/" + url.split("/", 3)[3]
    asked = await street.http(camera, "GET", target)
    picture = await street.http(camera, "GET", target, headers=authorization(asked, camera, method="GET", target=target))

    assert url.startswith(f"http://{camera.address}:{street.city.http_port}/")
    assert asked.status == 401
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.body[:3] == b"\xff\xd8\xff"


async def profile(street: Street, device: SimDevice) -> str:
    answer = await street.call(device, "trt", "GetProfiles")
    token: str = next(answer.xml.iter("{*}Profiles")).get("token", "")
    return token


async def test_many_devices_are_told_apart_by_their_address_alone(street: Street) -> None:
    cameras = [device for device in street.city.of_kind("camera") if device.auth == "wsse"]
    answers = await asyncio.gather(*(street.call(camera, "tds", "GetDeviceInformation") for camera in cameras))

    assert [answer.texts("SerialNumber")[0] for answer in answers] == [camera.serial for camera in cameras]
