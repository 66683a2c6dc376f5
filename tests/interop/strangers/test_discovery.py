"""The simulated devices are found by discovery clients that we did not write, in a network namespace that nothing leaves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulators import inventory
from simulators.city import City, plan

ROOT = Path(__file__).parents[3]
MODULES = [Path(__file__).parent / "node_modules", ROOT / ".tools" / "strangers" / "node_modules"]

SCENE = """
ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo src 127.0.0.1 || exit 77
"$1" -m simulators serve --city "$2" --only http --discovery lo >"$2.ready" &
server=$!
trap 'kill $server' EXIT
while ! grep -q ready "$2.ready"; do kill -0 $server || exit 1; done
shift 2
"$@"
"""
"""A namespace whose loopback does multicast: $1 Python, $2 the city, then the client and its arguments."""

NODE_ONVIF = """
require("node-onvif").startProbe().then(found =>
  console.log(JSON.stringify(found.map(one => ({urn: one.urn, xaddrs: one.xaddrs})))));
"""
ONVIF = """
const {Discovery} = require("onvif");
Discovery.on("error", () => {});
Discovery.probe({timeout: 3000, resolve: false}, (error, found) => {
  const matches = found.map(one => one.probeMatches.probeMatch);
  console.log(JSON.stringify(matches.map(one => ({urn: one.endpointReference.address, xaddrs: [one.XAddrs]}))));
  process.exit(0);
});
"""


@pytest.fixture
def city(tmp_path: Path) -> City:
    planned = plan(seed=4, groups=4, speakers=2, http_port=28080)
    inventory.write(planned, tmp_path)
    return planned


def modules(package: str) -> str:
    found = next((folder for folder in MODULES if (folder / package).is_dir()), None)
    if found is None or shutil.which("node") is None:
        pytest.skip(f"{package}: the npm package {package} is not installed")
    return str(found)


def in_a_namespace(folder: Path, *command: str, **environment: str) -> str:
    if os.geteuid() != 0:
        pytest.skip("unshare: a network namespace needs root")
    for program, part in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            pytest.skip(f"{part}: {part} is not installed")
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", SCENE, "scene", sys.executable, str(folder / "city.json"), *command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("unshare: network namespaces are not permitted here")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("package", "script"), [("node-onvif", NODE_ONVIF), ("onvif", ONVIF)])
def test_npm_packages_find_every_onvif_device(city: City, tmp_path: Path, package: str, script: str) -> None:
    found = json.loads(in_a_namespace(tmp_path, "node", "-e", script, NODE_PATH=modules(package)))
    addresses = [device.address for device in city.devices if device.kind != "switch"]
    assert {xaddr for one in found for xaddr in one["xaddrs"]} == {f"http://{one}:28080/onvif/device_service" for one in addresses}
    assert len({one["urn"] for one in found}) == len(addresses)


def test_the_gateway_finds_them_by_multicast_on_port_3702(city: City, tmp_path: Path) -> None:
    script = (
        "import asyncio; from gateway.clock import SystemClock; from gateway.drivers.onvif.discovery import discover\n"
        "for one in asyncio.run(discover(SystemClock(), listen_s=1.5)): print(one.address)"
    )
    found = in_a_namespace(tmp_path, sys.executable, "-c", script).split()
    assert sorted(found) == sorted(device.address for device in city.devices if device.kind != "switch")
