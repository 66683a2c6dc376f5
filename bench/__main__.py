"""`./gw bench NAME`: runs one measurement, prints it as JSON; ratios are taken side by side in one run, CPU is the kernel's own count."""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

BENCHES = {
    "health": "a check of a camera: the whole path, the driver alone, a bare protocol, onvif-zeep-async",
    "snmp": "a poll of six OIDs, v2c and v3, against Debian's prometheus-snmp-exporter",
    "api": "one device by id, against a bare aiohttp answer, idle and while the fleet is being checked",
    "simulators": "the simulated city: idle cost, SOAP answers for a second of CPU, the start of a city ten times as large",
    "outage": "half of a city ails: lateness of the healthy devices' checks, detection, and how soon all are verified that come back",
    "traps": "6,000 traps within 1.5 s: what is lost, what each costs, and whether the checks notice",
    "reports": "every kind of report over twelve months of 2,700 devices",
    "patience": "24 simulated hours of lost packets and pauses for the whole city: how many devices are called down that nothing ails",
    "schedules": "100,000 random schedules of broadcasts, losses, crashes, swaps: what was heard twice, late or elsewhere",
    "talk": "five people at the WebSocket of the whole daemon: how long a frame takes to a loudspeaker, and what a talker costs",
    "speech": "a text until it is ready for loudspeakers: anew, from memory, from the disk",
    "broadcast": "110 and 1,000 loudspeakers, UDP and TCP, all cores busy: evenness, skew, cost; order to sound; stop-all",
    "ledger": "100,000 broadcasts of a year: statistics, pages by every filter, an export",
    "desk": "100,000 random sequences of calls at the footage desk, and requests' pages amid a million custody rows",
    "deaths": "kill -9 of the pacer and of the daemon, 200 times each, amid broadcasts: what is heard twice or left unexplained",
    "export": "footage from a replay into hashed MP4 files: cost, speed, memory, every byte; against ffmpeg -c copy and sha256sum",
    "killed": "kill -9 of the process that exports footage, 100 times: what is lost, what is fetched again, which bytes differ",
    "coverage": "what recorders have of 12 cameras in 30 days: how long the answer takes, and whether it is true to the second",
    "evidence": "1,000 altered evidence packages, for verify, for the page in Chromium and for the printed commands: how many pass",
    "crash": "kill -9 of the daemon, 50 times, while it acknowledges writes",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./gw bench", description=__doc__)
    names = "\n".join(f"  {name:10} {what}" for name, what in BENCHES.items())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"benches:\n{names}"
    parser.add_argument("name", choices=BENCHES, metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    measured = importlib.import_module(f"bench.{options.name}").measure()
    report = json.dumps({"bench": options.name, **measured, "machine": machine()}, ensure_ascii=False)
    print(report, flush=True)
    if options.json is not None:
        with options.json.open("w", encoding="utf-8") as out:  # in place: FILE may be a pipe or a device
            out.write(report + "\n")
    return 0


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1m": round(os.getloadavg()[0], 2),
        "python": sys.version,  # with who built it: one without profile-guided optimisation takes a fifth longer
        "kernel": platform.release(),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
