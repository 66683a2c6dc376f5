"""Every answer of every device kind is valid by the ONVIF schemas, and zeep reads it in strict mode."""

import pytest

from simulators import video
from simulators.city import SimDevice
from simulators.onvif.site import SERVICES, services_of
from simulators.onvif.streams import SOURCE_SIZE
from tests.simulators import oracle
from tests.simulators.questions import LACKED, ask, request
from tests.simulators.street import Street, envelope

DEVICES = ("dome", "fixed camera", "H.265 camera", "talking camera", "camera with a card", "speaker", "recorder")


def device_of(street: Street, name: str) -> SimDevice:
    return {
        "dome": street.camera,
        "fixed camera": street.fixed_camera,
        "H.265 camera": street.h265_camera,
        "talking camera": street.talking_camera,
        "camera with a card": street.card_camera,
        "speaker": street.speaker,
        "recorder": street.recorder,
    }[name]


def offered(device: SimDevice, name: str) -> list[tuple[str, str]]:
    """Every operation of every service of a device, but those for which it has nothing."""
    every = [
        (service.prefix, operation) for service in services_of(device) for operation in ("GetServiceCapabilities", *service.operations)
    ]
    return [one for one in every if one not in LACKED.get(name, ())]


def test_the_devices_offer_every_service_together() -> None:
    """So that no new one goes untested."""
    assert {service.prefix for kind in SERVICES.values() for service in kind} == set(oracle.OFFICIAL)


@pytest.mark.parametrize("name", DEVICES)
async def test_every_answer_is_valid_and_zeep_reads_it(street: Street, name: str) -> None:
    device = device_of(street, name)
    for prefix, operation in offered(device, name):
        answer = await ask(street, device, prefix, operation)
        assert answer.status == 200, (prefix, operation, answer.body[-400:])
        if oracle.knows(prefix, operation):
            oracle.check(oracle.schema(prefix), answer.body)
            oracle.oracle(prefix).read(operation, answer.body)


@pytest.mark.parametrize("name", DEVICES)
async def test_every_answer_is_valid_by_the_official_schemas(street: Street, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    schemas, device = oracle.official_copy(tmp_path_factory.getbasetemp() / "official"), device_of(street, name)
    for prefix, operation in offered(device, name):
        schema = oracle.official_schema(prefix, schemas)
        oracle.check_element(schema, await request(street, device, prefix, operation))
        oracle.check(schema, (await ask(street, device, prefix, operation)).body)


@pytest.mark.parametrize("name", DEVICES)
async def test_what_a_device_has_not_is_a_fault(street: Street, name: str) -> None:
    for prefix, operation in LACKED.get(name, ()):
        codes = (await ask(street, device_of(street, name), prefix, operation)).subcodes
        assert codes[:2] in (["s:Sender", "ter:InvalidArgVal"], ["s:Receiver", "ter:ActionNotSupported"]), (prefix, operation)


async def test_zeep_reads_the_true_values(street: Street) -> None:
    camera = street.camera
    identity = oracle.oracle("tds").read("GetDeviceInformation", (await ask(street, camera, "tds", "GetDeviceInformation")).body)
    profiles = oracle.oracle("trt").read("GetProfiles", (await ask(street, camera, "trt", "GetProfiles")).body)
    uri = oracle.oracle("trt").read("GetStreamUri", (await ask(street, camera, "trt", "GetStreamUri")).body)

    assert (identity.Manufacturer, identity.Model, identity.SerialNumber) == (camera.vendor, camera.model, camera.serial)
    assert [(profile.VideoEncoderConfiguration.Resolution.Width, profile.PTZConfiguration.token) for profile in profiles] == [
        (320, "PTZConfig_1"),
        (160, "PTZConfig_1"),
    ]
    assert uri.Uri == f"rtsp://{camera.address}:{street.city.rtsp_port}/live/main"


async def test_a_loudspeakers_profile_has_an_audio_output_and_leads_to_its_backchannel(street: Street) -> None:
    profiles = await ask(street, street.speaker, "trt", "GetProfiles")
    uri = (await ask(street, street.speaker, "tr2", "GetStreamUri")).texts("Uri")

    assert profiles.texts("OutputToken") == ["AudioOutput_1"]  # zeep loses it: a wildcard before it takes it away
    assert profiles.texts("VideoEncoderConfiguration") == []
    assert uri == [f"rtsp://{street.speaker.address}:{street.city.rtsp_port}/audio"]


async def test_a_camera_with_a_loudspeaker_shows_an_audio_output(street: Street) -> None:
    linked = next(speaker for speaker in street.city.of_kind("speaker") if speaker.audio_output_of)
    camera = street.city.by_id(linked.audio_output_of)
    assert camera is not None

    answer = await street.call(camera, "trt", "GetProfiles")
    assert len(answer.texts("OutputToken")) == 2
    oracle.check(oracle.schema("trt"), answer.body)


async def test_media2_tells_of_h265_and_media_leaves_out_what_it_has_no_word_for(street: Street) -> None:
    told = await street.call(street.h265_camera, "tr2", "GetProfiles", "<tr2:Type>All</tr2:Type>")
    left = await street.call(street.h265_camera, "trt", "GetProfiles")

    assert told.texts("Encoding") == ["H265", "H265"]
    assert (left.texts("Encoding"), len(left.texts("VideoSourceConfiguration"))) == ([], 2)
    instances = "<tr2:ConfigurationToken>VideoSourceConfig_1</tr2:ConfigurationToken>"
    assert (await street.call(street.h265_camera, "tr2", "GetVideoEncoderInstances", instances)).texts("Number") == ["2"]


async def test_get_services_lists_what_the_device_answers(street: Street) -> None:
    for device in (street.camera, street.speaker, street.recorder):
        listed = (await street.call(device, "tds", "GetServices", header="")).texts("Namespace")
        assert listed == [oracle.SERVICES[service.prefix] for service in services_of(device)]


async def test_an_old_camera_has_get_capabilities_instead_of_get_services(street: Street) -> None:
    old = next(device for device in street.city.of_kind("camera") if "get-services" in device.lacks)

    assert (await street.call(old, "tds", "GetServices", header="")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]
    assert (await street.call(old, "tr2", "GetProfiles")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]
    assert (await street.call(old, "tds", "GetCapabilities", header="")).status == 200


@pytest.mark.parametrize("operation", ["tds:SystemFactory", "tds:Nonsense", "tse:FindRecordings"])
async def test_an_unknown_operation_is_a_fault(street: Street, operation: str) -> None:
    answer = await street.call(street.camera, *operation.split(":"))

    assert answer.status == 500
    assert answer.subcodes == ["s:Receiver", "ter:ActionNotSupported"]


@pytest.mark.parametrize(
    ("body", "subcode"),
    [
        (b"", "ter:WellFormed"),
        (b"<a><b></a>", "ter:WellFormed"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "ter:WellFormed"),
        (b"<a/>", "ter:TagMismatch"),
        (b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><x/></e:Body></e:Envelope>', "ter:TagMismatch"),
        (envelope(""), "ter:TagMismatch"),
    ],
)
async def test_what_is_no_soap_request_is_a_fault(street: Street, body: bytes, subcode: str) -> None:
    answer = await street.post(street.camera, body)

    assert answer.status == 400
    assert answer.subcodes == ["s:Sender", subcode]


async def test_a_profile_that_is_not_there_is_a_fault(street: Street) -> None:
    answer = await street.call(street.camera, "trt", "GetStreamUri", "<trt:ProfileToken>none</trt:ProfileToken>")

    assert answer.subcodes == ["s:Sender", "ter:InvalidArgVal", "ter:NoProfile"]


def test_the_streams_are_as_large_as_their_pictures() -> None:
    assert (video.MAIN.width, video.MAIN.height) == SOURCE_SIZE
