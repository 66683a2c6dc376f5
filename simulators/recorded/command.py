"""`python -m simulators record` and `serve-recorded`: a real device into a folder, and out of a folder again.

Passwords and communities come from the environment (SIMULATORS_PASSWORD, SIMULATORS_COMMUNITY) or are asked for: a command line can be
read by everybody on the machine.
"""

import argparse
import asyncio
import getpass
import os
import sys
from pathlib import Path
from typing import Final

from simulators import serving
from simulators.city import City, SimDevice, Snmp
from simulators.http import is_loopback
from simulators.recorded import recorder, snmp_walk
from simulators.recorded.client import Client
from simulators.recorded.secrets import Scrubber

PASSWORD, COMMUNITY = "SIMULATORS_PASSWORD", "SIMULATORS_COMMUNITY"
WALK: Final = "device.snmprec"
_SHORTEST_SECRET: Final = 4
"""A shorter password is not looked for in the answers: it would take half of them away."""


def record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", help="the device's address or name")
    parser.add_argument("--user", default="", help=f"who logs in; the password comes from {PASSWORD} or is asked for")
    parser.add_argument("--port", type=int, default=80, help="the port of its ONVIF (80)")
    parser.add_argument("--snmp", action="store_true", help=f"walk its SNMP v2c, too; the community comes from {COMMUNITY} or is asked for")
    parser.add_argument("--snmp-port", type=int, default=161, help="the port of its SNMP (161)")
    parser.add_argument("--hide-identity", action="store_true", help="blank serial numbers and hardware addresses, too")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a folder that does not exist yet, or is empty")


def serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="recorded answers: Op.Response.xml and Op.Error.xml, or OpResponse.xml and Fault.xml")
    parser.add_argument("--snmprec", type=Path, help=f"the recorded walk; {WALK} of the folder when it is there")
    parser.add_argument("--address", default="127.16.200.1", help="where it answers, on loopback (127.16.200.1)")
    parser.add_argument("--http-port", type=int, default=18080, help="port of ONVIF (18080)")
    parser.add_argument("--snmp-port", type=int, default=18161, help="port of SNMP (18161)")
    parser.add_argument("--user", default="", help=f"check logins for this user; the password comes from {PASSWORD} or is asked for")
    parser.add_argument("--control", default="127.0.0.1:0", metavar="HOST:PORT", help="where the control API listens")


def record(options: argparse.Namespace) -> int:
    """Record a device. Raises OSError, ValueError."""
    password = _secret(PASSWORD, f"Password of {options.user}: ") if options.user else ""
    client = Client(options.address, options.port, options.user, password)
    taken = recorder.Recorder(client, report=lambda line: print(line, file=sys.stderr)).take()
    hidden = (password,) if len(password) >= _SHORTEST_SECRET else ()
    scrubber = Scrubber.of([one.body for one in taken], secrets=hidden, hide_identity=options.hide_identity)
    recorder.write(taken, options.out, scrubber)
    print(f"{len(taken)} answers: {options.out}", file=sys.stderr)
    if options.snmp:
        community = _secret(COMMUNITY, "SNMP community: ")
        path = options.out / WALK
        texts = (*scrubber.secrets, *scrubber.identity)
        count = snmp_walk.record(options.address, options.snmp_port, community, path, hidden=texts, hide_identity=options.hide_identity)
        print(f"{count} objects: {path}", file=sys.stderr)
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serve a recording until SIGTERM or Ctrl-C. Raises OSError, ValueError."""
    host, _, port = options.control.rpartition(":")
    password = _secret(PASSWORD, f"Password of {options.user}: ") if options.user else ""
    city = city_of(
        options.folder,
        options.snmprec,
        address=options.address,
        ports=(options.http_port, options.snmp_port),
        login=(options.user, password),
    )
    only = ("http", "snmp") if city.devices[0].snmprec else ("http",)
    asyncio.run(serving.serve(city, control=(host or "127.0.0.1", int(port)), only=only))
    return 0


def city_of(
    folder: Path, snmprec: Path | None, *, address: str, ports: tuple[int, int], login: tuple[str, str] = ("", ""), community: str = ""
) -> City:
    """A city of one recorded device; `ports` of HTTP and SNMP. Its SNMP takes the community "public" unless told another."""
    if not is_loopback(address):
        raise ValueError(f"{address} is not on loopback: a recorded device answers on 127.0.0.0/8 alone")
    walk = snmprec or (folder / WALK if (folder / WALK).is_file() else None)
    device = SimDevice(
        id="RECORDED",
        kind="camera",
        name=folder.name,
        address=address,
        username=login[0],
        password=login[1],
        recording=str(folder),
        snmprec=str(walk or ""),
        snmp=Snmp(community=community or os.environ.get(COMMUNITY, "public")) if walk else None,
    )
    return City(0, ports[0], 0, ports[1], groups=(), devices=(device,))


def _secret(variable: str, prompt: str) -> str:
    return os.environ.get(variable) or getpass.getpass(prompt)
