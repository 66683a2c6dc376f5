"""Named gateways, keys that are missing, completion, and what `doctor` finds."""

import asyncio
import ipaddress
import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.ctl.commands.doctor import _certificate
from gateway.domain.access import Role
from gateway.domain.health import HealthState, Standing
from tests.api.house import CAMERA, House
from tests.ctl.running import gatewayctl


async def test_without_a_key_or_with_a_wrong_one_it_says_which(house: House, tmp_path: Path):
    none = await gatewayctl(None, "get", "zones", XDG_CONFIG_HOME=str(tmp_path))
    assert (none.code, "--key-file" in none.err) == (3, True)
    wrong = await gatewayctl(house, "get", "zones", GATEWAY_KEY="gwk_aaaa_" + "A" * 43)
    assert (wrong.code, "not known" in wrong.err) == (4, True)


async def test_a_named_gateway_needs_neither_address_nor_key(house: House, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(house.keys[Role.VIEWER] + "\n")
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    made = await gatewayctl(None, "context", "set", "demo", "--server", house.url, "--key-file", str(key), **home)
    assert made.code == 0
    assert stat.S_IMODE((tmp_path / "config/gatewayctl/contexts.yaml").stat().st_mode) == 0o600
    assert (await gatewayctl(None, "get", "zones", "-o", "json", **home)).code == 0
    listed = await gatewayctl(None, "context", "list", **home)
    assert listed.out.splitlines()[1].split()[:3] == ["*", "demo", house.url]
    assert house.keys[Role.VIEWER] not in listed.out + made.err


async def test_doctor_finds_nothing_wrong_where_nothing_is_and_names_what_is(house: House, tmp_path: Path):
    key = tmp_path / "key"
    key.write_text(house.keys[Role.VIEWER])
    key.chmod(0o644)
    house.services.board.put(Standing(CAMERA, HealthState.UP, datetime.now(UTC)))
    done = await gatewayctl(house, "--key-file", str(key), "doctor", "-o", "json")
    found = {one["check"]: one for one in json.loads(done.out)}
    assert (done.code, [name for name, one in found.items() if one["result"] == "fail"]) == (1, ["key file"])
    assert found["key file"]["next"] == f"chmod 600 {key}"
    assert f"chmod 600 {key}" in done.err
    assert {"server", "clock", "key", "database", "parts", "broker", "sight", "checks"} <= found.keys()
    assert {"ping", "open files", "espeak-ng", "Chinese fonts", "codecs"} <= found.keys(), "the gateway is on this machine"
    assert all(one["next"] for one in found.values() if one["result"] != "ok")
    key.chmod(0o600)
    done = await gatewayctl(house, "--key-file", str(key), "doctor", "--data", str(tmp_path))
    assert done.code == 0, done.out
    far = await gatewayctl(house, "--server", "http://127.0.0.1:1", "doctor", "--no-here", "-o", "json")
    assert far.code == 1
    assert [one["check"] for one in json.loads(far.out)] == ["answer"]
    assert "cannot be reached" in far.out


async def test_doctor_says_so_when_no_device_was_checked(house: House):
    none = await gatewayctl(house, "doctor", "--no-here", "-o", "json")
    found = {one["check"]: one["result"] for one in json.loads(none.out)}
    assert (none.code, found["checks"], found["database"]) == (1, "fail", "ok")


@pytest.mark.parametrize(("days", "result"), [(90, "ok"), (5, "warn"), (-1, "fail")])
async def test_doctor_says_how_long_a_certificate_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, result: str):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    _make_certificate(certificate, key, days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with server:
        found = await asyncio.to_thread(_certificate, "127.0.0.1", server.sockets[0].getsockname()[1])
    assert found.result == result, found
    assert (found.next == "") == (result == "ok")


def _make_certificate(certificate: Path, key: Path, *, days: int) -> None:
    now = datetime.now(UTC)
    begins, ends = now - timedelta(days=9), now + timedelta(days=days)
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number(), begins, ends)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


async def test_completion_completes(house: House):
    script = await gatewayctl(None, "completion", "bash")
    assert (script.code, "_GATEWAYCTL_COMPLETE" in script.out) == (0, True)
    env = {"_GATEWAYCTL_COMPLETE": "complete_bash", "COMP_WORDS": "gatewayctl foo", "COMP_CWORD": "1"}
    assert (await gatewayctl(None, **env)).out.split() == ["footage"]
