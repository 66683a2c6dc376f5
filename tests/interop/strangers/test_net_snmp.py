"""The simulated agents as net-snmp's programs see them."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from simulators.city import SimDevice
from tests.simulators.snmp_block import (
    AGGREGATION,
    BRANCH,
    CAMERA,
    MD5_SWITCH,
    OLD_SWITCH,
    RECORDER,
    SHA256_SWITCH,
    SPEAKER,
    SWITCH,
    Block,
    snmp_block,
)

pytestmark = pytest.mark.interop
NAME = "1.3.6.1.2.1.1.5.0"
ADMIN = "1.3.6.1.2.1.2.2.1.7"
FIRST_RUN = "Created directory: "
"""What net-snmp's programs say once on a machine on which none of them ever ran."""


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with snmp_block() as running:
        yield running


async def run(name: str, *arguments: str) -> tuple[int, str]:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name}: snmp is not installed")
    options = ("-m", "", "-On", "-t", "5", "-r", "0")
    process = await asyncio.create_subprocess_exec(
        path, *options, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines(keepends=True)
    return process.returncode or 0, "".join(line for line in lines if not line.startswith(FIRST_RUN))


def login(target: SimDevice, **changed: str) -> list[str]:
    settings = target.snmp
    assert settings is not None
    if settings.version != "v3":
        return ["-v", settings.version.removeprefix("v"), "-c", settings.community]
    level = "authPriv" if settings.priv_key else "authNoPriv" if settings.auth_key else "noAuthNoPriv"
    options = ["-v", "3", "-l", level, "-u", changed.get("user", settings.user)]
    if settings.auth_key:
        protocol = {"SHA256": "SHA-256"}.get(settings.auth_protocol, settings.auth_protocol)
        options += ["-a", protocol, "-A", changed.get("auth_key", settings.auth_key)]
    return options + (["-x", "AES", "-X", settings.priv_key] if settings.priv_key else [])


@pytest.mark.parametrize("target", [SWITCH, OLD_SWITCH, BRANCH, MD5_SWITCH, AGGREGATION, SHA256_SWITCH],
                         ids=["v2c", "v1", "noAuthNoPriv", "MD5", "SHA-AES", "SHA256-AES"])  # fmt: skip
async def test_snmpget_gets_the_name(block: Block, target: SimDevice) -> None:
    assert await run("snmpget", *login(target), block.at(target), NAME) == (0, f'.{NAME} = STRING: "{target.id}"\n')


@pytest.mark.parametrize("target", [SWITCH, AGGREGATION], ids=["v2c", "v3"])
async def test_snmpbulkwalk_walks_it_all_and_sees_the_end(block: Block, target: SimDevice) -> None:
    code, output = await run("snmpbulkwalk", *login(target), block.at(target), "1.3")
    lines = output.strip().splitlines()
    assert code == 0
    assert "past the end of the MIB tree" in lines[-1]
    assert sum(line.startswith(".1.3.6.1.2.1.2.2.1.8.") for line in lines) == (8 if target is SWITCH else 24)


async def test_snmpwalk_walks_v1(block: Block) -> None:
    code, output = await run("snmpwalk", *login(OLD_SWITCH), block.at(OLD_SWITCH), "1.3.6.1.2.1.2.2.1.8")
    assert (code, len(output.strip().splitlines())) == (0, 8)


async def test_a_wrong_key_and_a_stranger_are_told_so(block: Block) -> None:
    code, output = await run("snmpget", *login(AGGREGATION, auth_key="another-secret"), block.at(AGGREGATION), NAME)
    assert (code, "Authentication failure" in output) == (1, True)
    code, output = await run("snmpget", *login(AGGREGATION, user="stranger"), block.at(AGGREGATION), NAME)
    assert (code, "Unknown user name" in output) == (1, True)


async def test_snmpset_is_refused(block: Block) -> None:
    code, output = await run("snmpset", *login(SWITCH), block.at(SWITCH), NAME, "s", "mine")
    assert code == 2
    assert "notWritable" in output
    code, output = await run("snmpset", *login(SWITCH), block.at(SWITCH), f"{ADMIN}.1", "i", "2")
    assert (code, "noAccess" in output) == (2, True)


@pytest.mark.parametrize(("target", "behind", "credentials"), [(SWITCH, CAMERA, ["-v", "2c", "-c", "m4yor"]), (AGGREGATION, BRANCH, None)],
                         ids=["v2c", "v3"])  # fmt: skip
async def test_snmpset_switches_a_port_off_and_what_hangs_there_is_silent(
    block: Block, target: SimDevice, behind: SimDevice, credentials: list[str] | None
) -> None:
    name, who = f"{ADMIN}.{behind.uplink_port}", credentials or login(target)
    assert await run("snmpset", *who, block.at(target), name, "i", "2") == (0, f".{name} = INTEGER: 2\n")
    assert block.state.dark(behind)
    _, status = await run("snmpget", *login(target), block.at(target), f"1.3.6.1.2.1.2.2.1.8.{behind.uplink_port}")
    assert "INTEGER: 2" in status
    await run("snmpset", *who, block.at(target), name, "i", "1")
    assert not block.state.dark(behind)


async def test_snmpset_takes_the_power_from_a_camera(block: Block) -> None:
    power = "1.3.6.1.2.1.105.1.1.1.{}.1.1"
    await run("snmpset", "-v", "2c", "-c", "m4yor", block.at(SWITCH), power.format(3), "i", "2")
    assert block.state.dark(CAMERA)
    assert "INTEGER: 1" in (await run("snmpget", *login(SWITCH), block.at(SWITCH), power.format(6)))[1]


async def test_snmpset_with_a_value_that_no_port_takes_is_refused(block: Block) -> None:
    for kind, value, fault in (("i", "7", "wrongValue"), ("s", "down", "wrongType")):
        code, output = await run("snmpset", "-v", "2c", "-c", "m4yor", block.at(SWITCH), f"{ADMIN}.1", kind, value)
        assert (code, fault in output) == (2, True)
    assert not block.state.dark(CAMERA)


async def test_snmpwalk_sees_each_neighbour_by_lldp_and_in_the_forwarding_table(block: Block) -> None:
    _, output = await run("snmpwalk", *login(SWITCH), block.at(SWITCH), "1.0.8802.1.1.2.1.4.1.1.9")
    assert output.splitlines() == [f'.1.0.8802.1.1.2.1.4.1.1.9.0.{one.uplink_port}.1 = STRING: "{one.id}"' for one in (CAMERA, SPEAKER)]
    _, output = await run("snmpwalk", *login(AGGREGATION), block.at(AGGREGATION), "1.3.6.1.2.1.17.4.3.1.2")
    macs = {".".join(str(int(octet, 16)) for octet in one.mac.split(":")): one.uplink_port for one in (BRANCH, RECORDER)}
    assert output.splitlines() == [f".1.3.6.1.2.1.17.4.3.1.2.{mac} = INTEGER: {port}" for mac, port in sorted(macs.items())]
