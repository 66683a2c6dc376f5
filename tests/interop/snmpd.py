"""net-snmp's agent as a foreign device: started on a loopback address of its own with users, communities and an engine id."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.processes import free_port
from gateway.domain.devices import Credentials, DeviceId, Ports, SnmpCredentials, SnmpVersion
from gateway.drivers.base import Target
from tests.waiting import until

AUTH_KEY = "authentication-1"
PRIV_KEY = "privacy-key-1"
DESCRIPTION = "a foreign agent"
USERS = {
    "md5des": ("MD5", "DES"),
    "shaaes": ("SHA", "AES"),
    "sha224": ("SHA-224", "AES"),
    "sha256": ("SHA-256", "AES"),
    "sha384": ("SHA-384", "AES"),
    "sha512": ("SHA-512", "AES"),
    "authonly": ("SHA", ""),
    "keyless": ("", ""),
}
_LEVELS = {(True, True): "authPriv", (True, False): "authNoPriv", (False, False): "noauth"}


class Snmpd:
    """One agent on `address`; `start` again after `stop` with another engine id makes it another engine at the same place."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self.address = address
        self.port = free_port(0)
        self._process: subprocess.Popen[bytes] | None = None

    def target(self, name: str = "agent", *, port: int | None = None, **snmp: str) -> Target:
        credentials = SnmpCredentials(**{"version": SnmpVersion.V2C, **snmp})
        return Target(DeviceId(name), self.address, Ports(snmp=port or self.port), Credentials(snmp=credentials))

    def user(self, user: str, **changed: str) -> Target:
        """The target for one of USERS, with the right keys unless `changed` says otherwise."""
        auth, priv = USERS.get(user, ("SHA", "AES"))
        settings = {"version": SnmpVersion.V3, "user": user, "auth_protocol": auth.replace("-", ""), "priv_protocol": priv}
        settings |= {"auth_key": AUTH_KEY if auth else "", "priv_key": PRIV_KEY if priv else ""}
        return self.target(f"{user}-{sorted(changed.items())}", **(settings | changed))

    async def start(self, *, engine_id: str = "the-first-engine") -> None:
        """Start the agent; return when it listens."""
        self._process = process = self._launch(engine_id)
        await until(lambda: self._listens() or process.poll() is not None)
        assert process.poll() is None, "snmpd ended at once"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def _launch(self, engine_id: str) -> subprocess.Popen[bytes]:
        state = self._folder / engine_id
        state.mkdir(exist_ok=True)
        configuration = self._folder / f"{engine_id}.conf"
        configuration.write_text(self._configuration(engine_id))
        environment = {"SNMP_PERSISTENT_DIR": str(state), "MIBS": "", "PATH": os.environ["PATH"]}
        command = [_program(), "-f", "-Lo", "-C", "-c", str(configuration), "-I", "-hr_fs,-hw_mem", "-p", str(self._folder / "pid")]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _listens(self) -> bool:
        """Whether the kernel has the agent's socket, local address first, in its table."""
        place = f"{int.from_bytes(socket.inet_aton(self.address), 'little'):08X}:{self.port:04X} 00000000:0000"
        return place in Path("/proc/net/udp").read_text()

    def _configuration(self, engine_id: str) -> str:
        lines = [
            f"agentAddress udp:{self.address}:{self.port}",
            "rocommunity public 127.0.0.0/8",
            "rwcommunity private 127.0.0.0/8",
            f"sysDescr {DESCRIPTION}",
            f"engineID {engine_id}",
        ]
        for user, (auth, priv) in USERS.items():
            keys = " ".join(filter(None, (auth, auth and AUTH_KEY, priv, priv and PRIV_KEY)))
            lines += [f"createUser {user} {keys}", f"rwuser {user} {_LEVELS[bool(auth), bool(priv)]}"]
        return "\n".join(lines) + "\n"


@contextmanager
def running(folder: Path, address: str) -> Iterator[Snmpd]:
    agent = Snmpd(folder, address)
    try:
        yield agent
    finally:
        agent.stop()


def _program() -> str:
    found = shutil.which("snmpd") or shutil.which("snmpd", path="/usr/sbin")
    if found is None:
        pytest.skip("net-snmp's agent: snmpd is not installed")
    return found
