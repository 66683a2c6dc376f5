"""HTTPS of the simulated devices: the same services behind TLS, for clients that we did not write."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.city import City, SimDevice, plan
from simulators.serving import running
from simulators.state import State
from tests.simulators.street import envelope, free_ports, security


@pytest.fixture
async def city() -> AsyncIterator[City]:
    http, https, rtsp, snmp = free_ports(4)
    planned = replace(plan(seed=7, groups=8, speakers=2, http_port=http, rtsp_port=rtsp, snmp_port=snmp), https_port=https)
    async with running(planned, State(), control=("127.0.0.1", 0), only=("http",)):
        yield planned


def camera_of(city: City, vendor: str) -> SimDevice:
    return next(device for device in city.of_kind("camera") if device.vendor == vendor and device.auth == "wsse" and not device.lacks)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def post(city: City, device: SimDevice, body: bytes, context: ssl.SSLContext) -> tuple[bytes, ssl.SSLObject]:
    reader, writer = await asyncio.open_connection(device.address, city.https_port, ssl=context)
    writer.write(b"POST /onvif/device_service HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), 60)
    secure: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return answer, secure


async def test_a_device_answers_over_tls_and_names_its_addresses_there(city: City) -> None:
    device = camera_of(city, "HIKVISION")
    answer, secure = await post(city, device, envelope("<tds:GetCapabilities/>"), trusting())
    assert f"<tt:XAddr>https://{device.address}:{city.https_port}/onvif/".encode() in answer
    assert b"http://%b" % device.address.encode() not in answer
    assert secure.version() in ("TLSv1.2", "TLSv1.3")


async def test_a_signed_call_over_tls_says_that_tls_is_there(city: City) -> None:
    device = camera_of(city, "HIKVISION")
    login = security(device.username, device.password, State().device_time(device))
    protocols, _ = await post(city, device, envelope("<tds:GetNetworkProtocols/>", login), trusting())
    assert f"<tt:Name>HTTPS</tt:Name><tt:Enabled>true</tt:Enabled><tt:Port>{city.https_port}</tt:Port>".encode() in protocols
    capabilities, _ = await post(city, device, envelope("<tds:GetServiceCapabilities/>"), trusting())
    assert b'TLS1.2="true"' in capabilities


async def test_makers_have_certificates_of_their_own_and_devices_of_one_maker_share_one(city: City) -> None:
    shown = {}
    for vendor in ("HIKVISION", "Dahua"):
        _, secure = await post(city, camera_of(city, vendor), envelope("<tds:GetCapabilities/>"), trusting())
        shown[vendor] = secure.getpeercert(binary_form=True)
    _, again = await post(city, camera_of(city, "Dahua"), envelope("<tds:GetCapabilities/>"), trusting())
    assert shown["HIKVISION"] != shown["Dahua"] == again.getpeercert(binary_form=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        await post(city, camera_of(city, "Dahua"), b"", ssl.create_default_context())


async def test_curl_takes_a_picture_over_https(city: City, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl: curl is not installed")
    device, file = camera_of(city, "HIKVISION"), tmp_path / "picture.jpg"
    url = f"https://{device.address}:{city.https_port}/snapshot/main.jpg"
    arguments = ["-sSk", "--fail", "--digest", "--noproxy", "*", "-u", f"{device.username}:{device.password}", "-o", str(file), url]
    process = await asyncio.create_subprocess_exec("curl", *arguments)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert file.read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 100])
async def test_what_is_no_tls_is_closed_and_does_no_harm(city: City, said: bytes) -> None:
    device = camera_of(city, "HIKVISION")
    reader, writer = await asyncio.open_connection(device.address, city.https_port)
    writer.write(said)
    heard = await asyncio.wait_for(reader.read(), 60)
    assert not heard.startswith(b"HTTP")
    writer.close()
    assert (await post(city, device, envelope("<tds:GetCapabilities/>"), trusting()))[0].startswith(b"HTTP/1.1 200")


async def test_a_switch_has_no_https(city: City) -> None:
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await post(city, city.of_kind("switch")[0], envelope("<tds:GetCapabilities/>"), trusting())
