"""Not being able to listen, told so that a person knows what to do."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import Conflict

_WHY = {
    errno.EADDRINUSE: ("in use by another program", "stop the other program, or set http.port"),
    errno.EADDRNOTAVAIL: ("not an address of this machine", "set http.host to one of its own, to 0.0.0.0 or to ::"),
    errno.EACCES: ("not ours to listen on", "set http.port to 1024 or above"),
}


async def must_be_free(host: str, port: int) -> None:
    """Return when `port` of `host` can be listened on; Conflict (`cannot-listen`) when it cannot."""
    with telling_listening_errors(host, port):
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
        server.close()


@contextmanager
def telling_listening_errors(host: str, port: int) -> Iterator[None]:
    """Turn the system's refusal to listen into Conflict (`cannot-listen`) with a hint; any other error passes."""
    try:
        yield
    except socket.gaierror as error:
        raise Conflict(f"the host name {host!r} is not known here", code="cannot-listen", hint="see http.host") from error
    except OSError as error:
        if error.errno not in _WHY:
            raise
        why, hint = _WHY[error.errno]
        raise Conflict(f"port {port} of {host} is {why}", code="cannot-listen", hint=hint) from error
