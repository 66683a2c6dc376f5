"""The real daemon's figures: clean to promtool, and all that the rules and dashboards ask for."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import aiohttp
import pytest

from tests.system.conftest import ROOT, Demo

WORD = re.compile(r"\b(?:gateway|process)_[a-z_]+\b")
COUNTED = ("_bucket", "_sum", "_count")
RECORDS = {"gateway_available", "gateway_down"}  # parts of the names of records, which the rules make themselves


@pytest.fixture
async def figures(demo: Demo) -> str:
    headers = {"Authorization": f"Bearer {demo.keys['viewer']}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(demo.url + "/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


@pytest.mark.interop
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool: Debian's prometheus is not installed")
async def test_promtool_finds_nothing_to_say_of_the_figures_and_would_of_odd_ones(figures: str) -> None:
    assert _lint(figures) == (0, "")
    code, said = _lint(figures + "# HELP gateway_odd x\n# TYPE gateway_odd counter\ngateway_odd 1\n")
    assert (code, "gateway_odd" in said) == (3, True)


async def test_every_query_of_a_dashboard_and_a_rule_asks_for_a_figure_that_there_is(figures: str) -> None:
    known = {line.split()[2] for line in figures.splitlines() if line.startswith("# TYPE")}
    known |= {name + suffix for name in known for suffix in COUNTED}
    asked = set(WORD.findall((ROOT / "configs/prometheus/gateway.rules.yml").read_text()))
    for path in (ROOT / "configs/grafana").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                words = WORD.findall(target["expr"])
                assert words, (path.name, target)
                asked.update(words)
    assert sorted(asked - known - RECORDS) == []


def _lint(figures: str) -> tuple[int, str]:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=figures, capture_output=True, text=True, check=False, timeout=120, cwd=Path("/")
    )
    return done.returncode, done.stdout + done.stderr
