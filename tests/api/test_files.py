"""One page per device: as JSON, and as a page that prints."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.api.routes.files import DeviceFileOut
from gateway.clock import SimulatedClock
from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, AuditEntry
from gateway.domain.maintenance import Places, Window, WindowId
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane
from tests.api.house import House, open_house, small_city
from tests.api.test_reports import MARKUP, evil_city
from tests.reports.logs import lived_in

NOW = datetime(2026, 5, 14, 9, tzinfo=UTC)
START = datetime(2026, 1, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived_in(template, tmp_path_factory.mktemp("lived-in") / "gateway.db", random.Random(3), small_city(), START, NOW)


@pytest.fixture
async def house(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template, city=small_city(), clock=SimulatedClock(NOW)) as opened:
        yield opened


async def test_a_file_has_everything_that_is_known_of_a_device(house: House) -> None:
    window = Window(WindowId("M-1"), Places(groups=frozenset({"g-1"})), NOW - timedelta(days=3), "清洁", "user:a", NOW - timedelta(days=4),
                    end=NOW - timedelta(days=2))  # fmt: skip

    async def change(tx: Tx) -> None:
        await tx.maintenance.save(window)
        await tx.complaints.rise(DeviceId("cam-1"), "clock", "clock-drift", NOW)
        tx.record(AuditEntry(SYSTEM, "camera.capture", "cam-1", NOW))

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    body = {"kind": "power-cut", "devices": ["cam-1"], "start": "2026-05-01T00:00:00+08:00", "end": "2026-05-02T00:00:00+08:00",
            "reason": "停电", "evidence": "函"}  # fmt: skip
    await house.json("POST", "/v1/health/excuses", json=body)
    status, told = await house.json("GET", "/v1/devices/cam-1/file", role=Role.VIEWER)
    assert status == 200
    DeviceFileOut.model_validate(told)
    assert told["device"]["name"] == "东门枪机"
    assert told["place"] == {"group": "东门", "cell": "", "street": "舜耕", "district": "历下"}
    assert [one["id"] for one in told["uplinks"]] == ["sw-1"]
    assert told["recorder"] == {"id": "nvr-1", "channel": 1}
    assert set(told["checks"]) == {"clock", "picture"}
    assert told["complaints"][0] == {"check": "clock", "reason": "clock-drift", "since": "2026-05-14T09:00:00Z", "until": None}
    assert len(told["transitions"]) == 30
    assert [one["id"] for one in told["maintenance"]] == ["M-1"]
    assert [one["state"] for one in told["excuses"]] == ["proposed"]
    assert [one["action"] for one in told["deeds"]] == ["camera.capture"]
    assert [one["month"] for one in told["availability"]["months"]] == ["2026-01", "2026-02", "2026-03", "2026-04"]
    _, report = await house.json("GET", "/v1/health/reports?from=2026-05-01&to=2026-05-14&by=device")
    row = next(row for row in report["rows"] if row["key"] == "cam-1")
    assert {name: row[name] for name in told["availability"]["this_month"]} == told["availability"]["this_month"]


@pytest.mark.parametrize("device", ["cam-3", "spk-1", "nvr-1", "sw-1"])
async def test_every_kind_of_device_has_one(house: House, device: str) -> None:
    status, told = await house.json("GET", f"/v1/devices/{device}/file")
    assert status == 200
    DeviceFileOut.model_validate(told)


async def test_who_is_not_there_has_none(house: House) -> None:
    assert (await house.json("GET", "/v1/devices/nobody/file"))[0] == 404
    assert (await house.json("GET", "/v1/devices/nobody/file.html"))[0] == 404


async def test_the_page_speaks_both_languages_and_runs_nothing(house: House) -> None:
    async with house.call("GET", "/v1/devices/cam-1/file.html?lang=both") as answer:
        page = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for words in ("一机一档", "Device file", "东门枪机", "台账", "Inventory", "校时"):
        assert words in page
    async with house.call("GET", "/v1/devices/cam-1/file.html?lang=en") as answer:
        assert "台账" not in await answer.text()


async def test_what_a_device_is_called_is_only_ever_text(tmp_path: Path, template: Path) -> None:
    async with open_house(tmp_path, template, city=evil_city(), clock=SimulatedClock(NOW)) as house:
        async with house.call("GET", f"/v1/devices/{DeviceId('cam-9')}/file.html") as answer:
            page = await answer.text()
        assert "<script" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;" in page
        assert MARKUP not in page
