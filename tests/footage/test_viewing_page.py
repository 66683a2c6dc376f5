"""The page of a viewing offers what was recorded, and says what was not."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period, RequestId
from gateway.domain.viewing import Viewing, ViewingId
from gateway.footage.viewing import Film
from gateway.footage.viewing_page import viewing_page
from tests.footage.desk import WANG

START = datetime(2026, 9, 21, 13, 0, 10, tzinfo=UTC)
VIEWING = Viewing(ViewingId("V-1"), RequestId("F-1"), "孙大娘", "371502", "", "", WANG, START, START + timedelta(hours=2))


def film(number: int, *runs: tuple[float, float]) -> Film:
    told = tuple(Period(START + timedelta(seconds=start), START + timedelta(seconds=end)) for start, end in runs)
    return Film(
        VIEWING, f"01_cam-1_{number:03d}.mp4", DeviceId("cam-1"), Period(told[0].start, told[-1].end), told, Path("film"), "00" * 32
    )


def test_minutes_without_a_recording_are_no_links_and_each_gap_is_told() -> None:
    films = film(1, (0, 100), (230.04, 300)), film(2, (320, 400))
    page = viewing_page(VIEWING, films, names={}, shown=films[0]).decode()
    listed = page.partition("</figure>")[2]
    links = re.findall(r"from_s=([\d.]+)\"[^>]*>([\d:]+)</a>", listed)
    assert links == [("0", "21:00:10"), ("50", "21:01"), ("230.1", "21:04:00"), ("290", "21:05"), ("0", "21:05:30"), ("30", "21:06")]
    gaps = re.findall(r"no recording ([\d:]+ – [\d:]+)", listed)
    assert gaps == ["21:01:50 – 21:04:00", "21:05:10 – 21:05:30"]
    assert "无录像 no recording 21:01:50 – 21:04:00" in page.partition("</figure>")[0]


def test_a_camera_is_named_beside_its_id_and_stands_by_its_id_alone_where_no_name_is_known() -> None:
    films = (film(1, (0, 100)),)
    page = viewing_page(VIEWING, films, names={DeviceId("cam-1"): "东门<枪机>"}, shown=films[0]).decode()
    assert page.count("东门&lt;枪机&gt; cam-1") == 2
    assert "<h2>cam-1 2026" in viewing_page(VIEWING, films, names={}).decode()
