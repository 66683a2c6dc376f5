"""The agents over real sockets, asked by gufo-snmp and pysnmp, and by datagrams made by hand where those are too polite."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from gufo.snmp import Aes128Key, Md5Key, Sha1Key, Sha256Key, SnmpVersion, User
from gufo.snmp.aio import SnmpSession
from pyasn1.type.univ import ObjectIdentifier
from pysnmp.hlapi.v1arch.asyncio import CommunityData, SnmpDispatcher, UdpTransportTarget, get_cmd, next_cmd, set_cmd
from pysnmp.proto.rfc1902 import Integer, Null, ObjectName, OctetString

from simulators.cabinet import Cabinet
from simulators.city import SimDevice
from simulators.faults import Answer as Ailment
from simulators.faults import Fault
from simulators.heard import HeardSession
from simulators.snmp import ber
from simulators.snmp.ber import Reader
from tests.simulators.snmp_block import (
    AGGREGATION,
    BRANCH,
    CAMERA,
    MD5_AES_SWITCH,
    MD5_SWITCH,
    OLD_SWITCH,
    RECORDER,
    SHA256_SWITCH,
    SPEAKER,
    SWITCH,
    Block,
    snmp_block,
)

NAME = "1.3.6.1.2.1.1.5.0"
UPTIME = "1.3.6.1.2.1.1.3.0"
IF_STATUS = "1.3.6.1.2.1.2.2.1.8"
POE_STATUS = "1.3.6.1.2.1.105.1.1.1.6.1"


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with snmp_block() as running:
        yield running


def session(block: Block, target: SimDevice, **more: Any) -> SnmpSession:
    settings = target.snmp
    assert settings is not None
    if settings.version == "v3":
        auth = {"": None, "MD5": Md5Key, "SHA": Sha1Key, "SHA256": Sha256Key}[settings.auth_protocol]
        priv = Aes128Key(settings.priv_key.encode()) if settings.priv_key else None
        user = User(settings.user, auth_key=auth and auth(settings.auth_key.encode()), priv_key=priv)
        return SnmpSession(target.address, block.server.port, user=user, version=SnmpVersion.v3, timeout=5, **more)
    version = SnmpVersion.v1 if settings.version == "v1" else SnmpVersion.v2c
    return SnmpSession(target.address, block.server.port, settings.community, version=version, timeout=5, **more)


async def walk(block: Block, target: SimDevice, root: str) -> dict[str, Any]:
    async with session(block, target) as asking:
        return {name: value async for name, value in asking.fetch(root)}


Found = tuple[int, int, dict[str, Any]]


async def by_pysnmp(block: Block, target: SimDevice, *names: str, command: Any = get_cmd, model: int = 1) -> Found:
    """Error status, error index and values, by the reference engine."""
    assert target.snmp is not None
    login = CommunityData(target.snmp.community, mpModel=model)
    with SnmpDispatcher() as engine:
        transport = await UdpTransportTarget.create((target.address, block.server.port), timeout=5, retries=0)
        bindings = [(ObjectName(name), Null("")) for name in names]
        error, status, index, found = await command(engine, login, transport, *bindings, lookupMib=False)
    assert error is None
    return int(status), int(index), {str(name): value for name, value in found}


# -- who gets an answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [SWITCH, OLD_SWITCH, BRANCH, MD5_SWITCH, AGGREGATION, SHA256_SWITCH, MD5_AES_SWITCH],
                         ids=["v2c", "v1", "noAuthNoPriv", "MD5", "SHA-AES", "SHA256-AES", "MD5-AES"])  # fmt: skip
async def test_every_version_and_security_level_answers_gufo(block: Block, target: SimDevice) -> None:
    async with session(block, target) as asking:
        assert await asking.get(NAME) == target.id.encode()
    assert block.state.counters["snmp.authentic.switch"] >= 1


async def test_pysnmp_and_gufo_get_the_same_values(block: Block) -> None:
    async with session(block, SWITCH) as asking:
        names = [name async for name, _ in asking.fetch("1.3.6.1.2.1")]
        ours = await asking.get_many(names[:60])
    _, _, theirs = await by_pysnmp(block, SWITCH, *names[:60])
    plain = {name: bytes(value) if isinstance(value, OctetString) else value for name, value in theirs.items()}
    assert {name: str(value) if isinstance(value, ObjectIdentifier) else value for name, value in plain.items()} == ours


async def test_a_wrong_community_meets_silence_and_is_counted(block: Block) -> None:
    assert await block.is_silent(SWITCH, get(NAME, community="wrong"))
    assert block.state.counters["snmp.bad_community.switch"] == 1
    assert block.state.counters["snmp.authentic.switch"] == 0


async def test_communities_mean_nothing_to_a_v3_device_and_v2c_nothing_to_a_v1_one(block: Block) -> None:
    assert await block.is_silent(AGGREGATION, get(NAME, community=""))
    assert await block.is_silent(OLD_SWITCH, get(NAME, version=1))


async def test_a_silent_device_and_a_healed_one(block: Block) -> None:
    block.state.faults[SWITCH.id] = Fault(answer=Ailment.SILENT)
    assert await block.is_silent(SWITCH, get(NAME))
    block.state.faults[SWITCH.id] = Fault(answer=Ailment.SILENT, protocols=("http",))
    assert SWITCH.id.encode() in await block.ask(SWITCH, get(NAME))


async def test_a_truncated_answer_is_no_ber(block: Block) -> None:
    block.state.faults[SWITCH.id] = Fault(answer=Ailment.TRUNCATED)
    data = await block.ask(SWITCH, get(NAME))
    with pytest.raises(ber.Malformed):
        Reader(data).element()


# -- what is answered -------------------------------------------------------------------------------------------------


async def test_absent_objects_and_instances_are_told_apart(block: Block) -> None:
    _, _, found = await by_pysnmp(block, SWITCH, "1.3.6.1.2.1.1.5.1", "1.3.6.1.2.1.99.1.0", NAME)
    assert [type(value).__name__ for value in found.values()] == ["NoSuchInstance", "NoSuchObject", "OctetString"]


async def test_v1_names_the_absent_object_and_gives_none(block: Block) -> None:
    status, index, _ = await by_pysnmp(block, OLD_SWITCH, NAME, "1.3.6.1.2.1.99.1.0", model=0)
    assert (status, index) == (2, 2)


async def test_v1_does_not_see_64_bit_counters(block: Block) -> None:
    status, _, _ = await by_pysnmp(block, OLD_SWITCH, "1.3.6.1.2.1.31.1.1.1.6.1", model=0)
    assert status == 2
    _, _, found = await by_pysnmp(block, OLD_SWITCH, "1.3.6.1.2.1.31.1.1.1.1.8", command=next_cmd, model=0)
    assert list(found) == ["1.3.6.1.2.1.31.1.1.1.14.1"]


async def test_the_end_of_the_objects_is_said(block: Block) -> None:
    _, _, found = await by_pysnmp(block, SWITCH, "1.3.6.1.7", command=next_cmd)
    assert [type(value).__name__ for value in found.values()] == ["EndOfMibView"]


async def test_nothing_can_be_written(block: Block) -> None:
    async def written(name: str) -> int:
        assert SWITCH.snmp is not None
        with SnmpDispatcher() as engine:
            transport = await UdpTransportTarget.create((SWITCH.address, block.server.port), timeout=5, retries=0)
            values = ((ObjectName(name), Integer(1)),)
            _, status, _, _ = await set_cmd(engine, CommunityData(SWITCH.snmp.community), transport, *values, lookupMib=False)
            return int(status)

    assert await written(NAME) == 17  # notWritable
    assert await written("1.3.6.1.9.9.0") == 6  # noAccess


async def test_what_does_not_fit_is_too_big_for_get_and_cut_for_getbulk(block: Block) -> None:
    status, _, _ = await by_pysnmp(block, SWITCH, *["1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.6.0"] * 30)
    assert status == 1
    answer = await block.ask(SWITCH, bulk("1.3.6.1.2.1", repetitions=500))
    assert 1300 < len(answer) <= 1472
    assert len(bindings_of(answer)) > 40


async def test_getbulk_repeats_columns_after_the_non_repeaters(block: Block) -> None:
    answer = await block.ask(SWITCH, bulk("1.3.6.1.2.1.1.4", IF_STATUS, POE_STATUS, non_repeaters=1, repetitions=3))
    names = [".".join(map(str, name)) for name, _ in bindings_of(answer)]
    expected = [NAME.replace("1.5.0", "1.4.0")]
    for port in (1, 2, 3):
        expected += [f"{IF_STATUS}.{port}", f"{POE_STATUS}.{port}"]
    assert names == expected


async def test_a_walk_visits_every_object_once_and_in_order(block: Block) -> None:
    async with session(block, AGGREGATION) as asking:
        names = [tuple(map(int, name.split("."))) async for name, _ in asking.fetch("1.3")]
    assert names == sorted(set(names))
    assert sum(name[:-1] == (1, 3, 6, 1, 2, 1, 2, 2, 1, 8) for name in names) == 24


# -- what it means ----------------------------------------------------------------------------------------------------


async def test_the_ports_of_a_switch_follow_what_hangs_on_them(block: Block) -> None:
    """Camera on port 1, loudspeaker on port 5, the uplink last."""
    status = await walk(block, SWITCH, IF_STATUS)
    power = await walk(block, SWITCH, POE_STATUS)
    assert [status[f"{IF_STATUS}.{port}"] for port in range(1, 9)] == [1, 2, 2, 2, 1, 2, 2, 1]
    assert [power[f"{POE_STATUS}.{port}"] for port in range(1, 8)] == [3, 2, 2, 2, 3, 2, 2]
    async with session(block, SWITCH) as asking:
        assert await asking.get("1.3.6.1.2.1.31.1.1.1.18.5") == SPEAKER.id.encode()


async def test_a_dead_camera_takes_its_port_down(block: Block) -> None:
    block.state.faults[CAMERA.id] = Fault(answer=Ailment.SILENT)
    assert (await walk(block, SWITCH, IF_STATUS))[f"{IF_STATUS}.1"] == 2
    assert (await walk(block, SWITCH, POE_STATUS))[f"{POE_STATUS}.1"] == 2
    block.state.faults[CAMERA.id] = Fault(answer=Ailment.SILENT, protocols=("http",))
    assert (await walk(block, SWITCH, IF_STATUS))[f"{IF_STATUS}.1"] == 1


async def test_uptime_runs_with_the_clock_and_counters_with_it(block: Block) -> None:
    octets = "1.3.6.1.2.1.31.1.1.1.6.1"
    async with session(block, SWITCH) as asking:
        before, counted = await asking.get(UPTIME), await asking.get(octets)
        block.clock.advance(100)
        assert await asking.get(UPTIME) == before + 10_000
        assert 100 * 20_000 <= await asking.get(octets) - counted < 100 * 30_000


async def test_a_loudspeaker_tells_its_sensors_and_whether_it_plays(block: Block) -> None:
    own = "1.3.6.1.4.1.99999.1"
    axis = "1.3.6.1.4.1.368.4.1"
    values = await walk(block, SPEAKER, "1.3.6.1.4.1")
    assert 0 <= values[f"{own}.1.0"] <= 100
    assert 25 <= values[f"{axis}.3.1.4.1.1"] == values[f"{own}.3.0"] // 10 <= 60
    assert values[f"{axis}.5.1.2.1"] == 1
    assert (values[f"{own}.5.0"], values[f"{own}.7.0"]) == (1, 2)
    block.state.heard_by(SPEAKER).sessions.append(HeardSession("127.0.0.1", "udp", "PCMA", packets=3))
    block.state.cabinets[SPEAKER.id] = Cabinet(volume=15, amplifier="fault", contact="open")
    changed = await walk(block, SPEAKER, own)
    assert [changed[f"{own}.{column}.0"] for column in (1, 2, 4, 5)] == [15, 2, 2, 2]


async def test_makers_own_trees(block: Block) -> None:
    async with session(block, RECORDER) as asking:
        assert await asking.get("1.3.6.1.2.1.1.2.0") == "1.3.6.1.4.1.50001"
        assert await asking.get("1.3.6.1.4.1.50001.1.3.0") == RECORDER.serial.encode()
    async with session(block, SPEAKER) as asking:
        assert b"; AXIS C1310-E; Network Speaker;" in await asking.get("1.3.6.1.2.1.1.1.0")


# -- version 3, by hand -----------------------------------------------------------------------------------------------


@dataclass
class V3:
    """What a message says; the defaults are right for AGGREGATION once boots and time are known."""

    engine: bytes = bytes.fromhex(AGGREGATION.snmp.engine_id if AGGREGATION.snmp else "")
    boots: int = 0
    time: int = 0
    user: bytes = b"poller"
    password: str = "auth-secret"
    flags: int = 5
    salt: bytes = b""

    def message(self) -> bytes:
        scoped = ber.tlv(0x30, ber.octets(self.engine) + ber.octets(b"") + get_pdu(NAME))
        head = ber.tlv(0x30, ber.integer(77) + ber.integer(65_507) + ber.octets(bytes((self.flags,))) + ber.integer(3))
        body = ber.octets(scoped) if self.flags & 2 else scoped

        def whole(tag: bytes) -> bytes:
            fields = (
                ber.octets(self.engine),
                ber.integer(self.boots),
                ber.integer(self.time),
                *map(ber.octets, (self.user, tag, self.salt)),
            )
            return ber.tlv(0x30, ber.integer(3) + head + ber.octets(ber.tlv(0x30, b"".join(fields))) + body)

        if not self.flags & 1:
            return whole(b"")
        return whole(hmac.new(self._key(), whole(bytes(12)), hashlib.sha1).digest()[:12])

    def _key(self) -> bytes:
        """RFC 3414 §A.2.2."""
        raw = (self.password.encode() * 1_048_576)[:1_048_576]
        key = hashlib.sha1(raw).digest()
        return hashlib.sha1(key + self.engine + key).digest()


async def discovered(block: Block) -> tuple[int, int]:
    """Boots and time, from the report to an unknown engine."""
    report = await block.ask(AGGREGATION, V3(engine=b"", user=b"", flags=4).message())
    fields = security(report)
    assert fields[0] == bytes.fromhex(AGGREGATION.snmp.engine_id if AGGREGATION.snmp else "")
    return int.from_bytes(fields[1], "big"), int.from_bytes(fields[2], "big")


@pytest.mark.parametrize(
    ("change", "counter", "what"),
    [
        ({"engine": b"", "user": b"", "flags": 4}, 4, "unknown_engine"),
        ({"user": b"stranger", "flags": 4}, 3, "unknown_user"),
        ({"password": "guess"}, 5, "wrong_digest"),
        ({"boots": 1234}, 2, "not_in_window"),
        ({"flags": 6}, 1, "unsupported_level"),
        ({"flags": 7, "salt": b"1"}, 6, "decryption_error"),
    ],
)
async def test_what_is_wrong_with_a_v3_message_is_reported_and_counted(
    block: Block, change: dict[str, Any], counter: int, what: str
) -> None:
    boots, time = await discovered(block)
    block.state.counters.clear()
    report = await block.ask(AGGREGATION, V3(**{"boots": boots, "time": time, **change}).message())
    ((name, _),) = bindings_of(report, v3=True)
    assert name == (1, 3, 6, 1, 6, 3, 15, 1, 1, counter, 0)
    assert block.state.counters[f"snmp.{what}.switch"] == 1
    assert block.state.counters["snmp.authentic.switch"] == 0


async def test_time_may_be_150_s_off_and_no_more(block: Block) -> None:
    boots, time = await discovered(block)
    block.clock.advance(150)
    await block.ask(AGGREGATION, V3(boots=boots, time=time).message())
    assert block.state.counters["snmp.not_in_window.switch"] == 0
    block.clock.advance(1)
    await block.ask(AGGREGATION, V3(boots=boots, time=time).message())
    assert block.state.counters["snmp.not_in_window.switch"] == 1


async def test_a_user_with_privacy_is_not_served_in_the_clear(block: Block) -> None:
    boots, time = await discovered(block)
    answer = await block.ask(AGGREGATION, V3(boots=boots, time=time).message())
    assert AGGREGATION.id.encode() not in answer
    assert error_status(answer) == 16


async def test_nothing_is_reported_to_those_who_did_not_ask_for_reports(block: Block) -> None:
    assert await block.is_silent(AGGREGATION, V3(engine=b"", user=b"", flags=0).message())


async def test_what_decrypts_to_garbage_is_dropped(block: Block) -> None:
    boots, time = await discovered(block)
    assert await block.is_silent(AGGREGATION, V3(boots=boots, time=time, flags=7, salt=b"12345678").message())


# -- messages ---------------------------------------------------------------------------------------------------------


def _binding(name: str) -> bytes:
    return ber.tlv(0x30, ber.oid(tuple(map(int, name.split(".")))) + ber.EMPTY)


def get_pdu(*names: str) -> bytes:
    return ber.tlv(0xA0, ber.integer(9) + ber.integer(0) * 2 + ber.tlv(0x30, b"".join(map(_binding, names))))


def get(*names: str, community: str = "c1ty", version: int = 1) -> bytes:
    return ber.tlv(0x30, ber.integer(version) + ber.octets(community) + get_pdu(*names))


def bulk(*names: str, non_repeaters: int = 0, repetitions: int) -> bytes:
    head = ber.integer(9) + ber.integer(non_repeaters) + ber.integer(repetitions)
    return ber.tlv(0x30, ber.integer(1) + ber.octets("c1ty") + ber.tlv(0xA5, head + ber.tlv(0x30, b"".join(map(_binding, names)))))


def _pdu_of(answer: bytes, *, v3: bool) -> Reader:
    reader = Reader(answer).inner(0x30)
    reader.element()
    reader.element()
    if v3:
        reader.element()
        reader = reader.inner(0x30)
        reader.element()
        reader.element()
    _, start, end = reader.element()
    return Reader(answer, start, end)


def bindings_of(answer: bytes, *, v3: bool = False) -> list[tuple[tuple[int, ...], bytes]]:
    pdu = _pdu_of(answer, v3=v3)
    for _ in range(3):
        pdu.element()
    listed, found = pdu.inner(0x30), []
    while listed.more:
        binding = listed.inner(0x30)
        name = ber.read_oid(binding.content(ber.OBJECT))
        _, start, end = binding.element()
        found.append((name, answer[start:end]))
    return found


def error_status(answer: bytes) -> int:
    pdu = _pdu_of(answer, v3=True)
    pdu.element()
    return pdu.integer()


def security(answer: bytes) -> list[bytes]:
    reader = Reader(answer).inner(0x30)
    reader.element()
    reader.element()
    _, start, end = reader.element()
    fields, found = Reader(answer, start, end).inner(0x30), []
    while fields.more:
        _, start, end = fields.element()
        found.append(answer[start:end])
    return found
