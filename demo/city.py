"""Lays out a whole demo in one folder: the simulated city, and its inventory imported by the gateway's own door."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo import processes
from demo.alerts import write_alerts


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens: the gateway, the broker, the control of the simulators, the street's protocols, traps, the duty desk."""

    gateway: int
    mqtt: int
    control: int
    onvif: int
    rtsp: int
    snmp: int
    sip: int
    traps: int
    desk: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one demo and the files in it."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "gateway.yaml"

    @property
    def city(self) -> Path:
        return self.folder / "city" / "city.json"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


USUAL_PORT = 8080
TELEPHONES_ONE_IN = 11
"""So many loudspeakers to one that speaks SIP alone."""
USUAL_INTERVAL_S = 30.0


def choose_ports(gateway: int) -> Ports:
    """The usual ports beside the usual gateway port, or free ones where those are taken; beside another one, any that are free."""
    free = processes.free_port
    usual = {"mqtt": 1883, "control": 8090, "onvif": 8899, "rtsp": 8554, "snmp": 1161, "sip": 5060, "traps": 1162, "desk": 8091}
    return Ports(gateway=free(gateway), **{name: free(port if gateway == USUAL_PORT else 0) for name, port in usual.items()})


async def plan(layout: Layout, ports: Ports, *, seed: int, groups: int, speakers: int) -> None:
    """Have the simulators plan their city."""
    await processes.run(
        *("simulators", "plan", "--seed", str(seed), "--groups", str(groups), "--speakers", str(speakers)),
        *("--http-port", str(ports.onvif), "--rtsp-port", str(ports.rtsp), "--snmp-port", str(ports.snmp)),
        *("--sip-port", str(ports.sip), "--telephones", str(speakers // TELEPHONES_ONE_IN)),
        *("--traps", f"127.0.0.1:{ports.traps}"),
        *("--out", str(layout.city.parent)),
        log=layout.log("plan"),
    )


async def prepare(layout: Layout, ports: Ports, health: Mapping[str, float]) -> str:
    """Write the gateway's configuration, import grid and inventory by its own door, and make the first key: an administrator's."""
    layout.config.write_text(_configuration(layout, ports, health), encoding="utf-8")
    config = ("--config", str(layout.config))
    files = (str(layout.city.with_name("cells.geojson")), str(layout.city.with_name("inventory.yaml")))
    await processes.run("gateway", "import", *config, *files, log=layout.log("import"))
    return (await processes.output("gateway", "create-key", *config, "--role", "admin", "--name", "demo admin")).strip()


def _configuration(layout: Layout, ports: Ports, health: Mapping[str, float]) -> str:
    data = layout.folder / "data"
    data.mkdir(exist_ok=True)
    settings = "".join(f"\n  {name}: {value:g}" for name, value in health.items())
    return f"""\
# The demo's configuration; every key is explained in configs/gateway.yaml.
store: sqlite:///{data}/gateway.db
data_dir: {data}
alerts_file: {write_alerts(layout.folder, ports.desk, interval_s=health.get("interval_s", USUAL_INTERVAL_S))}
key_file: {data}/store.key
http:
  host: 127.0.0.1
  port: {ports.gateway}
mqtt:
  url: mqtt://127.0.0.1:{ports.mqtt}
  version: "3.1.1"
broadcast:
  hours_file: {speaking_hours(layout.folder)}
traps:
  host: 127.0.0.1
  port: {ports.traps}
{f"health:{settings}" if settings else ""}
"""


def speaking_hours(folder: Path) -> Path:
    """A file of speaking hours for a city of which nobody sleeps: the demo is to be heard at any hour."""
    path = folder / "quiet-hours.yaml"
    path.write_text("# The demo is heard at any hour; every key is explained in configs/quiet-hours.yaml.\nquiet: []\n", encoding="utf-8")
    return path


def totals(layout: Layout) -> dict[str, int]:
    """How many groups and devices of each kind the simulated city really has."""
    city = json.loads(layout.city.read_text(encoding="utf-8"))
    kinds = [device["kind"] for device in city["devices"]]
    names = {"cameras": "camera", "speakers": "speaker", "recorders": "recorder", "switches": "switch"}
    return {"groups": len(city["groups"])} | {plural: kinds.count(kind) for plural, kind in names.items()}


def first(layout: Layout, kind: str) -> str:
    """The id of the first device of a kind."""
    city = json.loads(layout.city.read_text(encoding="utf-8"))
    return next(str(device["id"]) for device in city["devices"] if device["kind"] == kind)


def watched(layout: Layout) -> str:
    """A camera on the pole of the first loudspeaker, which is heard where it looks."""
    city = json.loads(layout.city.read_text(encoding="utf-8"))
    pole = next(device["group"] for device in city["devices"] if device["kind"] == "speaker")
    return next(str(device["id"]) for device in city["devices"] if device["kind"] == "camera" and device["group"] == pole)


def camera_with_footage(layout: Layout) -> str:
    """A camera whose recorder has no gaps on its channel, so that a request for it can be fulfilled whole."""
    city = json.loads(layout.city.read_text(encoding="utf-8"))
    recorders = [device for device in city["devices"] if device["kind"] == "recorder"]
    channels = [channel for recorder in recorders for channel in recorder.get("channels", ()) if not channel.get("gappy")]
    camera: str = channels[0]["camera"]
    return camera


def uplinks(layout: Layout) -> dict[str, str]:
    """The switch on which each device hangs, "" for none."""
    city = json.loads(layout.city.read_text(encoding="utf-8"))
    return {device["id"]: device.get("uplink", "") for device in city["devices"]}


def inventory_row(layout: Layout, device: str) -> str:
    """An import file with one device of the inventory."""
    lines = layout.city.with_name("inventory.yaml").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f'  - {{id: "{device}", kind:'))
    return f"version: 1\ncoordinates: WGS-84\ndevices:\n{row}\n"


def elsewhere(row: str) -> str:
    """The same device at another port, at which nobody is."""
    return re.sub(r"onvif_port: \d+", "onvif_port: 9", row, count=1)
