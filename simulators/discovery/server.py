"""The one WS-Discovery socket of the city: hears probes for all devices, and lets each answer from its own address, paced.

A probe to the multicast group is answered by every device that it means, each after a random delay, so that all together stay below
`ANSWERS_A_SECOND`; one to a device's own address is answered by that device at once. Nothing is kept for a device.
"""

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from simulators.city import City, SimDevice
from simulators.discovery import messages
from simulators.discovery.messages import Probe, Resolve, Words
from simulators.endpoint import reference_of
from simulators.faults import Answer
from simulators.http import is_loopback
from simulators.onvif.oddities import ENTRY, INNER, OTHER_ENTRY
from simulators.onvif.scopes import scopes_of
from simulators.snmp.pktinfo import IP_PKTINFO
from simulators.state import State

GROUP: Final = "239.255.255.250"
PORT: Final = 3702
ANSWERS_A_SECOND: Final = 1_000
MAX_DELAY_S: Final = 0.5
"""WS-Discovery's APP_MAX_DELAY: over how long even few answers are spread."""
TICK_S: Final = 0.01
QUESTIONS: Final = 8
"""How many multicast questions are being answered at a time; what comes beyond them is not heard."""
REMEMBERED: Final = 256
"""MessageIDs that are known: a question is sent several times, and answered once."""
BATCH: Final = 256
_HEAD: Final = socket.CMSG_SPACE(12)

Address = tuple[str, int]
Saying = Callable[[SimDevice], bytes]


@asynccontextmanager
async def listen(city: City, state: State, interface: str, *, port: int = PORT) -> AsyncIterator[int]:
    """Let all ONVIF devices be discovered on `interface` until the block ends; gives the port. They say Hello first and Bye at the end.

    Raises ValueError for an interface other than loopback outside a network namespace, OSError when the port is taken.
    """
    if interface != "lo" and not in_a_namespace():
        raise ValueError(f"devices are discovered on {interface!r} inside a network namespace only; the interface here is lo")
    sock = _bound(interface, port)
    with sock:
        async with asyncio.TaskGroup() as tasks:
            server = Discovery(city, state, sock, tasks, only_loopback=interface == "lo")
            asyncio.get_running_loop().add_reader(sock, server.drain)
            try:
                server.greet()
                yield server.port
            finally:
                asyncio.get_running_loop().remove_reader(sock)
                await server.close()


def in_a_namespace() -> bool:
    """Whether this process has a network of its own, apart from that of the machine's first process."""
    try:
        return Path("/proc/self/ns/net").readlink() != Path("/proc/1/ns/net").readlink()
    except OSError:
        return False


class Discovery:
    """`port`: where it listens."""

    def __init__(self, city: City, state: State, sock: socket.socket, tasks: asyncio.TaskGroup, *, only_loopback: bool) -> None:
        self._city, self._state, self._socket, self._tasks = city, state, sock, tasks
        self._devices = [device for device in city.devices if device.kind != "switch"]
        self._only_loopback = only_loopback
        self._chance = random.Random()
        self._known: dict[str, None] = {}
        self._under_way = set[asyncio.Task[None]]()
        self._instance = int(state.now())
        self._number = 0
        self.port: int = sock.getsockname()[1]
        state.discoverable = True
        state.at_reboot(self._rebooted)

    def greet(self) -> None:
        """All say Hello, spread over time."""
        self._start(self._spread(map(self._state.body, self._devices), self._saying(messages.hello), (GROUP, self.port)))

    async def close(self) -> None:
        """All say Bye, and nothing else any more."""
        self._state.discoverable = False
        for task in tuple(self._under_way):
            task.cancel()
        saying = self._saying(messages.bye)
        for device in map(self._state.body, self._devices):
            self._send(saying(device), device, (GROUP, self.port))

    def drain(self) -> None:
        """Hear what has come."""
        for _ in range(BATCH):
            try:
                data, control, _, peer = self._socket.recvmsg(messages.LIMIT_BYTES + 1, _HEAD)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if control and (is_loopback(peer[0]) or not self._only_loopback):
                self._hear(data, socket.inet_ntoa(control[0][2][8:12]), peer)

    # -- questions

    def _hear(self, data: bytes, local: str, peer: Address) -> None:
        asked = messages.read(data)
        if asked is None:
            return
        if (device := self._state.at(self._city, local)) is not None and device.kind != "switch":
            self._answer(asked, [device], peer, at_once=True)
        elif local == GROUP and asked.message_id not in self._known:
            self._known[asked.message_id] = None
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
            self._answer(asked, self._devices, peer, at_once=False)

    def _answer(self, asked: Probe | Resolve, devices: Sequence[SimDevice], peer: Address, *, at_once: bool) -> None:
        if isinstance(asked, Resolve):
            meant = [device for device in map(self._state.body, devices) if self._reference(device) == asked.reference]
            saying = self._saying(lambda said: messages.resolve_matches(said, asked.message_id))
        else:
            meant = [device for device in map(self._state.body, devices) if asked.finds(scopes_of(device))]
            saying = partial(self._match, message_id=asked.message_id)
        self._state.counters["discovery.questions"] += 1
        if at_once:
            for device in meant:
                self._send(saying(device), device, peer)
        else:
            self._start(self._spread(meant, saying, peer))

    def _match(self, device: SimDevice, message_id: str) -> bytes:
        echoes = self._state.quirk(device, "probe-echoes-message-id") is not None
        return (messages.probe_matches_echoing if echoes else messages.probe_matches)(self._words(device), message_id)

    # -- answers

    def _rebooted(self, rebooted: SimDevice) -> None:
        device = self._state.body(rebooted)
        if self._state.discoverable and device.kind != "switch":
            self._send(self._saying(messages.hello)(device), device, (GROUP, self.port))

    def _saying(self, message: Callable[[Words], bytes]) -> Saying:
        return lambda device: message(self._words(device))

    def _words(self, device: SimDevice) -> Words:
        self._number += 1
        quirk = self._state.quirk
        host = device.address if quirk(device, "inner-addresses") is None else INNER.decode()
        xaddrs = f"http://{host}:{self._city.http_port}{ENTRY if quirk(device, 'other-entry') is None else OTHER_ENTRY}"
        return Words(self._reference(device), scopes_of(device), xaddrs, self._instance + self._state.boots[device.id], self._number)

    def _reference(self, device: SimDevice) -> str:
        return reference_of(device, self._state)

    def _start(self, saying: Coroutine[Any, Any, None]) -> None:
        if len(self._under_way) >= QUESTIONS:
            saying.close()
            return
        task = self._tasks.create_task(saying, name="paced discovery")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _spread(self, devices: Iterable[SimDevice], saying: Saying, peer: Address) -> None:
        """Let devices speak in a random order, each at its own random moment."""
        order = list(devices)
        over_s = max(MAX_DELAY_S, len(order) / ANSWERS_A_SECOND)
        moments = sorted(((self._chance.uniform(0, over_s), device) for device in order), key=lambda due: due[0], reverse=True)
        begin = asyncio.get_running_loop().time()
        while moments:
            await asyncio.sleep(TICK_S)
            passed = asyncio.get_running_loop().time() - begin
            while moments and moments[-1][0] <= passed:
                device = moments.pop()[1]
                self._send(saying(device), device, peer)

    def _send(self, data: bytes, device: SimDevice, peer: Address) -> None:
        """From the device's own address, unless it is without power, line or voice; what does not fit into the socket is lost."""
        if self._state.troubled and self._state.fault(device).on("http")[0] in {Answer.SILENT, Answer.REFUSE}:
            return
        source = struct.pack("=i4s4s", 0, socket.inet_aton(device.address), b"\x00\x00\x00\x00")
        try:
            self._socket.sendmsg((data,), ((socket.IPPROTO_IP, IP_PKTINFO, source),), 0, peer)
        except OSError:
            self._state.counters["discovery.lost"] += 1


def _bound(interface: str, port: int) -> socket.socket:
    """A socket for `port` that is in the group on `interface`, and sends to the group there alone."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        membership = struct.pack("=4s4si", socket.inet_aton(GROUP), b"\x00\x00\x00\x00", socket.if_nametoindex(interface))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, membership)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.bind(("0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock
