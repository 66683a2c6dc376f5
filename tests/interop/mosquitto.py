"""A mosquitto with passwords, TLS and an ACL file, in a process of the test's own, that can be stopped and started again."""

import asyncio
import datetime
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demo.processes import free_port
from tests.waiting import until

USERS = {"gateway": "gate-Way 7", "platform": "plat-Form 9", "viewer": "view 3"}
EXAMPLE = Path(__file__).parents[2] / "configs" / "mosquitto"


@dataclass
class Mosquitto:
    """One broker. `ca` is the certificate of who signed its own."""

    folder: Path
    port: int
    ca: Path
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start it and return when it listens; what it kept of a former life is still there."""
        self._process = await asyncio.create_subprocess_exec(
            "mosquitto", "-c", str(self.folder / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
        )
        await until(self.listens)

    async def stop(self) -> None:
        """End it as a restart does: sessions and retained messages go to its disk."""
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)

    def client(self, user: str, *, identifier: str | None = None) -> aiomqtt.Client:
        """A client of some other program. With an identifier its session lasts."""
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            username=user,
            password=USERS[user],
            tls_context=self.tls(),
            identifier=identifier,
            clean_session=identifier is None,
        )

    async def listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def running(folder: Path, *, unacknowledged_max: int = 200, forbidden: str = "", more: str = "") -> AsyncIterator[Mosquitto]:
    """A broker of its own; skips the test where mosquitto is not installed.

    `unacknowledged_max`: what it sends a client at once; `forbidden`: a line that its ACL does not have; `more`: a line that its
    configuration has beside those of the example.
    """
    if shutil.which("mosquitto") is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("an MQTT broker: mosquitto is not installed")
    broker = _prepared(folder, unacknowledged_max, forbidden, more)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def _prepared(folder: Path, unacknowledged_max: int, forbidden: str, more: str) -> Mosquitto:
    """Its folder: certificates, passwords, ACL and configuration."""
    port = free_port(0)
    _make_certificates(folder)
    passwords = folder / "passwords"
    passwords.touch()
    for user, password in USERS.items():
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True)
    acl = (EXAMPLE / "acl").read_text()
    assert forbidden in acl
    (folder / "acl").write_text(acl.replace(forbidden, ""))
    example = (EXAMPLE / "mosquitto.conf").read_text()
    for there, here in (
        ("/etc/mosquitto/city-gateway/", f"{folder}/"),
        ("8883", f"{port} 127.0.0.1"),
        ("max_inflight_messages 200", f"max_inflight_messages {unacknowledged_max}"),
    ):
        assert there in example
        example = example.replace(there, here)
    example += f"{more}\npersistence true\npersistence_location {folder}/\n"  # as Debian's own mosquitto.conf says
    if os.geteuid() == 0:
        example += "user root\n"  # the folder is root's
    (folder / "mosquitto.conf").write_text(example)
    return Mosquitto(folder, port, folder / "ca.pem")


def _make_certificates(folder: Path) -> None:
    """A CA (`ca.pem`) and a server's certificate for 127.0.0.1 (`server.pem`, `server.key`)."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    only_ca = (x509.BasicConstraints(ca=True, path_length=0), True)
    here = (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    usage = (x509.KeyUsage(*([True] + [False] * 4 + [True, True, False, False])), True)
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    known_as = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), ca_key, [only_ca, usage, (known_as, False)])
    server = _certificate(name, ca_name, key.public_key(), ca_key, [here, (signed_by, False)])
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key.private_bytes(*private))


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())
