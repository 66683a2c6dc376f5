"""Envelopes: ours are what zeep would make, and of theirs only the answer to our own question is taken."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import canonicalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from zeep import Client
from zeep.wsse.username import UsernameToken

from gateway.drivers.http_reader import Answer
from gateway.drivers.onvif.answers import read_clock, read_identity
from gateway.drivers.onvif.caller import GET_CLOCK, GET_IDENTITY
from gateway.drivers.onvif.services import GET_CAPABILITIES, GET_SERVICES, read_capabilities, read_services
from gateway.drivers.onvif.soap import SOAP11, SOAP12, Operation, envelope, open_answer
from gateway.drivers.onvif.wsdl import folder
from gateway.drivers.onvif.wsse import username_token
from gateway.errors import AuthenticationFailed, Busy, DeviceError, DeviceFault, NotSupported, ProtocolError
from tests.drivers.devices import fault, soap
from tests.drivers.onvif.camera import date_and_time, identity

NOW = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings" / "onvif"
recorded = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="recorded cameras: ../shared/recordings/onvif is not here")


@pytest.fixture(scope="module")
def zeep_device():
    """zeep's own view of the device service, set up as plainly as can be."""
    return Client(str(folder() / "devicemgmt.wsdl"))


def same(ours: bytes, theirs: etree._Element) -> None:
    """Equal under canonical XML, whatever the prefixes are called."""
    assert canonicalize(ours.decode(), rewrite_prefixes=True) == canonicalize(etree.tostring(theirs).decode(), rewrite_prefixes=True)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [(GET_CLOCK, {}), (GET_IDENTITY, {}), (GET_SERVICES, {"IncludeCapability": False}), (GET_CAPABILITIES, {"Category": "All"})],
    ids=["GetSystemDateAndTime", "GetDeviceInformation", "GetServices", "GetCapabilities"],
)
def test_a_template_is_what_zeep_makes(zeep_device, operation: Operation, arguments: dict[str, object]) -> None:
    name = etree.QName(operation.answer).localname.removesuffix("Response")
    same(envelope(operation.body), zeep_device.create_message(zeep_device.service, name, **arguments))


def test_a_signed_template_is_what_zeep_makes(zeep_device) -> None:
    token = UsernameToken("op<erator", "päss", nonce="nonce", created=NOW, use_digest=True, zulu_timestamp=True)
    signed, _ = token.apply(zeep_device.create_message(zeep_device.service, "GetDeviceInformation"), {})
    created = signed.find(".//{*}Created").text
    ours = envelope(GET_IDENTITY.body, username_token("op<erator", "päss", created=NOW, nonce=b"nonce"))
    theirs = etree.tostring(signed).decode().replace(created, "2026-03-01T12:30:15.250Z")
    digest = hashlib.sha1(b"nonce" + b"2026-03-01T12:30:15.250Z" + "päss".encode()).digest()
    their_digest = signed.find(".//{*}Password").text
    theirs = theirs.replace(their_digest, base64.b64encode(digest).decode())
    assert canonicalize(ours.decode(), rewrite_prefixes=True) == canonicalize(theirs, rewrite_prefixes=True)


# -- what is taken ----------------------------------------------------------------------------------------------------


def opened(body: bytes, status: int = 200) -> etree._Element:
    return open_answer(Answer(status, {}, body), GET_IDENTITY.answer)


@pytest.mark.parametrize("version", [SOAP11, SOAP12])
def test_both_versions_of_soap_are_taken(version: str) -> None:
    body = soap("<tds:GetDeviceInformationResponse><tds:Model>M</tds:Model></tds:GetDeviceInformationResponse>", version=version)
    assert read_identity(opened(body)).model == "M"


def test_prefixes_comments_and_white_space_do_not_matter() -> None:
    body = (
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- hi --><Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Header/><!-- x -->\n'
        b'<Body>\n<x:GetDeviceInformationResponse xmlns:x="http://www.onvif.org/ver10/device/wsdl"><x:Model> M </x:Model>'
        b"</x:GetDeviceInformationResponse></Body></Envelope>"
    )
    assert read_identity(opened(body)).model == "M"


def test_missing_fields_of_an_identity_are_empty() -> None:
    told = read_identity(opened(soap("<tds:GetDeviceInformationResponse/>")))
    assert (told.manufacturer, told.model, told.serial) == ("", "", "")


def test_an_endless_name_is_cut() -> None:
    body = soap(f"<tds:GetDeviceInformationResponse><tds:Model>{'M' * 100_000}</tds:Model></tds:GetDeviceInformationResponse>")
    assert len(read_identity(opened(body)).model) == 256


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "'
    + b"lol" * 100
    + b'"><!ENTITY b "'
    + b"&a;" * 100
    + b'"><!ENTITY c "'
    + b"&b;" * 100
    + b'">]><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body>&c;</e:Body></e:Envelope>'
)
ATTRIBUTES = " ".join(f'a{number}="x"' for number in range(30_000))
WRONG = {
    "nothing": (b"", "malformed"),
    "plain text": (b"hello", "malformed"),
    "JSON": (b'{"model": "M"}', "malformed"),
    "HTML": (b"<html><body>It works!</body></html>", "malformed"),
    "cut short": (identity()[:-20], "malformed"),
    "bytes that are no UTF-8": (identity().replace(b"ACME", "海康".encode("gb18030")), "malformed"),
    "a NUL": (identity().replace(b"ACME", b"AC\x00ME"), "malformed"),
    "an undefined entity": (identity().replace(b"ACME", b"&nbsp;"), "malformed"),
    "two roots": (identity() + b"<more/>", "malformed"),
    "an empty envelope": (soap(""), "malformed"),
    "an envelope without a body": (b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"/>', "malformed"),
    "an envelope of another kind": (soap("<x/>", version="urn:other"), "malformed"),
    "the answer to another operation": (date_and_time(NOW), "wrong-operation"),
    "the right name in another namespace": (
        soap("<trt:GetDeviceInformationResponse><trt:Model>M</trt:Model></trt:GetDeviceInformationResponse>"),
        "wrong-operation",
    ),
    "our own request": (envelope(GET_IDENTITY.body), "wrong-operation"),
    "billion laughs": (LAUGHS, "dtd"),
    "a DTD from outside": (b'<!DOCTYPE x SYSTEM "http://127.0.0.99/x.dtd">' + identity().partition(b"?>")[2], "dtd"),
    "a DTD without entities": (b"<!DOCTYPE x>" + identity().partition(b"?>")[2], "dtd"),
    "an external entity": (
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + identity().partition(b"?>")[2].replace(b"ACME", b"&e;"),
        "dtd",
    ),
    "a hundred thousand elements": (soap("<a/>" * 60_000), "too-large"),
    "a hundred thousand attributes": (soap(f"<a {ATTRIBUTES}/>"), "too-large"),
    "elements within elements": (soap("<a>" * 300 + "</a>" * 300), "malformed"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_answer_is_refused(case: str) -> None:
    body, code = WRONG[case]
    with pytest.raises(ProtocolError) as caught:
        opened(body)
    assert caught.value.code == code


FAULTS = {
    "not authorized": (fault("ter:NotAuthorized"), AuthenticationFailed, "bad-credentials"),
    "not authorized, further in": (fault("ter:Action", "ter:NotAuthorized"), AuthenticationFailed, "bad-credentials"),
    "by WS-Security": (fault("wsse:FailedAuthentication"), AuthenticationFailed, "bad-credentials"),
    "expired": (fault("wsu:MessageExpired"), AuthenticationFailed, "clock-skew"),
    "locked": (fault("ter:NotAuthorized", reason="The account is locked"), AuthenticationFailed, "locked-out"),
    "not supported": (fault("ter:ActionNotSupported"), NotSupported, "not-supported"),
    "no such optional action": (fault("ter:Receiver", "ter:OptionalActionNotImplemented"), NotSupported, "not-supported"),
    "a bad argument": (fault("ter:InvalidArgVal", "ter:NoProfile"), DeviceFault, "fault"),
    "without a code": (soap("<e:Fault/>"), DeviceFault, "fault"),
    "of SOAP 1.1": (
        soap("<e:Fault><faultcode>ter:NotAuthorized</faultcode><faultstring>no</faultstring></e:Fault>", version=SOAP11),
        AuthenticationFailed,
        "bad-credentials",
    ),
}


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_says_what_can_be_done_next(case: str, status: int) -> None:
    body, error, code = FAULTS[case]
    with pytest.raises(error) as caught:
        opened(body, status)
    assert (type(caught.value), caught.value.code) == (error, code)


def test_a_fault_keeps_its_subcodes() -> None:
    with pytest.raises(DeviceFault) as caught:
        opened(fault("ter:InvalidArgVal", "ter:NoProfile"), 400)
    assert caught.value.detail == "Sender/InvalidArgVal/NoProfile"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationFailed), (403, AuthenticationFailed), (404, NotSupported), (405, NotSupported), (503, Busy), (500, DeviceFault)],
)
def test_an_error_page_is_told_by_its_status(status: int, error: type[DeviceError]) -> None:
    with pytest.raises(error):
        opened(b"<html>sorry</html>", status)


@given(st.integers(0, 2000), st.binary(max_size=40), st.sampled_from([identity(), date_and_time(NOW), fault("ter:NotAuthorized"), LAUGHS]))
def test_a_damaged_answer_is_an_answer_or_an_error_of_the_device(at: int, damage: bytes, whole: bytes) -> None:
    try:
        payload = opened(whole[:at] + damage + whole[at + len(damage) :])
        read_identity(payload)
    except DeviceError:
        return


@given(st.integers(0, 1500), st.binary(max_size=40))
def test_a_damaged_clock_is_a_clock_or_an_error_of_the_device(at: int, damage: bytes) -> None:
    whole = date_and_time(NOW)
    try:
        payload = open_answer(Answer(200, {}, whole[:at] + damage + whole[at + len(damage) :]), GET_CLOCK.answer)
        assert read_clock(payload, answered_at=NOW).utc.tzinfo is UTC
    except DeviceError:
        return


# -- the same values as zeep ------------------------------------------------------------------------------------------


def files(operation: str) -> list[Path]:
    return sorted([*RECORDINGS.glob(f"*/*/{operation}.Response.xml"), *RECORDINGS.glob(f"*/*/{operation}Response.xml")])


def by_zeep(client, operation: str, body: bytes):
    return client.service._binding.get(operation).process_reply(etree.fromstring(body))


@recorded
def test_recorded_identities_read_as_zeep_reads_them(zeep_device) -> None:
    for file in files("GetDeviceInformation"):
        body = file.read_bytes()
        ours, theirs = read_identity(opened(body)), by_zeep(zeep_device, "GetDeviceInformation", body)
        assert (ours.manufacturer, ours.model, ours.firmware) == (theirs.Manufacturer, theirs.Model, theirs.FirmwareVersion)
        assert (ours.serial, ours.hardware_id) == (theirs.SerialNumber, theirs.HardwareId)


@recorded
def test_recorded_clocks_read_as_zeep_reads_them(zeep_device) -> None:
    for file in files("GetSystemDateAndTime"):
        body = file.read_bytes()
        ours = read_clock(open_answer(Answer(200, {}, body), GET_CLOCK.answer), answered_at=NOW)
        theirs = by_zeep(zeep_device, "GetSystemDateAndTime", body)
        date, time = theirs.UTCDateTime.Date, theirs.UTCDateTime.Time
        stated = datetime(date.Year, date.Month, date.Day, time.Hour, time.Minute, time.Second, tzinfo=UTC)
        assert ours.utc == stated + timedelta(seconds=0.5)
        assert (ours.timezone, ours.source, ours.daylight_saving) == (theirs.TimeZone.TZ, theirs.DateTimeType, theirs.DaylightSavings)


@recorded
def test_recorded_service_lists_read_as_zeep_reads_them(zeep_device) -> None:
    for file in files("GetServices"):
        body = file.read_bytes()
        ours = read_services(open_answer(Answer(200, {}, body), GET_SERVICES.answer))
        theirs = by_zeep(zeep_device, "GetServices", body)
        assert ours == {one.Namespace: "/" + one.XAddr.split("/", 3)[3] for one in theirs}


@recorded
def test_recorded_capabilities_read_as_zeep_reads_them(zeep_device) -> None:
    for file in files("GetCapabilities"):
        body = file.read_bytes()
        ours = read_capabilities(open_answer(Answer(200, {}, body), GET_CAPABILITIES.answer))
        theirs = by_zeep(zeep_device, "GetCapabilities", body)
        assert ours["http://www.onvif.org/ver10/media/wsdl"] == "/" + theirs.Media.XAddr.split("/", 3)[3]
        assert ("http://www.onvif.org/ver20/ptz/wsdl" in ours) == (theirs.PTZ is not None)
