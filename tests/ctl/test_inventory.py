"""What changes the inventory: imports, bulk edits, searches; and a port's power."""

import json
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.domain.access import Role
from tests.api.house import House, open_house
from tests.ctl.running import gatewayctl


async def test_an_import_is_shown_and_then_made(house: House, tmp_path: Path):
    file = tmp_path / "new.csv"
    file.write_text("id,kind,name,address\nnew-1,camera,新,127.8.9.1\n")
    shown = await gatewayctl(house, "import", "--dry-run", str(file))
    assert (shown.code, shown.out.splitlines()[0]) == (0, "+ camera new-1 新")
    assert "nothing was changed" in shown.err
    made = await gatewayctl(house, "import", str(file))
    assert (made.code, "imported" in made.err) == (0, True)
    assert (await gatewayctl(house, "describe", "devices", "new-1")).code == 0
    assert "new-1" in (await gatewayctl(house, "export", "--format", "csv")).out
    file.write_text("id,kind,name,address\nnew-2,tree,x,y z\n")
    wrong = await gatewayctl(house, "import", str(file))
    assert (wrong.code, "line 2" in wrong.err) == (2, True)


async def test_a_bulk_edit_is_shown_and_then_made(house: House, tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("id,kind,name,address,vendor\nA-1,camera,甲,10.9.0.1,Dahua\nA-2,camera,乙,10.9.0.2,Axis\n", encoding="utf-8")
    assert (await gatewayctl(house, "import", str(file))).code == 0
    shown = await gatewayctl(house, "edit", "--where", "vendor=dahua", "--set", "maintainer=联通", "--dry-run")
    assert (shown.code, shown.out.splitlines()) == (
        0,
        ["~ camera A-1 甲  maintainer: (empty) → 联通", "0 added, 1 changed, 0 removed"],
    )
    made = await gatewayctl(
        house, "edit", "--where", "id=A-1", "--where", "id=A-2", "--set", "maintainer=联通", "--comment", "new contract"
    )
    assert (made.code, made.out.splitlines()[-1], made.err) == (0, "0 added, 2 changed, 0 removed", "done\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "colour=red", "--set", "a=b"], "knows no 'colour'"),
        (["--where", "vendor", "--set", "a=b"], "no FIELD=VALUE"),
        (["--where", "vendor=x", "--set", "password=y"], "a secret"),
        (["--where", "vendor=x", "--where", "vendor=y", "--set", "a=b"], "stands twice"),
        (["--where", "vendor=x", "--set", "maintainr=y"], "No device fits"),
    ],
)
async def test_a_bulk_edit_that_cannot_be_meant_is_refused(house: House, arguments: list[str], words: str):
    done = await gatewayctl(house, "edit", *arguments)
    assert (done.code, words in done.err) == (2, True), done.err


async def test_the_uplinks_are_shown_with_the_reason_why_nothing_is_proposed(house: House):
    shown = await gatewayctl(house, "uplinks", "list", "--switch", "sw-1")
    assert shown.code == 0
    assert [line.split() for line in shown.out.splitlines()][:2] == [
        ["DEVICE", "STATUS", "INVENTORY", "PROPOSED", "REASON"],
        ["cam-1", "unknown", "sw-1", "-", "no-hardware-address"],
    ]
    taken = await gatewayctl(house, "uplinks", "accept", "cam-1")
    assert (taken.code, "no proposed uplink for cam-1" in taken.err) == (2, True)


async def test_a_search_is_waited_for_and_what_it_found_is_listed(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template, clock=SystemClock()) as house:
        found = await gatewayctl(house, "discover", "run", "127.9.9.0/31", "-o", "json")
        assert found.code == 0, found.err
        assert json.loads(found.out)["asked"] == 2
        listed = await gatewayctl(house, "discover", "list")
        assert " ".join(listed.out.split()) == "ID KIND DEVICE ADDRESS VENDOR MODEL CHANGES TROUBLE"
        beyond = await gatewayctl(house, "discover", "run", "10.0.0.0/8")
        assert (beyond.code, "does not allow" in beyond.err) == (2, True)
        for wrong in ([], ["P-1", "--kind", "moved"], ["--kind", "moved"], ["P-1", "P-2", "--set", "name=x"]):
            assert (await gatewayctl(house, "discover", "accept", *wrong)).code in (2, 4)
        secret = await gatewayctl(house, "discover", "accept", "P-1", "--set", "password=x")
        assert (secret.code, "a secret" in secret.err) == (2, True)
        survey = await gatewayctl(house, "uplinks", "survey", "-o", "json")
        assert json.loads(survey.out)["state"] == "done"


async def test_a_port_is_not_cycled_without_a_reason_nor_by_a_viewer_nor_while_nobody_would_switch_it_on_again(house: House):
    assert (await gatewayctl(house, "power-cycle", "cam-1")).code == 2
    refused = await gatewayctl(house, "power-cycle", "cam-1", "--reason", "hangs", role=Role.VIEWER)
    assert refused.code == 4
    refused = await gatewayctl(house, "power-cycle", "cam-1", "--reason", "hangs", role=Role.ENGINEER)
    assert refused.code == 1 and "while the gateway starts or ends" in refused.err
