"""HTTPS for the simulated devices: a self-signed certificate a maker, made when somebody first asks, and TLS around an HTTP connection.

asyncio gives each TLS connection a buffer of 256 KiB; cameras get 16 KiB, the largest record that TLS has (RFC 8446 §5.1).
"""

import asyncio
import ssl
import tempfile
from asyncio import sslproto
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulators.city import City
from simulators.http import Behaviour, Host, Later, Lookup, Request, Response, is_loopback
from simulators.state import State

HANDSHAKE_S: Final = 10
VALID: Final = timedelta(days=3650)

ContextOf = Callable[[str], ssl.SSLContext | None]


class Certificates:
    """What the devices at local addresses show to whoever comes by TLS: each its maker's."""

    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context_of(self, address: str) -> ssl.SSLContext | None:
        """None where nothing speaks HTTP."""
        device = self._state.at(self._city, address)
        if device is None or device.kind == "switch":
            return None
        if device.vendor not in self._contexts:
            self._contexts[device.vendor] = _context(device.vendor)
        return self._contexts[device.vendor]


def _context(maker: str) -> ssl.SSLContext:
    """TLS 1.2 and later with a new key on the curve P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{maker} (simulated)")])
    made = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(made)
        .not_valid_after(made + VALID)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:  # a context takes its key from a file only
        file = Path(folder) / "device.pem"
        file.touch(mode=0o600)
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(file)
    return context


# -- connections ------------------------------------------------------------------------------------------------------


class _Records(sslproto.SSLProtocol):
    max_size = 16 * 1024


class Greeter(asyncio.Protocol):
    """Takes a connection, and hands it over to TLS with the certificate of the device that was reached."""

    def __init__(self, inner: Callable[[], asyncio.Protocol], context_of: ContextOf) -> None:
        self._inner, self._context_of = inner, context_of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        context = self._context_of(local[0]) if peer and is_loopback(peer[0]) else None
        if context is None:
            transport.abort()
            return
        secure = _Records(
            asyncio.get_running_loop(),
            self._inner(),
            context,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            call_connection_made=True,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        transport.set_protocol(secure)
        secure.connection_made(transport)


# -- what is served ---------------------------------------------------------------------------------------------------


def secured(lookup: Lookup, city: City) -> Lookup:
    """The same devices, which name their HTTPS addresses in their answers."""

    def found(address: str) -> Host | None:
        host = lookup(address)
        return None if host is None else _Secure(host, address, city)

    return found


class _Secure:
    """A device as it is behind TLS."""

    __slots__ = ("_ours", "_plain", "host")

    def __init__(self, host: Host, address: str, city: City) -> None:
        self.host = host
        self._plain = f"http://{address}:{city.http_port}/".encode()
        self._ours = f"https://{address}:{city.https_port}/".encode()

    def welcomes(self) -> bool:
        return self.host.welcomes()

    def behaviour(self, request: Request) -> Behaviour | None:
        return self.host.behaviour(request)

    def answer(self, request: Request) -> Response | Later:
        answer = self.host.answer(request)
        return self._named(answer) if isinstance(answer, Response) else self._later(answer)

    async def _later(self, answer: Later) -> Response:
        return self._named(await answer)

    def _named(self, answer: Response) -> Response:
        if self._plain not in answer.body:
            return answer
        return Response(answer.status, answer.body.replace(self._plain, self._ours), answer.content_type, answer.headers)
