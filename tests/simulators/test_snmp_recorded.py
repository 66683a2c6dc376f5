"""Recorded devices: the reader of `.snmprec` files, and recordings of real devices served over the wire."""

from pathlib import Path

import pytest
from gufo.snmp import SnmpVersion
from gufo.snmp.aio import SnmpSession

from simulators.snmp.recorded import recorded_device
from tests.simulators.snmp_block import SWITCH, snmp_block

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "snmp"
LINES = (
    "1.3.6.1.2.1.1.1.0|4|text with | a bar\n"
    "1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.36849.1.2.64\n"
    "1.3.6.1.2.1.1.3.0|67|4294967295\n"
    "1.3.6.1.2.1.1.5.0|4x|00ff\n"
    "# a remark\n"
    "1.3.6.1.2.1.2.2.1.10.2|65|7\n"
    "1.3.6.1.2.1.2.2.1.10.10|65|8\n"
    "1.3.6.1.2.1.4.20.1.1.10.0.0.1|64|10.0.0.1\n"
    "1.3.6.1.2.1.4.20.1.3.10.0.0.1|64x|ffffff00\n"
    "1.3.6.1.2.1.31.1.1.1.6.1|70|18446744073709551615\n"
    "1.3.6.1.4.1.9.1.0|2|-5\n"
)


async def walk(path: Path) -> dict[str, object]:
    """What gufo-snmp gets from a device that plays the recording."""
    async with (
        snmp_block({SWITCH.id: recorded_device(path)}) as block,
        SnmpSession(SWITCH.address, block.server.port, "c1ty", version=SnmpVersion.v2c, timeout=5) as session,
    ):
        return {name: value async for name, value in session.fetch("1.3")}


async def test_every_type_is_served_as_it_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "device.snmprec"
    path.write_text(LINES)
    assert await walk(path) == {
        "1.3.6.1.2.1.1.1.0": b"text with | a bar",
        "1.3.6.1.2.1.1.2.0": "1.3.6.1.4.1.36849.1.2.64",
        "1.3.6.1.2.1.1.3.0": 4294967295,
        "1.3.6.1.2.1.1.5.0": b"\x00\xff",
        "1.3.6.1.2.1.2.2.1.10.2": 7,
        "1.3.6.1.2.1.2.2.1.10.10": 8,
        "1.3.6.1.2.1.4.20.1.1.10.0.0.1": "10.0.0.1",
        "1.3.6.1.2.1.4.20.1.3.10.0.0.1": "255.255.255.0",
        "1.3.6.1.2.1.31.1.1.1.6.1": 18446744073709551615,
        "1.3.6.1.4.1.9.1.0": -5,
    }


@pytest.mark.parametrize("line", ["no bars", "1.3.6|99|x", "1.3.6.x|2|1", "1.3.6.1|2|many", "1.3.6.1|4x|0g", "1|2|3", "1.3|2|3\n1.3|2|4"])
def test_a_recording_that_cannot_be_read_says_where(tmp_path: Path, line: str) -> None:
    path = tmp_path / "device.snmprec"
    path.write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"line 1|twice"):
        recorded_device(path)


@pytest.mark.parametrize("name", ["hikvision-network-video-recorder", "metel-poe-box", "samsung-ipolis"])
async def test_a_real_device_is_walked_to_its_end(name: str) -> None:
    path = RECORDINGS / f"{name}.snmprec"
    if not path.exists():
        pytest.skip(f"recorded devices: {path.name} is not beside the checkout")
    recorded = [line.split(b"|")[0].decode() for line in path.read_bytes().split(b"\n") if line]
    assert list(await walk(path)) == recorded
