"""Brings a planned city to life in one process: its protocols, its control API, and a clean end."""

import asyncio
import gc
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from simulators import http
from simulators.city import City
from simulators.control import Control
from simulators.faults import PROTOCOLS
from simulators.onvif.site import Site
from simulators.recorded.folder import Recording
from simulators.snmp.recorded import recorded_device
from simulators.state import State


async def serve(city: City, *, control: tuple[str, int], only: Sequence[str] = PROTOCOLS, discovery: str = "") -> None:
    """Serve until SIGTERM or SIGINT; prints one JSON line, the ports, when all listen. Raises OSError when one is taken."""
    check_recordings(city)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    http.raise_file_limit()
    async with running(city, State(), control=control, only=only, discovery=discovery) as ports:
        gc.freeze()  # the plan stays as it is: nothing in it will ever be garbage
        print(json.dumps({"ready": True, "devices": len(city.devices), **ports}), flush=True)
        await stop.wait()


def check_recordings(city: City) -> None:
    """Read what devices play of recordings, so that a wrong one is said before anything listens. Raises OSError, ValueError."""
    for device in city.devices:
        if device.recording:
            Recording.load(Path(device.recording))
        if device.snmprec:
            recorded_device(Path(device.snmprec))


@asynccontextmanager
async def running(
    city: City, state: State, *, control: tuple[str, int], only: Sequence[str] = PROTOCOLS, discovery: str = ""
) -> AsyncIterator[dict[str, int]]:
    """The city answering for the duration; gives the ports by name ("control", "http", …). Ends in the opposite order.

    `discovery`: the interface on which devices are discovered, "" for none.
    """
    async with AsyncExitStack() as stack:
        answers = Control(city, state)
        host, port = control
        ports = {"control": await stack.enter_async_context(http.listen(lambda _: answers, host=host, port=port))}
        for protocol in only:
            await _SERVERS[protocol](city, state, stack)
            ports[protocol] = getattr(city, f"{protocol}_port")
        if city.https_port and "http" in only:
            ports["https"] = city.https_port
        if discovery:
            from simulators.discovery import server as wsd  # noqa: PLC0415 -- for those who ask for it

            ports["discovery"] = await stack.enter_async_context(wsd.listen(city, state, discovery))
        yield ports


async def _http(city: City, state: State, stack: AsyncExitStack) -> None:
    site = Site(city, state)
    await stack.enter_async_context(http.listen(site.lookup, port=city.http_port))
    if city.https_port:
        from simulators import tls  # noqa: PLC0415 -- brings cryptography, for those who ask for it

        around = partial(tls.Greeter, context_of=tls.Certificates(city, state).context_of)
        await stack.enter_async_context(http.listen(tls.secured(site.lookup, city), port=city.https_port, around=around))


async def _rtsp(city: City, state: State, stack: AsyncExitStack) -> None:
    from simulators.rtsp import server as rtsp  # noqa: PLC0415 -- brings PyAV, which the other protocols do without

    await stack.enter_async_context(rtsp.serve(city, city.rtsp_port, state))


async def _snmp(city: City, state: State, stack: AsyncExitStack) -> None:
    from simulators.snmp import server as snmp  # noqa: PLC0415 -- brings cryptography, which the other protocols do without

    await stack.enter_async_context(snmp.serve(city, city.snmp_port, state))


async def _sip(city: City, state: State, stack: AsyncExitStack) -> None:
    if city.sip_port:
        from simulators.sip import server as sip  # noqa: PLC0415 -- for cities with telephones

        await stack.enter_async_context(sip.serve(city, city.sip_port, state))


_SERVERS: Final = {"http": _http, "rtsp": _rtsp, "snmp": _snmp, "sip": _sip}
