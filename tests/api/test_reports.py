"""Reports and excuses through the door: as JSON, as a page and as a spreadsheet."""

import io
import random
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from gateway.api.routes.reports import ReportOut
from gateway.clock import SimulatedClock
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId
from gateway.domain.health import HealthState, Transition
from gateway.reports import service as service_module
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.api.house import House, open_house
from tests.reports.logs import city_of, lived_in

NOW = datetime(2026, 5, 14, 9, tzinfo=UTC)
EVIL = '=HYPERLINK("http://evil","x")'
MARKUP = "<script>alert(1)</script>\u202e"


def evil_city() -> City:
    """Six cameras, of which one has names that somebody made up to do harm."""
    city = city_of(6)
    evil = Device(
        DeviceId("cam-9"), DeviceKind.CAMERA, MARKUP, "127.8.0.99", group=GroupId("g-0"), vendor=EVIL, model="+1", maintainer="@SUM(A1)"
    )
    groups = [*city.groups.values(), CameraGroup(GroupId("g-9"), MARKUP)]
    city.replace(devices=[*city.devices.values(), evil], groups=groups)
    return city


@pytest.fixture(scope="module")
def template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lived-in") / "gateway.db"
    return lived_in(template, path, random.Random(3), evil_city(), datetime(2026, 3, 20, tzinfo=UTC), NOW)


@pytest.fixture
async def house(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template, city=evil_city(), clock=SimulatedClock(NOW)) as opened:
        yield opened


async def test_a_report_tells_raw_and_adjusted_side_by_side_with_its_formulas(house: House) -> None:
    status, told = await house.json("GET", "/v1/health/reports?from=2026-04-01&to=2026-04-30&by=vendor", role=Role.VIEWER)
    assert status == 200
    ReportOut.model_validate(told)
    assert [row["key"] for row in told["rows"]] == sorted((EVIL, "大华", "海康"))
    assert told["whole"]["devices"] == 7
    assert told["start"] == "2026-03-31T16:00:00Z"  # midnight in Shanghai
    assert 0 < told["whole"]["online"]["raw"] < 1
    seconds = told["whole"]["raw"]
    counted = seconds["up_s"] + seconds["degraded_s"] + seconds["down_s"]
    assert counted + told["whole"]["unknown_s"] == pytest.approx(7 * 30 * 86_400)
    assert told["whole"]["online"]["raw"] == pytest.approx((seconds["up_s"] + seconds["degraded_s"]) / counted, abs=1e-6)
    assert {one["indicator"] for one in told["formulas"]} >= {"online", "intact", "time_sync", "picture", "recording"}


@pytest.mark.parametrize("by", ["device", "group", "cell", "street", "district", "kind", "vendor", "model", "maintainer"])
async def test_however_it_is_parted_the_whole_is_the_same(house: House, by: str) -> None:
    _, told = await house.json("GET", f"/v1/health/reports?from=2026-04-01&to=2026-05-14&by={by}")
    assert sum(row["raw"]["down_s"] for row in told["rows"]) == pytest.approx(told["whole"]["raw"]["down_s"])
    assert sum(row["devices"] for row in told["rows"]) == told["whole"]["devices"] == 7


@pytest.mark.parametrize(
    "days",
    [
        "from=2026-04-02&to=2026-04-01",
        "from=2020-01-01&to=2026-04-01",
        "from=2026-06-01&to=2026-06-02",
        "from=2026-04-01T00:00&to=2026-04-02",
    ],
)
async def test_days_that_cannot_be_asked_for_are_refused(house: House, days: str) -> None:
    status, problem = await house.json("GET", f"/v1/health/reports?{days}")
    assert status == 422
    assert problem["errors"]


async def test_a_page_loads_and_runs_nothing_whatever_devices_are_called(house: House) -> None:
    async with house.call("GET", "/v1/health/reports/monthly/2026-04.html?lang=both&by=device", role=Role.VIEWER) as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    for words in ("在线率", "Online", "完好率", "÷", "编制", "Prepared by", "@page"):
        assert words in page


async def test_a_month_that_has_not_ended_says_so(house: House) -> None:
    for month, there in (("2026-04", False), ("2026-05", True)):
        async with house.call("GET", f"/v1/health/reports/monthly/{month}.html?lang=en") as answer:
            assert ("so far, until" in await answer.text()) is there


@pytest.mark.parametrize("month", ["0000-00", "0001-01", "2026-13", "9999-12"])
@pytest.mark.parametrize("form", ["html", "xlsx"])
async def test_a_month_that_no_calendar_has_room_for_is_refused(house: House, month: str, form: str) -> None:
    status, problem = await house.json("GET", f"/v1/health/reports/monthly/{month}.{form}")
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/month"])


@pytest.mark.parametrize(("lang", "there", "not_there"), [("zh", "设备运行", "Availability"), ("en", "Availability", "在线率")])
async def test_a_page_speaks_the_language_that_was_asked_for(house: House, lang: str, there: str, not_there: str) -> None:
    async with house.call("GET", f"/v1/health/reports/monthly/2026-04.html?lang={lang}") as answer:
        page = await answer.text()
    assert there in page
    assert not_there not in page


async def test_a_spreadsheet_has_numbers_and_words_and_never_a_formula(house: House) -> None:
    async with house.call("GET", "/v1/health/reports/monthly/2026-04.xlsx?lang=en") as answer:
        content = await answer.read()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="availability-2026-04.xlsx"'
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert book.sheet_names[:3] == ["Summary", "District", "Kind"]
    vendors = book.get_sheet_by_name("Vendor").to_python()
    assert vendors[2][0] == EVIL  # the words themselves, not what they would be worth
    assert isinstance(vendors[2][2], float)
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        sheets = [parts.read(name).decode() for name in parts.namelist() if name.startswith("xl/worksheets/")]
    assert not any("<f>" in sheet for sheet in sheets)
    assert all("frozen" in sheet for sheet in sheets[1:-2])


async def test_an_excuse_is_proposed_by_one_and_approved_by_another_and_then_left_out(house: House) -> None:
    body = {"kind": "power-cut", "groups": ["g-1"], "start": "2026-04-03T08:00:00+08:00", "end": "2026-04-20T08:00:00+08:00",
            "reason": "停电检修", "evidence": "供电函 118 号"}  # fmt: skip
    status, proposed = await house.json("POST", "/v1/health/excuses", json=body, role=Role.ENGINEER)
    assert (status, proposed["state"]) == (201, "proposed")
    before = (await report(house))["whole"]
    assert before["excused_s"] == 0
    path = f"/v1/health/excuses/{proposed['id']}"
    status, problem = await house.json("POST", f"{path}/approve", json={}, role=Role.ENGINEER)
    assert (status, problem["type"].rpartition(":")[2]) == (403, "own-excuse")
    assert (await house.json("POST", f"{path}/approve", json={}, role=Role.VIEWER))[0] == 403
    status, approved = await house.json("POST", f"{path}/approve", json={"note": "核实"}, role=Role.ADMIN)
    assert (status, approved["state"], approved["note"]) == (200, "approved", "核实")
    after = await report(house)
    assert after["whole"]["excused_s"] > 0
    assert after["whole"]["raw"] == before["raw"]
    assert after["excuses"][0] | {"devices": 2, "approved_by": "admin key"} == after["excuses"][0]
    assert (await house.json("POST", f"{path}/reject", json={"note": "有误"}, role=Role.ADMIN))[0] == 200
    assert (await report(house))["whole"] == before
    _, page = await house.json("GET", "/v1/health/excuses?state=rejected")
    assert [one["id"] for one in page["items"]] == [proposed["id"]]
    told = await house.services.store.events.read_after(0, limit=100)
    assert [event.type for event in told] == ["excuse.proposed", "excuse.approved", "excuse.rejected"]
    _, audit = await house.json("GET", "/v1/audit")
    assert {"excuse.proposed", "excuse.approved", "excuse.rejected"} <= {row["action"] for row in audit["items"]}


async def report(house: House) -> dict[str, object]:
    _, told = await house.json("GET", "/v1/health/reports?from=2026-04-01&to=2026-04-30")
    return told


async def test_excuses_name_what_is_there_and_what_shows_it(house: House) -> None:
    body = {
        "kind": "laziness",
        "devices": ["cam-77"],
        "start": "2026-04-03T08:00:00+08:00",
        "end": "2026-04-03T08:00:00+08:00",
        "reason": "x",
    }
    status, problem = await house.json("POST", "/v1/health/excuses", json=body)
    assert (status, problem["errors"][0]["detail"]) == (422, "is not in the inventory")
    status, problem = await house.json("POST", "/v1/health/excuses", json=body | {"devices": ["cam-1"]})
    assert status == 422
    assert len(problem["errors"]) == 3  # the kind, the end, the evidence
    _, kinds = await house.json("GET", "/v1/health/excuse-kinds")
    assert {"code": "power-cut", "zh": "停电", "en": "power cut"} in kinds["items"]


async def test_too_many_who_wait_for_reports_are_told(house: House, monkeypatch) -> None:
    monkeypatch.setattr(service_module, "WAITING", 0)
    status, problem = await house.json("GET", "/v1/health/reports?from=2026-04-01&to=2026-04-30")
    assert (status, problem["type"].rpartition(":")[2]) == (503, "overloaded")


async def test_today_counts_as_far_as_it_has_come(house: House) -> None:
    async def change(tx: Tx) -> None:
        await tx.health.record(
            Transition(DeviceId("cam-1"), HealthState.UP, HealthState.DOWN, NOW - timedelta(minutes=5), "timeout", "reach")
        )

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    _, told = await house.json("GET", "/v1/health/reports?from=2026-05-14&to=2026-05-14&by=device")
    row = next(row for row in told["rows"] if row["key"] == "cam-1")
    assert row["raw"]["down_s"] >= 300
    assert told["end"] == "2026-05-14T09:00:00Z"
