"""Both SNMP engines against net-snmp's agent: what they read and write, and every failure by its name."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.domain.devices import SnmpVersion
from gateway.drivers.snmp.engine import Assignment, PollEngine, Syntax
from gateway.drivers.snmp.neighbours import read_neighbours
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.reference import PysnmpEngine
from gateway.errors import AuthenticationFailed, DeadlineExceeded, NotSupported, Unreachable
from tests.interop import snmpd
from tests.interop.snmpd import Snmpd

pytestmark = pytest.mark.interop

SYS_DESCR, SYS_OBJECT_ID, SYS_UPTIME, ABSENT = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.99.0"
SYS_LOCATION, IF_TYPE = "1.3.6.1.2.1.1.6.0", "1.3.6.1.2.1.2.2.1.3"
SOFTWARE_LOOPBACK = 24
ENGINES = {"gufo-snmp": lambda: GufoEngine(try_s=0.3), "pysnmp": lambda: PysnmpEngine(try_s=0.3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snmpd")


@pytest.fixture
def stopped(folder: Path) -> Iterator[Snmpd]:
    with snmpd.running(folder, "127.77.1.2") as agent:
        yield agent


@pytest.fixture
async def agent(stopped: Snmpd) -> Snmpd:
    await stopped.start()
    return stopped


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[PollEngine]:
    made: PollEngine = ENGINES[request.param]()
    yield made
    await made.close()


async def test_every_version_and_protocol_reads_the_same_and_names_what_is_absent(agent: Snmpd, engine: PollEngine) -> None:
    targets = [
        agent.target("v1", version=SnmpVersion.V1, community="public"),
        agent.target("v2c", community="public"),
        *map(agent.user, snmpd.USERS),
    ]
    for target in targets:
        reply = await engine.get(target, (SYS_DESCR, ABSENT, SYS_OBJECT_ID, SYS_UPTIME), timeout_s=5)
        assert reply.values[SYS_DESCR] == snmpd.DESCRIPTION.encode(), target
        assert str(reply.values[SYS_OBJECT_ID]).startswith("1.3.6.1.4.1.8072.")
        assert isinstance(reply.values[SYS_UPTIME], int)
        assert reply.values[ABSENT] is None
        assert not reply.engine_id_changed


async def test_a_walk_gives_the_rows_of_one_column_and_nothing_of_the_next(agent: Snmpd, engine: PollEngine) -> None:
    for target in (
        agent.target("v1", version=SnmpVersion.V1, community="public"),
        agent.target("v2c", community="public"),
        agent.user("shaaes"),
    ):
        rows = await engine.walk(target, IF_TYPE, timeout_s=5)
        assert ("1", SOFTWARE_LOOPBACK) in rows
        assert all("." not in index for index, _ in rows)
        assert await engine.walk(target, ABSENT, timeout_s=5) == []


async def test_a_wrong_authentication_key_is_named(agent: Snmpd, engine: PollEngine) -> None:
    with pytest.raises(AuthenticationFailed) as raised:
        await engine.get(agent.user("shaaes", auth_key="not-the-key-1"), (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "wrong-auth-key"


async def test_an_unknown_user_is_named(agent: Snmpd, engine: PollEngine) -> None:
    with pytest.raises(AuthenticationFailed) as raised:
        await engine.get(agent.user("nobody-here", auth_key=snmpd.AUTH_KEY, priv_key=snmpd.PRIV_KEY), (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "unknown-user"


async def test_a_user_that_may_only_read_encrypted_is_told_apart_from_a_wrong_key(agent: Snmpd, engine: PollEngine) -> None:
    with pytest.raises(AuthenticationFailed) as raised:
        await engine.get(agent.user("shaaes", priv_protocol="", priv_key=""), (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "security-level"


async def test_a_wrong_privacy_key_is_suspected_because_the_agent_still_answers_strangers(agent: Snmpd, engine: PollEngine) -> None:
    target = agent.user("shaaes", priv_key="not-the-key-1")
    with pytest.raises(AuthenticationFailed) as raised:
        await engine.get(target, (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "privacy-key-suspected"
    assert await engine.alive(target, timeout_s=5)


async def test_silence_over_v3_is_a_timeout_and_not_a_suspicion(agent: Snmpd, engine: PollEngine) -> None:
    target = agent.user("shaaes")
    await engine.get(target, (SYS_DESCR,), timeout_s=5)
    agent.stop()
    with pytest.raises((DeadlineExceeded, Unreachable)) as raised:
        await engine.get(target, (SYS_DESCR,), timeout_s=5)
    assert raised.value.code in {"timeout", "refused"}
    assert not await engine.alive(target, timeout_s=5)


@pytest.mark.parametrize("version", [SnmpVersion.V1, SnmpVersion.V2C])
async def test_a_wrong_community_and_silence_are_one_reason(agent: Snmpd, engine: PollEngine, version: SnmpVersion) -> None:
    with pytest.raises(DeadlineExceeded) as raised:
        await engine.get(agent.target(version=version, community="wrong"), (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "silent-or-wrong-community"


async def test_the_polling_engine_sees_that_nothing_listens(stopped: Snmpd) -> None:
    with pytest.raises(Unreachable) as raised:
        await GufoEngine().get(stopped.target(community="public"), (SYS_DESCR,), timeout_s=5)
    assert raised.value.code == "refused"


async def test_an_agent_that_comes_back_as_another_engine_is_met_anew_and_reported_once(agent: Snmpd, engine: PollEngine) -> None:
    target = agent.user("shaaes")
    assert not (await engine.get(target, (SYS_UPTIME,), timeout_s=5)).engine_id_changed
    agent.stop()
    await agent.start(engine_id="quite-another-engine")
    changed = await engine.get(target, (SYS_UPTIME,), timeout_s=5)
    assert changed.engine_id_changed
    assert isinstance(changed.values[SYS_UPTIME], int)
    assert not (await engine.get(target, (SYS_UPTIME,), timeout_s=5)).engine_id_changed


async def test_an_agent_that_restarts_as_the_same_engine_is_read_on_without_a_word(agent: Snmpd, engine: PollEngine) -> None:
    target = agent.user("shaaes")
    await engine.get(target, (SYS_UPTIME,), timeout_s=5)
    agent.stop()
    await agent.start()
    again = await engine.get(target, (SYS_UPTIME,), timeout_s=5)
    assert isinstance(again.values[SYS_UPTIME], int)
    assert not again.engine_id_changed


async def test_writing_over_v2c_and_v3_changes_what_is_read_and_a_reader_is_refused(agent: Snmpd) -> None:
    engine = PysnmpEngine(try_s=0.5)
    for target, value in ((agent.target("v2c", community="private"), b"pole 1"), (agent.user("shaaes"), b"pole 2")):
        await engine.set(target, [Assignment(SYS_LOCATION, Syntax.OCTETS, value)], timeout_s=5)
        assert (await engine.get(target, (SYS_LOCATION,), timeout_s=5)).values[SYS_LOCATION] == value
    with pytest.raises(NotSupported) as raised:
        await engine.set(agent.target("reader", community="public"), [Assignment(SYS_LOCATION, Syntax.OCTETS, b"x")], timeout_s=5)
    assert raised.value.detail == "noAccess"
    await engine.close()


async def test_a_machine_that_is_no_switch_tells_of_no_neighbours_and_nothing_goes_wrong(agent: Snmpd, engine: PollEngine) -> None:
    told = await read_neighbours(engine, agent.target("v2c", community="public"), switches=frozenset(), timeout_s=5)
    assert told.troubles == ()
    assert (told.view.neighbours, told.view.seen, told.view.root_port) == ((), {}, None)
