"""Broken XML is mended in three known ways; whatever else is wrong with it is refused as if nobody had looked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.drivers.http_reader import Answer
from gateway.drivers.onvif.answers import read_identity
from gateway.drivers.onvif.caller import GET_IDENTITY
from gateway.drivers.onvif.repairs import in_utf8, mended
from gateway.drivers.onvif.soap import open_answer, parse
from gateway.errors import DeviceError, ProtocolError
from tests.drivers.devices import fault, soap
from tests.drivers.onvif.camera import identity

CHINESE = identity().replace(b"ACME", "海康威视".encode())


def mend(body: bytes) -> bytes | None:
    found = mended(body)
    return None if found is None else found.body


def opened(body: bytes, status: int = 200) -> etree._Element:
    return open_answer(Answer(status, {}, body), GET_IDENTITY.answer, mend=mend)


BROKEN = {
    "GBK": CHINESE.decode().encode("gbk"),
    "GB 18030": CHINESE.decode().encode("gb18030"),
    "GBK without a declaration": CHINESE.decode().partition("?>")[2].encode("gbk"),
    "NUL bytes": CHINESE + b"\0" * 7,
    "wsa": CHINESE.replace(b"<e:Body>", b"<e:Header><wsa:Action>x</wsa:Action></e:Header><e:Body>"),
    "all at once": CHINESE.replace(b"<e:Body>", b"<e:Header><wsa:Action>x</wsa:Action></e:Header><e:Body>").decode().encode("gbk") + b"\0",
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_devices_are_known_to_break_is_read_as_it_was_meant(case: str) -> None:
    with pytest.raises(ProtocolError):
        open_answer(Answer(200, {}, BROKEN[case]), GET_IDENTITY.answer)
    assert read_identity(opened(BROKEN[case])).manufacturer == "海康威视"


STILL_WRONG = {
    "cut short": identity()[:-20],
    "cut short in GBK": BROKEN["GBK"][:-20],
    "a NUL inside": identity().replace(b"ACME", b"AC\0ME"),
    "another prefix": identity().replace(b"<tds:Model>", b"<foo:Model>").replace(b"</tds:Model>", b"</foo:Model>"),
    "Latin-1 that is no Chinese": identity().replace(b"ACME", b"Caf\xe9"),
    "GBK in a document that says Latin-2": BROKEN["GBK"].replace(b"UTF-8", b"ISO-8859-2").replace(b"<tds:Model>", b"<tds:Modell>"),
    "an undefined entity": identity().replace(b"ACME", b"&nbsp;"),
    "a prefix in something that is no envelope": b"<html><wsa:Action/></html>",
}


@pytest.mark.parametrize("case", STILL_WRONG)
def test_whatever_else_is_wrong_is_refused_as_before(case: str) -> None:
    with pytest.raises(ProtocolError):
        opened(STILL_WRONG[case])


def test_a_document_type_is_refused_in_whatever_character_set() -> None:
    declared = b"<!DOCTYPE x>" + BROKEN["GBK"].partition(b"?>")[2]
    with pytest.raises(ProtocolError) as caught:
        opened(declared + b"\0")
    assert caught.value.code == "dtd"


def test_chinese_that_could_be_utf_8_is_chinese_once_the_device_was_caught() -> None:
    body = identity().decode().replace("ACME", "隆").encode("gbk")
    assert in_utf8(body) is None
    assert "隆" in (in_utf8(body, known=True) or b"").decode()


HEADER = b"<e:Header><wsa:Action>x</wsa:Action><ter:X/></e:Header>"
WHOLES = [identity(), CHINESE, *BROKEN.values(), fault("ter:NotAuthorized"), soap("<tds:GetDeviceInformationResponse/>"), HEADER]


@given(st.sampled_from(WHOLES), st.integers(0, 1500), st.binary(max_size=30), st.booleans(), st.sampled_from([200, 400, 500]))
def test_nothing_but_errors_of_the_device_comes_of_any_damage(whole: bytes, at: int, damage: bytes, over: bool, status: int) -> None:
    body = whole[:at] + damage + whole[at + (len(damage) if over else 0) :]
    try:
        read_identity(opened(body, status))
    except DeviceError:
        return


@given(st.sampled_from(WHOLES), st.integers(0, 1500), st.binary(max_size=30))
def test_what_a_strict_parser_takes_is_never_touched_and_what_is_mended_it_had_refused(whole: bytes, at: int, damage: bytes) -> None:
    body, asked = whole[:at] + damage + whole[at:], list[bytes]()

    def watched(broken: bytes) -> bytes | None:
        asked.append(broken)
        return mend(broken)

    try:
        open_answer(Answer(200, {}, body), GET_IDENTITY.answer, mend=watched)
    except DeviceError:
        pass
    assert len(asked) <= 1
    if asked:
        with pytest.raises(ProtocolError):
            parse(asked[0])


@given(st.binary(max_size=200))
def test_any_bytes_are_mended_to_little_more_than_they_were(body: bytes) -> None:
    found = mended(body)
    assert found is None or len(found.body) <= 2 * len(body) + 200
