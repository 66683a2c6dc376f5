"""What a switch tells of its neighbours: ports numbered in three ways, tables that are missing, and what no switch should say."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.uplinks import Neighbour
from gateway.drivers.base import Target
from gateway.drivers.snmp import neighbours as mibs
from gateway.drivers.snmp.engine import PollEngine, Reply
from gateway.drivers.snmp.neighbours import read_neighbours
from gateway.errors import DeviceError, ProtocolError
from tests.drivers.snmp import agent as fake
from tests.drivers.snmp.agent import v2c

OWN, CORE, CAMERA = bytes.fromhex("022233000001"), bytes.fromhex("022233000002"), bytes.fromhex("024849000003")


def index(mac: bytes) -> str:
    return ".".join(map(str, mac))


def text(mac: bytes) -> str:
    return mac.hex(":")


def lldp(local: int, mac: bytes, *, kind: int = 4, name: str = "", capabilities: bytes = b"\x01", number: int = 1) -> fake.Table:
    row = f"{mibs.LLDP_REMOTE}.{{}}.0.{local}.{number}"
    return {
        row.format(4): v2c.Integer(kind),
        row.format(5): v2c.OctetString(mac),
        row.format(6): v2c.Integer(5),
        row.format(7): v2c.OctetString(b"eth0"),
        row.format(9): v2c.OctetString(name.encode()),
        row.format(12): v2c.OctetString(capabilities),
    }


TABLE: fake.Table = {
    mibs.BRIDGE_ADDRESS: v2c.OctetString(OWN),
    mibs.ROOT_PORT: v2c.Integer(9),
    mibs.DESIGNATED_ROOT: v2c.OctetString(b"\x80\x00" + CORE),
    **{f"{mibs.PORT_INTERFACE}.{port}": v2c.Integer(10_100 + port) for port in range(1, 10)},
    **{f"{mibs.INTERFACE_NAMES}.{10_100 + port}": v2c.OctetString(f"GE1/0/{port}".encode()) for port in range(1, 10)},
    **{f"{mibs.LLDP_LOCAL_PORT}.{50 + port}": v2c.OctetString(f"GE1/0/{port}".encode()) for port in range(1, 10)},
    f"{mibs.VLAN_PORT}.1.{index(CAMERA)}": v2c.Integer(3),
    f"{mibs.VLAN_STATUS}.1.{index(CAMERA)}": v2c.Integer(3),
    f"{mibs.VLAN_PORT}.1.{index(OWN)}": v2c.Integer(4),
    f"{mibs.VLAN_STATUS}.1.{index(OWN)}": v2c.Integer(4),
    f"{mibs.VLAN_PORT}.2.{index(CORE)}": v2c.Integer(9),
    f"{mibs.VLAN_STATUS}.2.{index(CORE)}": v2c.Integer(3),
    **lldp(53, CAMERA, name="CAM-1"),
    **lldp(59, CORE, capabilities=b"\x28\x00", number=2),
    **lldp(54, b"Gi0/1", kind=5, name="nameless", number=3),
}  # fmt: skip


async def test_all_three_numberings_of_a_port_become_that_of_the_bridge(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (_, target):
        told = await read_neighbours(engine, target, switches=frozenset(), timeout_s=3)
    assert told.troubles == ()
    assert told.view.root_port == 9
    assert told.view.macs == {text(OWN)}
    assert dict(told.view.seen) == {text(CAMERA): 3, text(CORE): 9}, "what the switch has set itself was not learnt"
    assert set(told.view.neighbours) == {
        Neighbour(3, frozenset({text(CAMERA)}), "CAM-1"),
        Neighbour(9, frozenset({text(CORE)}), bridge=True),
        Neighbour(4, frozenset(), "nameless"),
    }


async def test_a_switch_without_any_of_it_tells_nothing_and_is_no_root(engine: PollEngine) -> None:
    nothing: fake.Table = {"1.3.6.1.2.1.1.5.0": v2c.OctetString(b"sw"), mibs.ROOT_PORT: v2c.Integer(0)}
    async with fake.serving(nothing) as (_, target):
        told = await read_neighbours(engine, target, switches=frozenset(), timeout_s=3)
    assert (told.troubles, told.view.root_port, told.view.seen, told.view.neighbours) == ((), None, {}, ())


async def test_only_a_switch_that_names_itself_is_believed_to_be_the_root(engine: PollEngine) -> None:
    for root, expected in ((OWN, 0), (CORE, None)):
        table = {**TABLE, mibs.ROOT_PORT: v2c.Integer(0), mibs.DESIGNATED_ROOT: v2c.OctetString(b"\x80\x00" + root)}
        async with fake.serving(table) as (_, target):
            told = await read_neighbours(engine, target, switches=frozenset(), timeout_s=3)
        assert told.view.root_port == expected


class OneTableFails:
    """An engine's worth of answers, of which one table never comes."""

    def __init__(self, engine: PollEngine, failing: str) -> None:
        self._engine, self._failing = engine, failing

    async def get(self, target: Target, oids: object, *, timeout_s: float) -> Reply:
        return await self._engine.get(target, oids, timeout_s=timeout_s)

    async def walk(self, target: Target, root: str, *, timeout_s: float) -> object:
        if root == self._failing:
            raise ProtocolError("the agent's table does not end", code="endless")
        return await self._engine.walk(target, root, timeout_s=timeout_s)


async def test_a_table_that_fails_is_named_and_the_rest_is_read(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (_, target):
        told = await read_neighbours(OneTableFails(engine, mibs.LLDP_REMOTE), target, switches=frozenset(), timeout_s=3)
    assert told.troubles == (f"{mibs.LLDP_REMOTE}: endless",)
    assert told.view.neighbours == ()
    assert told.view.seen


class Hostile:
    """Answers with whatever hypothesis thinks of."""

    def __init__(self, scalars: list[object], tables: dict[str, dict[str, object]]) -> None:
        self._scalars, self._tables = scalars, tables

    async def get(self, _target: Target, oids: list[str], *, timeout_s: float) -> Reply:
        assert timeout_s > 0
        return Reply(dict(zip(oids, self._scalars, strict=False)))

    async def walk(self, _target: Target, root: str, *, timeout_s: float) -> list[tuple[str, object]]:
        assert timeout_s > 0
        return list(self._tables.get(root, {}).items())


values = st.one_of(st.none(), st.integers(-5, 2**40), st.binary(max_size=12), st.text(max_size=8), st.floats(allow_nan=True))
places = st.lists(st.integers(0, 400), min_size=1, max_size=9).map(lambda parts: ".".join(map(str, parts)))
ROOTS = [
    *(mibs.PORT_INTERFACE, mibs.INTERFACE_NAMES, mibs.INTERFACE_ADDRESSES, mibs.FORWARDING_PORT, mibs.FORWARDING_STATUS),
    *(mibs.VLAN_PORT, mibs.VLAN_STATUS, mibs.LLDP_LOCAL_PORT, mibs.LLDP_REMOTE),
]


@given(st.lists(values, min_size=4, max_size=4), st.dictionaries(st.sampled_from(ROOTS), st.dictionaries(places, values, max_size=6)))
async def test_whatever_a_switch_answers_is_read_or_refused_as_the_devices_fault(
    scalars: list[object], tables: dict[str, dict[str, object]]
) -> None:
    target = fake.target("127.77.2.9", 161)
    try:
        told = await read_neighbours(Hostile(scalars, tables), target, switches=frozenset(), timeout_s=1)
    except DeviceError:
        return
    assert all(port > 0 for port in told.view.seen.values())
