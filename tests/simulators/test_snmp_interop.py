"""The simulated agents as net-snmp's programs see them."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from simulators.city import SimDevice
from tests.simulators.snmp_block import AGGREGATION, BRANCH, MD5_SWITCH, OLD_SWITCH, SHA256_SWITCH, SWITCH, Block, snmp_block

pytestmark = pytest.mark.interop
NAME = "1.3.6.1.2.1.1.5.0"
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
