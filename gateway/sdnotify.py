"""Tells systemd how the daemon fares (sd_notify(3)): ready, stopping, status, and the watchdog's pings."""

import os
import socket

from gateway.clock import Clock


def notify(message: str) -> bool:
    """Send one datagram such as `READY=1`; False when no service manager listens or it does not take it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval_s() -> float | None:
    """How often to ping (half of WATCHDOG_USEC), or None when no watchdog is set for this process."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2_000_000


async def ping_watchdog(clock: Clock) -> None:
    """Ping for as long as the loop turns; a blocked loop stops the pings, and systemd restarts the daemon."""
    interval = watchdog_interval_s()
    while True:
        notify("WATCHDOG=1")
        await clock.sleep(interval or 3600.0)
