"""What a poll of six objects costs: our reader, profile evaluated, against Debian's prometheus-snmp-exporter, on the same switches.

The switches are simulated and answer from a process of their own. CPU is what the kernel says that the poller's process used between
the first contact with every switch, which is left out, and the last poll: our client's own, and the exporter's whole process, HTTP and
text included.
"""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from bench.served import served
from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.health import Outcome
from gateway.drivers.base import Target
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.reader import SensorReader
from simulators.city import City, SimDevice, plan

OBJECTS = {
    "description": "1.3.6.1.2.1.1.1.0",
    "name": "1.3.6.1.2.1.1.5.0",
    "uptime": "1.3.6.1.2.1.1.3.0",
    "port_state": "1.3.6.1.2.1.2.2.1.8.1",
    "port_errors": "1.3.6.1.2.1.2.2.1.14.1",
    "poe_state": "1.3.6.1.2.1.105.1.1.1.6.1.1",
}
PROFILE = {
    "profile": "bench",
    "facts": {name: {"oid": OBJECTS[name]} for name in ("description", "name")},
    "sensors": {
        "uptime": {"oid": OBJECTS["uptime"], "scale": 0.01},
        "port_state": {"oid": OBJECTS["port_state"], "enum": {1: "up", 2: "down"}},
        "port_errors": {"oid": OBJECTS["port_errors"]},
        "poe_state": {"oid": OBJECTS["poe_state"], "enum": {2: "searching", 3: "delivering", 4: "fault"}, "bad": ["fault"]},
    },
}
DEVICES = 100  # of each version
AT_ONCE = 32
TIMEOUT_S = 5.0


def measure(*, polls: int = 12_000, v3_polls: int = 4_000, scrapes: int = 2_000, v3_scrapes: int = 300) -> dict[str, Any]:
    """Poll with every client in turn; returns {"figures": …, "ratios": …}, null for a peer that is not installed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        city = plan(snmp_port=_free_udp_port())
        city.save(folder / "city.json")
        stack.enter_context(served(folder / "city.json", only="snmp"))
        ours = {version: _client(folder, version, count) for version, count in (("v2c", polls), ("v3", v3_polls))}
        theirs = _exporter_figures(folder, city, {"v2c": scrapes, "v3": v3_scrapes})
    figures = {
        "v2c_cpu_ms_per_poll": round(ours["v2c"], 4),
        "v3_cpu_ms_per_poll": round(ours["v3"], 4),
        "snmp_exporter_v2c_cpu_ms_per_poll": theirs["v2c"],
        "snmp_exporter_v3_cpu_ms_per_poll": theirs["v3"],
        "objects_per_poll": len(OBJECTS),
        "devices": DEVICES,
    }
    return {
        "figures": figures,
        "ratios": {"vs_snmp_exporter": _ratio(theirs["v2c"], ours["v2c"]), "vs_snmp_exporter_v3": _ratio(theirs["v3"], ours["v3"])},
    }


def _ratio(theirs: float | None, ours: float) -> float | None:
    return None if theirs is None else round(theirs / ours, 2)


# -- the switches -----------------------------------------------------------------------------------------------------


def switches(city: City, version: str) -> Sequence[SimDevice]:
    """`DEVICES` switches of the city that speak `version`."""
    return [device for device in city.of_kind("switch") if device.snmp and device.snmp.version == version][:DEVICES]


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- ours -------------------------------------------------------------------------------------------------------------


def _client(folder: Path, version: str, polls: int) -> float:
    """CPU milliseconds of one poll, measured by a client in a process of its own."""
    command = [sys.executable, "-m", "bench.snmp", str(folder), version, str(polls)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


async def poll(folder: Path, version: str, polls: int) -> float:
    """Poll every switch of `version` in turn, `AT_ONCE` at a time, until there were `polls`; returns CPU milliseconds a poll."""
    city = City.load(folder / "city.json")
    targets = [_target(device, city.snmp_port) for device in switches(city, version)]
    (folder / version).mkdir()
    (folder / version / "bench.yaml").write_text(yaml.safe_dump(PROFILE))
    reader = SensorReader(GufoEngine(), Profiles.load(folder / version), clock=SystemClock())

    async def work(count: int, begin: int) -> None:
        for number in range(begin, begin + count):
            reading = await reader.read(targets[number % len(targets)], timeout_s=TIMEOUT_S)
            assert reading.readings.outcome is Outcome.OK, reading.readings

    await asyncio.gather(*(work(1, place) for place in range(len(targets))))
    rounds = polls // AT_ONCE
    begin = _own_cpu_s()
    await asyncio.gather(*(work(rounds, place * rounds) for place in range(AT_ONCE)))
    return (_own_cpu_s() - begin) * 1_000 / (rounds * AT_ONCE)


def _target(device: SimDevice, port: int) -> Target:
    assert device.snmp is not None
    snmp = device.snmp
    credentials = SnmpCredentials(
        SnmpVersion(snmp.version), snmp.community, snmp.user, snmp.auth_protocol, snmp.auth_key, snmp.priv_protocol, snmp.priv_key
    )
    return Target(DeviceId(device.id), device.address, Ports(snmp=port), Credentials(snmp=credentials), "bench")


def _own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# -- theirs -----------------------------------------------------------------------------------------------------------


def _exporter_figures(folder: Path, city: City, scrapes: dict[str, int]) -> dict[str, float | None]:
    program = shutil.which("prometheus-snmp-exporter")
    if program is None:
        print("prometheus-snmp-exporter is not installed: no figure for it", file=sys.stderr)
        return dict.fromkeys(scrapes)
    return {version: round(asyncio.run(_scrape(program, folder, city, version, count)), 4) for version, count in scrapes.items()}


async def _scrape(program: str, folder: Path, city: City, version: str, scrapes: int) -> float:
    """CPU milliseconds of the exporter's whole process for one scrape of a switch."""
    devices = switches(city, version)
    configuration = folder / f"exporter-{version}.yml"
    configuration.write_text(yaml.safe_dump({device.id: _module(device) for device in devices}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program, f"--config.file={configuration}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:
            await _listening(session)

            async def work(count: int, begin: int) -> None:
                for number in range(begin, begin + count):
                    device = devices[number % len(devices)]
                    asked = {"target": f"{device.address}:{city.snmp_port}", "module": device.id}
                    async with session.get("/snmp", params=asked) as answer:
                        text = await answer.text()
                    assert answer.status == 200, text
                    assert "uptime" in text, text

            await asyncio.gather(*(work(1, place) for place in range(len(devices))))
            rounds = scrapes // AT_ONCE
            begin = _cpu_s(process.pid)
            await asyncio.gather(*(work(rounds, place * rounds) for place in range(AT_ONCE)))
            return (_cpu_s(process.pid) - begin) * 1_000 / (rounds * AT_ONCE)
    finally:
        process.terminate()
        await process.wait()


async def _listening(session: aiohttp.ClientSession) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < 10:
        try:
            async with session.get("/metrics") as answer:
                await answer.read()
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise TimeoutError("prometheus-snmp-exporter does not listen")


def _module(device: SimDevice) -> dict[str, Any]:
    """The exporter's configuration for one switch, as its generator would write it for version 0.21."""
    assert device.snmp is not None
    texts = {"description", "name"}
    return {
        "get": list(OBJECTS.values()),
        "metrics": [
            {"name": name, "oid": oid, "type": "DisplayString" if name in texts else "gauge", "help": name} for name, oid in OBJECTS.items()
        ],
        **_login(device),
    }


def _login(device: SimDevice) -> dict[str, Any]:
    assert device.snmp is not None
    snmp = device.snmp
    if snmp.version != "v3":
        return {"version": 2, "auth": {"community": snmp.community}}
    return {
        "version": 3,
        "auth": {
            "security_level": "authPriv",
            "username": snmp.user,
            "password": snmp.auth_key,
            "auth_protocol": snmp.auth_protocol,
            "priv_protocol": "AES",
            "priv_password": snmp.priv_key,
        },
    }


def _cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    print(asyncio.run(poll(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
