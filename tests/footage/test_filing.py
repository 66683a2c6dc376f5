"""A request is refused with everything that is wrong with it at once, in words that help."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, CellCode, Channel, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.footage import REGISTER_FIELDS, TO_FILE, Emergency, Filing, Period, RequesterKind, Urgency
from gateway.errors import InvalidInput
from gateway.footage.filing import accepted
from gateway.footage.register import load_register, shipped_register
from tests.footage.desk import NOW, filing

HOUR = timedelta(hours=1)
REGISTER = load_register(shipped_register())


def device(name: str, kind: DeviceKind, **fields: object) -> Device:
    return Device(DeviceId(name), kind, name, "127.0.0.1", **fields)


@pytest.fixture
def city() -> City:
    made = City()
    group = GroupId("G-1")
    made.replace(
        devices=[
            device("CAM-1", DeviceKind.CAMERA, group=group),
            device("CAM-2", DeviceKind.CAMERA, group=group),
            device("CAM-3", DeviceKind.CAMERA),
            device("SPK-1", DeviceKind.SPEAKER, group=group),
            device("NVR-1", DeviceKind.RECORDER, channels=tuple(Channel(n, DeviceId(f"CAM-{n}"), "t") for n in (1, 2))),
        ],
        groups=[CameraGroup(group, "g")],
    )
    return made


def faults(city: City, wanted: Filing) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        accepted(wanted, city=city, register=REGISTER, now=NOW, window_max=2 * HOUR)
    return {fault.where: fault.why for fault in caught.value.faults}


def window(start: datetime, end: datetime) -> Period:
    return Period(start, end)


def test_the_place_becomes_cameras_each_once(city: City) -> None:
    wanted = filing(cameras=(DeviceId("CAM-2"),), groups=(GroupId("G-1"),))
    tidy, cameras = accepted(wanted, city=city, register=REGISTER, now=NOW, window_max=2 * HOUR)
    assert list(cameras) == ["CAM-2", "CAM-1"]
    assert tidy == wanted


@pytest.mark.parametrize("kind", RequesterKind)
@pytest.mark.parametrize("name", REGISTER_FIELDS)
def test_what_a_kind_of_requester_has_to_tell_at_once_is_not_left_empty(city: City, name: str, kind: RequesterKind) -> None:
    wanted = filing(cameras=(DeviceId("CAM-1"),), kind=kind, **{name: " \t"})
    if name in TO_FILE[kind]:
        assert "is missing" in faults(city, wanted)[f"/{name}"]
    else:
        tidy, _ = accepted(wanted, city=city, register=REGISTER, now=NOW, window_max=2 * HOUR)
        assert getattr(tidy, name) == ""


def test_an_emergency_does_without_a_document_is_urgent_and_no_citizens(city: City) -> None:
    wanted = filing(cameras=(DeviceId("CAM-1"),), authorising_document="", emergency=Emergency.MISSING_PERSON)
    tidy, _ = accepted(wanted, city=city, register=REGISTER, now=NOW, window_max=2 * HOUR)
    assert tidy.urgency is Urgency.URGENT
    assert list(faults(city, replace(wanted, kind=RequesterKind.CITIZEN))) == ["/emergency"]


def test_a_tolerance_counts_for_the_length_of_the_window(city: City) -> None:
    wanted = filing(cameras=(DeviceId("CAM-1"),), tolerance=HOUR)
    assert "with the tolerance of 1:00:00" in faults(city, wanted)["/end"]


def test_everything_is_told_at_once(city: City) -> None:
    naive = datetime(2026, 1, 1, 8, 0)  # noqa: DTZ001 -- that it has no zone is the fault
    wanted = filing(case_number="", legal_basis="because", cameras=(DeviceId("CAM-9"), DeviceId("SPK-1")), window=window(naive, NOW))
    assert faults(city, wanted) == {
        "/case_number": "is missing: the number of the case, or in an emergency of the call (接警编号)",
        "/legal_basis": f"'because' is not in the maintained list: {', '.join(REGISTER.legal_bases)}",
        "/start": "has no offset from UTC; write 2026-01-31T08:00:00+08:00",
        "/cameras/0": "no camera 'CAM-9'",
        "/cameras/1": "SPK-1 is a speaker, not a camera",
    }


def bad_windows() -> Iterator[tuple[Period, str]]:
    yield window(NOW - HOUR, NOW - HOUR), "is not after the start"
    yield window(NOW - HOUR, NOW - 2 * HOUR), "is not after the start"
    yield window(NOW - 3 * HOUR, NOW - HOUR / 2), "more than 2:00:00 after the start"
    yield window(NOW - HOUR, NOW + HOUR), "lies in the future"


@pytest.mark.parametrize(("wanted", "why"), list(bad_windows()))
def test_a_window_that_cannot_be_fetched_is_refused(city: City, wanted: Period, why: str) -> None:
    assert why in faults(city, filing(cameras=(DeviceId("CAM-1"),), window=wanted))["/end"]


def test_any_offset_from_utc_will_do(city: City) -> None:
    beijing = timezone(8 * HOUR)
    start = (NOW - HOUR).astimezone(beijing)
    tidy, _ = accepted(
        filing(cameras=(DeviceId("CAM-1"),), window=window(start, start + HOUR / 2)),
        city=city,
        register=REGISTER,
        now=NOW,
        window_max=HOUR,
    )
    assert tidy.window.start.astimezone(UTC) == NOW - HOUR


def test_a_place_without_cameras_or_recorders_is_refused(city: City) -> None:
    assert faults(city, filing()) == {"/cameras": "no camera is named, neither by itself nor by its group or cell"}
    found = faults(city, filing(groups=(GroupId("G-9"),), cells=(CellCode("C-9"),)))
    assert found == {"/groups/0": "there is no group 'G-9'", "/cells/0": "there is no cell 'C-9'"}
    assert "no recorder keeps the footage of CAM-3" in faults(city, filing(cameras=(DeviceId("CAM-3"),)))["/cameras"]


def test_two_officers_are_two(city: City) -> None:
    found = faults(city, filing(cameras=(DeviceId("CAM-1"),), requester="Li Min", second_officer=" li min"))
    assert found == {"/second_officer": "is the requester; two officers are needed"}


@pytest.mark.parametrize("words", ["x" * 201, "a\x00b", "a\u202eb"])
def test_words_that_do_not_fit_the_register_are_refused(city: City, words: str) -> None:
    assert "/unit" in faults(city, filing(cameras=(DeviceId("CAM-1"),), unit=words))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected the lists"),
        ("case_kinds: {a: b}", "legal_bases"),
        ("case_kinds: {}\nlegal_bases: {a: b}", "case_kinds"),
        ("case_kinds: {a: b}\nlegal_bases: [a]", "legal_bases"),
        ("case_kinds: {a: b}\nlegal_bases: {a: b}\nmore: 1", "more: unknown key"),
        ("case_kinds: {a: {zh: b}}\nlegal_bases: {a: b}", "case_kinds"),
        ("case_kinds: {a: {zh: b, en: ''}}\nlegal_bases: {a: b}", "case_kinds"),
        ("{", "cannot be read"),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "footage.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=why):
        load_register(path)


def test_a_wording_is_one_for_both_languages_or_one_for_each(tmp_path: Path) -> None:
    path = tmp_path / "footage.yaml"
    path.write_text("case_kinds: {traffic: {zh: 道路交通事故, en: road accident}, other: 其他}\nlegal_bases: {a: b}", encoding="utf-8")
    register = load_register(path)
    assert register.case_kinds == {"traffic": "道路交通事故", "other": "其他"}
    assert (register.case_kinds_en, register.legal_bases_en) == ({"traffic": "road accident", "other": "其他"}, {"a": "b"})


def test_the_shipped_lists_have_both_languages() -> None:
    for words, english in ((REGISTER.case_kinds, REGISTER.case_kinds_en), (REGISTER.legal_bases, REGISTER.legal_bases_en)):
        assert words.keys() == english.keys() and all(text.isascii() for text in english.values())
