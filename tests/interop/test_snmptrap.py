"""net-snmp's own senders, snmptrap and snmpinform, of every version, and snmpd's own traps: heard, believed, acknowledged."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import SnmpCredentials, SnmpVersion
from gateway.storage.store import Store
from tests.traps import house as houses
from tests.traps.house import AUTH_KEY, CAMERA, PRIV_KEY, SECURE, SWITCH, House
from tests.waiting import until

pytestmark = pytest.mark.interop

COLD_START, LINK_DOWN, LINK_UP = "1.3.6.1.6.3.1.1.5.1", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.6.3.1.1.5.4"
IF_INDEX = "1.3.6.1.2.1.2.2.1.1"
PROTOCOLS = [
    ("MD5", "DES"), ("SHA", "AES"), ("SHA", ""), ("SHA-224", "AES"), ("SHA-256", "AES"), ("SHA-384", "AES"), ("SHA-512", "AES"), ("", ""),
]  # fmt: skip


@pytest.fixture
async def house(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[House]:
    async with houses.standing(store, clock, tmp_path) as standing:
        yield standing


async def say(program: str, address: str, folder: Path, *arguments: str) -> int:
    """Run one of net-snmp's senders from an address of its own; its exit code."""
    if shutil.which(program) is None:
        pytest.skip(f"{program}: snmp is not installed")
    process = await asyncio.create_subprocess_exec(
        program, f"--clientaddr={address}", "-r", "1", "-t", "5", *arguments,
        env={"PATH": "/usr/bin:/bin", "SNMP_PERSISTENT_DIR": str(folder), "SNMPCONFPATH": str(folder), "MIBS": ""},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await asyncio.wait_for(process.wait(), 60)


def v3(auth: str = "SHA", priv: str = "AES", *, key: str = AUTH_KEY, priv_key: str = PRIV_KEY, engine: str = "80001f880401") -> list[str]:
    level = "authPriv" if priv else "authNoPriv" if auth else "noAuthNoPriv"
    words = ["-v", "3", "-u", "poller", "-l", level]
    words += ["-a", auth, "-A", key] if auth else []
    words += ["-x", priv, "-X", priv_key] if priv else []
    return [*words, "-e", f"0x{engine}"] if engine else words


async def test_a_v1_trap_means_what_v2_would_call_it(house: House, tmp_path: Path) -> None:
    there = f"127.0.0.1:{house.port}"
    generic = ("1.3.6.1.4.1.99999", "192.0.2.1", "2", "0", "100", f"{IF_INDEX}.3", "i", "3")
    assert await say("snmptrap", SWITCH.address, tmp_path, "-v", "1", "-c", "c1ty", there, *generic) == 0
    specific = ("1.3.6.1.4.1.368.4.2", "192.0.2.1", "6", "3", "100", "1.3.6.1.4.1.368.4.2.3.0", "s", "water in the housing")
    assert await say("snmptrap", houses.AXIS.address, tmp_path, "-v", "1", "-c", "c1ty", there, *specific) == 0
    down, single = await house.until_events(2)
    assert (down.subject, down.data["name"], down.data["about"], down.data["version"]) == (SWITCH.id, "link-down", CAMERA.id, "v1")
    assert (single.subject, single.data["name"], single.data["text"]) == (houses.AXIS.id, "alarm-single", "water in the housing")


async def test_a_v2c_trap_is_heard(house: House, tmp_path: Path) -> None:
    assert await say("snmptrap", SWITCH.address, tmp_path, "-v", "2c", "-c", "c1ty", f"127.0.0.1:{house.port}", "", COLD_START) == 0
    (event,) = await house.until_events(1)
    assert (event.subject, event.data["name"], event.data["version"], event.data["inform"]) == (SWITCH.id, "cold-start", "v2c", False)


async def test_a_v2c_inform_is_acknowledged(house: House, tmp_path: Path) -> None:
    there = f"127.0.0.1:{house.port}"
    assert await say("snmpinform", SWITCH.address, tmp_path, "-v", "2c", "-c", "c1ty", there, "", LINK_UP, f"{IF_INDEX}.3", "i", "3") == 0
    (event,) = await house.until_events(1)
    assert event.data["inform"] and event.data["name"] == "link-up"


@pytest.mark.parametrize(("auth", "priv"), PROTOCOLS)
async def test_v3_traps_and_informs_of_every_protocol(store: Store, clock: SimulatedClock, tmp_path: Path, auth: str, priv: str) -> None:
    login = houses.user(auth.replace("-", ""), priv)
    async with houses.standing(store, clock, tmp_path, logins={**houses.LOGINS, SECURE.id: login}) as house:
        there = f"127.0.0.1:{house.port}"
        assert await say("snmptrap", SECURE.address, tmp_path, *v3(auth, priv), there, "", COLD_START) == 0
        assert await say("snmpinform", SECURE.address, tmp_path, *v3(auth, priv, engine=""), there, "", LINK_UP) == 0
        told = await house.until_events(2)
    assert [(event.subject, event.data["version"], event.data["inform"]) for event in told] == [
        (SECURE.id, "v3", False), (SECURE.id, "v3", True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (v3(key="another-key-entirely"), "wrong_digest"),
        (v3(priv_key="another-key-entirely"), "decryption"),
        (v3("SHA", ""), "security_level"),
        (["-v", "3", "-u", "stranger", "-l", "noAuthNoPriv", "-e", "0x80001f880401"], "unknown_user"),
        (["-v", "2c", "-c", "c1ty"], "wrong_community"),
    ],
    ids=["auth key", "privacy key", "level", "user", "v2c in place of v3"],
)
async def test_what_is_not_the_inventory_s_login_is_counted_and_not_believed(
    house: House, tmp_path: Path, words: list[str], count: str
) -> None:
    await say("snmptrap", SECURE.address, tmp_path, *words, f"127.0.0.1:{house.port}", "", COLD_START)
    await until(lambda: house.counts.get(count))
    assert await house.events() == []


async def test_an_inform_of_a_wrong_key_is_not_acknowledged(house: House, tmp_path: Path) -> None:
    words = v3(key="another-key-entirely", engine="")
    assert await say("snmpinform", SECURE.address, tmp_path, *words, f"127.0.0.1:{house.port}", "", COLD_START) != 0
    await until(lambda: house.counts.get("wrong_digest"))
    assert await house.events() == []


async def test_snmpd_tells_its_own_start_and_wrong_communities(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    program = shutil.which("snmpd") or shutil.which("snmpd", path="/usr/sbin")
    if program is None:
        pytest.skip("net-snmp's agent: snmpd is not installed")
    async with houses.standing(store, clock, tmp_path) as house:
        port = houses.free_udp_port()
        (tmp_path / "snmpd.conf").write_text(
            f"agentAddress udp:{SWITCH.address}:{port}\nrocommunity c1ty\n[snmp] clientaddr {SWITCH.address}\n"
            f"trapsess -v 2c -c c1ty 127.0.0.1:{house.port}\nauthtrapenable 1\n"
        )
        process = await asyncio.create_subprocess_exec(
            program, "-f", "-Lo", "-C", "-c", str(tmp_path / "snmpd.conf"), "-I", "-hr_fs,-hw_mem", "-p", str(tmp_path / "pid"),
            env={"SNMP_PERSISTENT_DIR": str(tmp_path), "MIBS": "", "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await house.until_events(1)
            if shutil.which("snmpget") is not None:
                await say("snmpget", SWITCH.address, tmp_path, "-v", "2c", "-c", "wrong", f"{SWITCH.address}:{port}", "1.3.6.1.2.1.1.3.0")
                await house.until_events(2)
        finally:
            process.terminate()
            await process.wait()
        names = {event.data["name"] for event in await house.until_events(1)}
    assert {"cold-start", "authentication-failure"} <= names


async def test_a_level_without_keys_is_believed_only_where_the_inventory_has_none(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    keyless = SnmpCredentials(SnmpVersion.V3, user="poller")
    async with houses.standing(store, clock, tmp_path, logins={**houses.LOGINS, SECURE.id: keyless}) as house:
        there = f"127.0.0.1:{house.port}"
        await say("snmptrap", SECURE.address, tmp_path, *v3("SHA", "AES"), there, "", COLD_START)
        await until(lambda: house.counts.get("security_level"))
        assert await house.events() == []
