"""Every answer of every device kind is valid by the ONVIF schemas, and zeep reads it in strict mode."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators import video
from simulators.city import SimDevice
from simulators.onvif.site import SERVICES, services_of
from simulators.onvif.streams import SOURCE_SIZE, streams_of
from tests.simulators import oracle
from tests.simulators.street import NOW, Answer, Street, envelope

START = datetime.fromtimestamp(NOW, UTC) - timedelta(days=2)
SETUP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
EVENT_SEARCH = {"StartPoint": START, "EndPoint": START + timedelta(days=1), "Scope": {}, "SearchFilter": {}, "IncludeStartState": True}
MOVES = {"PanTilt": {"x": 0.5, "y": -0.25}, "Zoom": {"x": 0.1}}
ARGUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("tds", "GetServices"): {"IncludeCapability": True},
    ("tds", "GetCapabilities"): {"Category": ["All"]},
    ("trt", "GetStreamUri"): {"StreamSetup": SETUP, "ProfileToken": "{profile}"},
    ("trt", "GetVideoEncoderConfiguration"): {"ConfigurationToken": "VideoEncoder_main"},
    ("trt", "GetAudioDecoderConfigurationOptions"): {},
    ("tptz", "GetNode"): {"NodeToken": "PTZNode_1"},
    ("tptz", "ContinuousMove"): {"ProfileToken": "{profile}", "Velocity": MOVES, "Timeout": timedelta(seconds=3)},
    ("tptz", "AbsoluteMove"): {"ProfileToken": "{profile}", "Position": MOVES},
    ("tptz", "RelativeMove"): {"ProfileToken": "{profile}", "Translation": MOVES},
    ("tptz", "Stop"): {"ProfileToken": "{profile}", "PanTilt": True, "Zoom": True},
    ("tptz", "GotoPreset"): {"ProfileToken": "{profile}", "PresetToken": "2"},
    ("tptz", "SetPreset"): {"ProfileToken": "{profile}", "PresetName": "new"},
    ("tptz", "RemovePreset"): {"ProfileToken": "{profile}", "PresetToken": "3"},
    ("tse", "GetRecordingInformation"): {"RecordingToken": "rec-01"},
    ("tse", "GetMediaAttributes"): {"RecordingTokens": ["rec-01", "rec-02"], "Time": START},
    ("tse", "FindRecordings"): {"Scope": {}, "KeepAliveTime": timedelta(seconds=30)},
    ("tse", "FindEvents"): {**EVENT_SEARCH, "KeepAliveTime": timedelta(seconds=30)},
    ("tse", "GetRecordingSearchResults"): {"SearchToken": "{recordings}"},
    ("tse", "GetEventSearchResults"): {"SearchToken": "{events}"},
    ("tse", "GetSearchState"): {"SearchToken": "{events}"},
    ("tse", "EndSearch"): {"SearchToken": "{events}"},
    ("trc", "GetRecordingConfiguration"): {"RecordingToken": "rec-01"},
    ("trp", "GetReplayUri"): {"StreamSetup": SETUP, "RecordingToken": "rec-01"},
}
"""What zeep is asked to write; everything else takes nothing, or a ProfileToken."""
OF_A_PROFILE = {
    ("trt", "GetProfile"),
    ("trt", "GetSnapshotUri"),
    ("tptz", "GetStatus"),
    ("tptz", "GetPresets"),
    ("tptz", "GotoHomePosition"),
}
WITHOUT_PICTURE = {"GetSnapshotUri", "GetVideoEncoderConfiguration"}
WITHOUT_SOUND = {"GetAudioDecoderConfigurationOptions"}


def offered(kind: str) -> list[tuple[str, str]]:
    """Every operation of every service of a kind, but those for which the device has nothing."""
    lacking = {"camera": WITHOUT_SOUND, "speaker": WITHOUT_PICTURE, "recorder": set[str]()}[kind]
    return [
        (service.prefix, name)
        for service in SERVICES[kind]
        for name in (*service.operations, "GetServiceCapabilities")
        if name not in lacking
    ]


async def ask(street: Street, device: SimDevice, prefix: str, operation: str) -> Answer:
    """The operation's answer to the request that zeep writes (to one by hand where zeep has no WSDL)."""
    if prefix == "tr2":
        token = f"<tr2:ProfileToken>{streams_of(device)[0].token}</tr2:ProfileToken>"
        inner = {
            "GetProfiles": "<tr2:Type>All</tr2:Type>",
            "GetStreamUri": f"<tr2:Protocol>RTSP</tr2:Protocol>{token}",
            "GetSnapshotUri": token,
        }
        return await street.call(device, prefix, operation, inner.get(operation, ""))
    arguments = dict(ARGUMENTS.get((prefix, operation), {}))
    if (prefix, operation) in OF_A_PROFILE:
        arguments["ProfileToken"] = "{profile}"
    found = {"{profile}": streams_of(device)[0].token if device.kind != "recorder" else ""}
    if "SearchToken" in arguments:
        find = "FindRecordings" if arguments["SearchToken"] == "{recordings}" else "FindEvents"
        found[arguments["SearchToken"]] = (await ask(street, device, "tse", find)).texts("SearchToken")[0]
    filled = {name: found.get(value, value) if isinstance(value, str) else value for name, value in arguments.items()}
    written = oracle.oracle(prefix).request(operation, filled)
    return await street.post(device, envelope(written.decode(), street.login(device)))


def device_of(street: Street, kind: str) -> SimDevice:
    return {"camera": street.camera, "speaker": street.speaker, "recorder": street.recorder}[kind]


@pytest.mark.parametrize("kind", ["camera", "speaker", "recorder"])
async def test_every_answer_is_valid_and_zeep_reads_it(street: Street, kind: str) -> None:
    device = device_of(street, kind)
    for prefix, operation in offered(kind):
        answer = await ask(street, device, prefix, operation)
        assert answer.status == 200, (operation, answer.body[-400:])
        if prefix != "tr2":
            oracle.check(oracle.schema(prefix), answer.body)
            oracle.oracle(prefix).read(operation, answer.body)


@pytest.mark.parametrize("kind", ["camera", "speaker", "recorder"])
async def test_every_answer_is_valid_by_the_official_schemas(street: Street, kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    schemas, device = oracle.official_copy(tmp_path_factory.getbasetemp() / "official"), device_of(street, kind)
    for prefix, operation in offered(kind):
        oracle.check(oracle.official_schema(prefix, schemas), (await ask(street, device, prefix, operation)).body)


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


async def test_get_services_lists_what_the_device_answers(street: Street) -> None:
    for device in (street.camera, street.speaker, street.recorder):
        listed = (await street.call(device, "tds", "GetServices", header="")).texts("Namespace")
        assert listed == [oracle.SERVICES[service.prefix] for service in services_of(device)]


async def test_an_old_camera_has_get_capabilities_instead_of_get_services(street: Street) -> None:
    old = next(device for device in street.city.of_kind("camera") if "get-services" in device.lacks)

    assert (await street.call(old, "tds", "GetServices", header="")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]
    assert (await street.call(old, "tr2", "GetProfiles")).subcodes == ["s:Receiver", "ter:ActionNotSupported"]
    assert (await street.call(old, "tds", "GetCapabilities", header="")).status == 200


@pytest.mark.parametrize("operation", ["tds:SystemReboot", "tds:Nonsense", "tse:FindRecordings"])
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
