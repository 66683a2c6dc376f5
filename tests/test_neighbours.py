"""What monitoring neighbours get: bounded labels, rules that say what they should, dashboards, and the formats of Zabbix and LibreNMS."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.city_figures import label
from gateway.api.routes.neighbours import ZabbixOut
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import HealthState, Standing
from tests.api.conftest import template
from tests.api.house import CAMERA, House, open_house

__all__ = ["template"]

CONFIGS = Path(__file__).parent.parent / "configs"
DASHBOARDS = sorted((CONFIGS / "grafana").glob("*.json"))

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool: Debian's prometheus is not installed")


def promtool(*arguments: str, cwd: Path, text: str = "") -> str:
    """What promtool says; it must end with 0."""
    done = subprocess.run(["promtool", *arguments], cwd=cwd, input=text, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "prometheus"
    shutil.copytree(CONFIGS / "prometheus", folder)
    (folder / "gateway.key").write_text("gwk_key\n")
    return folder


@pytest.mark.interop
@needs_promtool
def test_the_rules_and_the_example_pass_promtool_and_say_what_they_should(configs: Path):
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", cwd=configs)
    assert "SUCCESS" in promtool("check", "rules", "gateway.rules.yml", cwd=configs)
    assert "SUCCESS" in promtool("test", "rules", "gateway.rules.test.yml", cwd=configs)


@pytest.mark.interop
@needs_promtool
def test_every_alert_has_a_history_that_raises_it(configs: Path):
    named = set(re.findall(r"- alert: (\w+)", (configs / "gateway.rules.yml").read_text()))
    raised = set(re.findall(r"alertname: (\w+)\n +exp_alerts", (configs / "gateway.rules.test.yml").read_text()))
    assert named - raised == set()


async def test_no_label_holds_more_than_its_bound_nor_what_a_device_calls_itself(tmp_path: Path, template: Path):
    city = City()
    vendors = [f"V{n}" for n in range(400)] + ['evil"} 1\n# x \u202e\x07' + "y" * 500]
    city.replace(devices=[Device(DeviceId(f"d{n}"), DeviceKind.CAMERA, "\x1b[2J", "127.8.0.1", vendor=v) for n, v in enumerate(vendors)])
    async with open_house(tmp_path, template, city=city) as house:
        most = house.services.limits.metric_labels
        text = await _figures(house)
    named = set(re.findall(r'gateway_vendor_devices{state="unknown",vendor="([^"]*)"}|gateway_vendor_devices{vendor="([^"]*)"', text))
    values = {one or other for one, other in named}
    assert len(values) == most + 1
    assert "other" in values
    counts = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("gateway_vendor_devices{")]
    assert sum(counts) == len(vendors)
    assert "evil" not in text or "\u202e" not in text
    assert label('a"b\n\u202e\x00c' + "z" * 99) == ("a b c" + "z" * 99)[:64]
    assert label("") == "unset"
    assert label("海康威视 DS-2CD") == "海康威视 DS-2CD"


@given(st.text() | st.text(alphabet='"\\\n{}=,# ab\ud800\u202e'))
def test_whatever_a_device_is_called_a_label_can_be_read_back(text: str):
    value = label(text)
    assert 0 < len(value) <= 64
    assert value.isprintable()
    registry = CollectorRegistry()
    Gauge("gateway_odd", "x", ["name"], registry=registry).labels(value).set(1)
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    assert [sample.labels["name"] for sample in family.samples] == [value]


def test_dashboards_have_ids_of_their_own_and_no_fixed_source():
    found = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len(found) >= 2
    assert len({one["uid"] for one in found}) == len(found)
    for one in found:
        ids = [panel["id"] for panel in one["panels"]]
        assert len(set(ids)) == len(ids)
        assert {source["uid"] for source in _sources(one)} == {"${datasource}"}
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in one["panels"]]
        assert len(set(places)) == len(places)


# -- Zabbix and LibreNMS ----------------------------------------------------------------------------------------------


async def test_zabbix_finds_each_device_and_its_flat_values(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    status, found = await house.json("GET", "/v1/neighbours/zabbix", role=Role.VIEWER)
    assert status == 200
    assert ZabbixOut.model_validate(found).model_dump(mode="json") == found
    assert [one["{#DEVICE}"] for one in found["discovery"]] == sorted(found["devices"])
    assert all(re.fullmatch(r"{#[A-Z]+}", macro) for one in found["discovery"] for macro in one)
    assert all(isinstance(value, str) for one in found["discovery"] for value in one.values())
    camera = found["devices"][CAMERA]
    assert (camera["state"], camera["reason"]) == (3, "refused")
    assert found["city"] == {"unknown": 6, "up": 0, "degraded": 0, "down": 1}
    assert all(not isinstance(value, (dict, list)) for one in found["devices"].values() for value in one.values())
    _, some = await house.json("GET", "/v1/neighbours/zabbix?kind=camera&district=历下")
    assert sorted(some["devices"]) == ["cam-1", "cam-2"]


async def test_librenms_gets_its_application_json(house: House):
    status, found = await house.json("GET", "/v1/neighbours/librenms", role=Role.VIEWER)
    assert (status, found["version"], found["error"], found["errorString"]) == (200, 1, 0, "")
    assert found["data"]["camera"] == {"unknown": 3, "up": 0, "degraded": 0, "down": 0}
    assert found["data"]["all"]["unknown"] == 7
    assert (await house.json("GET", "/v1/neighbours/librenms", role=None))[0] == 401


@pytest.fixture
async def house(tmp_path: Path, template: Path):
    folder = tmp_path / "house"
    folder.mkdir()
    async with open_house(folder, template) as opened:
        yield opened


async def _figures(house: House) -> str:
    async with house.call("GET", "/metrics", role=Role.VIEWER) as answer:
        assert answer.status == 200
        return await answer.text()


def _sources(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "datasource":
                yield inner
            else:
                yield from _sources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sources(inner)
