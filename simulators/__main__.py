"""The command of the simulated city: `python -m simulators plan` writes one down, `python -m simulators serve` brings it to life.

`record` and `serve-recorded` take a real device into a folder and out of it again.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulators import city, inventory, serving
from simulators.faults import PROTOCOLS
from simulators.quirks import QuirkBook
from simulators.recorded import command
from simulators.traps import Sink


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 it went wrong, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except (OSError, ValueError) as error:
        print(f"simulators: {error}", file=sys.stderr)
        return 1


def _plan(options: argparse.Namespace) -> int:
    planned = city.plan(
        seed=options.seed,
        groups=options.groups,
        speakers=options.speakers,
        http_port=options.http_port,
        rtsp_port=options.rtsp_port,
        snmp_port=options.snmp_port,
        sip_port=options.sip_port,
        telephones=options.telephones,
    )
    if options.traps:
        planned = replace(planned, traps=options.traps)
    planned = replace(planned, https_port=options.https_port)
    if options.quirks == "models":
        planned = QuirkBook.load().dealt(planned)
    inventory.write(planned, options.out)
    print(
        f"{len(planned.groups)} groups, {len(planned.devices)} devices: {options.out}/inventory.yaml, cells.geojson, city.json",
        file=sys.stderr,
    )
    return 0


def _serve(options: argparse.Namespace) -> int:
    host, _, port = options.control.rpartition(":")
    planned, control = city.City.load(options.city), (host or "127.0.0.1", int(port))
    asyncio.run(serving.serve(planned, control=control, only=options.only, discovery=options.discovery))
    return 0


EXAMPLE = """example:
  python -m simulators plan --seed 7 --groups 2 --speakers 1 --out city
  python -m simulators serve --city city/city.json --control 127.0.0.1:28090     # says {"ready": true, …}; then, in another shell:
  curl http://127.0.0.1:28090/devices                                        # who is where; logins: city/inventory.yaml
  ffprobe -rtsp_transport tcp rtsp://USER:PASSWORD@127.16.0.1:18554/live/main
  snmpwalk -v2c -c COMMUNITY 127.64.0.2:18161 1.3.6.1.2.1.1
  curl -d '{"answer": "silent"}' http://127.0.0.1:28090/devices/CAM-0001-1/fault
  curl -d '{"seed": 1}' http://127.0.0.1:28090/scenarios/power-cut           # GET /scenarios lists them all
  curl 'http://127.0.0.1:28090/journal?since=0'                              # what was done to whom, and when

The first camera answers ONVIF at http://127.16.0.1:18080/onvif/device_service. docs/simulators.md has the rest:
faults, quirks, scenarios, what was heard by a loudspeaker, devices recorded and played back.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulators",
        description="A simulated city of ONVIF cameras, IP loudspeakers, recorders and SNMP switches, on loopback addresses.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLE,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _plan_options(
        commands.add_parser("plan", help="write a city and its inventory", description="Plan a city: the same seed gives the same files.")
    )
    _serve_options(
        commands.add_parser(
            "serve",
            help="let the city's devices answer",
            description="Serve every device on its own 127.x address. Prints one JSON line when all listen; ends on SIGTERM or Ctrl-C.",
        )
    )
    command.record_options(
        commands.add_parser(
            "record",
            help="record a real device",
            description="Ask a real device everything that only reads, and write its answers without their secrets.",
        )
    )
    command.serve_options(
        commands.add_parser(
            "serve-recorded",
            help="let a recorded device answer",
            description="Serve recorded answers under an address of their own. Prints one JSON line when it listens.",
        )
    )
    return parser


def _plan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="which city (%(default)s)")
    parser.add_argument("--groups", type=int, default=759, help="camera groups, 2.25 cameras each (%(default)s)")
    parser.add_argument("--speakers", type=int, default=110, help="loudspeakers (%(default)s)")
    parser.add_argument("--http-port", type=_port, default=18080, help="port of ONVIF and snapshots on every device (%(default)s)")
    parser.add_argument("--https-port", type=_port, default=0, help="port of the same over TLS; 0 for none (0)")
    parser.add_argument("--rtsp-port", type=_port, default=18554, help="port of RTSP on every device (%(default)s)")
    parser.add_argument("--snmp-port", type=_port, default=18161, help="port of SNMP (UDP) on every device (%(default)s)")
    parser.add_argument("--sip-port", type=_port, default=18560, help="port of SIP (UDP and TCP) on every telephone (%(default)s)")
    parser.add_argument("--telephones", type=int, default=0, help="so many of the loudspeakers speak SIP alone (%(default)s)")
    parser.add_argument("--traps", type=_sink, default="", metavar="HOST:PORT", help="where all notifications go; on loopback (nowhere)")
    parser.add_argument(
        "--quirks", choices=("none", "models"), default="none", help="each as odd as its model's profile says, or not (none)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for inventory.yaml, cells.geojson and city.json")


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--city", type=Path, required=True, help="the city.json that `plan` wrote")
    parser.add_argument(
        "--control", default="127.0.0.1:0", metavar="HOST:PORT", help="where the control API listens (127.0.0.1, a free port)"
    )
    parser.add_argument(
        "--only", type=_protocols, default=PROTOCOLS, metavar="http,rtsp,snmp,sip", help="serve these protocols only, to split a city (all)"
    )
    parser.add_argument(
        "--discovery",
        default="",
        metavar="INTERFACE",
        help="where devices are discovered (WS-Discovery): lo; another one in a netns only (nowhere)",
    )


def _port(value: str) -> int:
    port = int(value)
    if not 0 <= port < 65536:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _sink(value: str) -> str:
    try:
        return value and str(Sink.parse(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _protocols(value: str) -> tuple[str, ...]:
    chosen = tuple(value.split(","))
    if set(chosen) - set(PROTOCOLS):
        raise argparse.ArgumentTypeError(f"protocols are {', '.join(PROTOCOLS)}")
    return chosen


_COMMANDS = {"plan": _plan, "serve": _serve, "record": command.record, "serve-recorded": command.serve}

if __name__ == "__main__":
    sys.exit(main())
