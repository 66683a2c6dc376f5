"""The power of a switch's ports (RFC 3621)."""

from collections.abc import Callable
from typing import Final

from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import Assignment, Oid, PollEngine, Syntax, WriteEngine
from gateway.errors import NotSupported

ADMIN_ENABLE: Final = "1.3.6.1.2.1.105.1.1.1.3"  # pethPsePortAdminEnable
_ON, _OFF = 1, 2  # TruthValue


class PortPower:
    """Switches the power of ports by `writer`, reading by `reader`. `writing`: a target with the login that may write."""

    def __init__(self, reader: PollEngine, writer: Callable[[], WriteEngine]) -> None:
        self._reader = reader
        self._writer = writer

    async def find(self, switch: Target, port: int, *, timeout_s: float) -> Oid:
        """The object that has the power of `port`. Raises NotSupported: no such (`no-port-power`), or several (`port-ambiguous`)."""
        rows = await self._reader.walk(switch, ADMIN_ENABLE, timeout_s=timeout_s)
        found = [index for index, _ in rows if index.rpartition(".")[2] == str(port)]
        if not found:
            raise NotSupported(f"{switch.device} gives no power at its port {port}", code="no-port-power", hint="see uplink_port")
        if len(found) > 1:
            raise NotSupported(
                f"{switch.device} has the port {port} in {len(found)} groups",
                code="port-ambiguous",
                hint="a stack: ports are not told apart",
            )
        return f"{ADMIN_ENABLE}.{found[0]}"

    async def is_on(self, switch: Target, port: Oid, *, timeout_s: float) -> bool:
        """Whether the port may give power."""
        reply = await self._reader.get(switch, (port,), timeout_s=timeout_s)
        return reply.values[port] == _ON

    async def set(self, writing: Target, port: Oid, *, on: bool, timeout_s: float) -> None:
        """Switch the power of a port on or off; on DeadlineExceeded the outcome is not known."""
        await self._writer().set(writing, [Assignment(port, Syntax.INTEGER, _ON if on else _OFF)], timeout_s=timeout_s)
