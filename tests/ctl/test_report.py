"""Reports as tables, spreadsheets and pages."""

from pathlib import Path

from gateway.domain.access import Role
from tests.api.house import House
from tests.ctl.running import gatewayctl, in_2031


async def test_a_report_is_a_table_a_spreadsheet_and_a_page(house: House, tmp_path: Path) -> None:
    month = f"{house.clock.now():%Y-%m}"
    told = await gatewayctl(house, "report", "--month", month, "--by", "kind", role=Role.VIEWER)
    assert told.code == 0
    rows = told.out.splitlines()
    assert rows[0].split()[:3] == ["KEY", "NAME", "DEVICES"]
    assert [row.split()[0] for row in rows[1:]] == ["camera", "recorder", "speaker", "switch", "total"]
    assert "left out: nothing" in told.err
    sheet, page = tmp_path / "r.xlsx", tmp_path / "r.html"
    saved = await gatewayctl(house, "report", "--month", month, "--xlsx", str(sheet), "--html", str(page), "--lang", "en", role=Role.VIEWER)
    assert saved.code == 0
    assert sheet.read_bytes().startswith(b"PK")
    assert "Availability report" in page.read_text(encoding="utf-8")


async def test_a_report_that_cannot_be_made_says_why(house: House, tmp_path: Path) -> None:
    for arguments, words in (
        (["--month", "October"], "2026-10"),
        (["--from", "2026-01-01", "--to", "2026-01-02", "--xlsx", str(tmp_path / "r.xlsx")], "--month"),
        (["--from", "2019-01-01", "--to", "2019-01-02"], "24 months"),
    ):
        failed = await gatewayctl(house, "report", *arguments, role=Role.VIEWER)
        assert failed.code == 2
        assert words in failed.err


async def test_the_month_that_has_ended_last_has_ended_by_the_gateways_clock():
    async with in_2031() as (url, asked):
        told = await gatewayctl(None, "report", "-o", "json", GATEWAY_URL=url, GATEWAY_KEY="k")
    assert told.code == 0, told.err
    assert (asked[0]["from"], asked[0]["to"]) == ("2031-04-01", "2031-04-30")
