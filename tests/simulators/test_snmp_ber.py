"""The BER codec against itself, against pyasn1, and against noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ

from simulators.snmp import ber
from simulators.snmp.agent import Agent
from simulators.snmp.ber import Malformed, Reader
from simulators.snmp.history import History
from simulators.snmp.managed import managed
from simulators.snmp.mibs import shape_of
from simulators.snmp.tree import View
from simulators.state import State
from tests.simulators.block import Wallclock
from tests.simulators.snmp_block import AGGREGATION, CITY, SWITCH

OIDS = st.builds(
    lambda first, second, rest: (first, second if first == 2 else second % 40, *rest),
    st.integers(0, 2),
    st.integers(0, 100),
    st.lists(st.integers(0, 2**32 - 1), max_size=20),
)


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers_are_read_by_pyasn1_and_by_us_and_never_longer_than_its_own(value: int) -> None:
    """Never longer: pyasn1 spends two octets on -128, where X.690 §8.3.2 wants one."""
    assert decoder.decode(ber.integer(value)) == (univ.Integer(value), b"")
    assert len(ber.integer(value)) <= len(encoder.encode(univ.Integer(value)))
    assert Reader(ber.integer(value)).integer() == value


@given(OIDS)
def test_names_are_written_as_pyasn1_writes_them_and_read_back(value: tuple[int, ...]) -> None:
    assert ber.oid(value) == encoder.encode(univ.ObjectIdentifier(value))
    assert ber.read_oid(Reader(ber.oid(value)).content(ber.OBJECT)) == value


@given(st.binary(max_size=70_000))
def test_octets_are_written_as_pyasn1_writes_them_and_read_back(value: bytes) -> None:
    assert ber.octets(value) == encoder.encode(univ.OctetString(value))
    assert Reader(ber.octets(value)).content(ber.OCTETS) == value


@given(st.integers(0, 2**64 - 1))
def test_counters_never_look_negative(value: int) -> None:
    content = Reader(ber.unsigned(ber.COUNTER64, value)).content(ber.COUNTER64)
    assert int.from_bytes(content, "big", signed=True) == value
    assert int(decoder.decode(b"\x02" + ber.unsigned(ber.COUNTER32, value)[1:])[0]) == value % 2**32


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02", b"\x02\x01", b"\x02\x80\x01", b"\x02\x85\x00\x00\x00\x00\x01\x01", b"\x02\x82\x01", b"\x02\x00", b"\x04\x01\x01",
     b"\x02\x05\x01\x00\x00\x00\x00"],
)  # fmt: skip
def test_what_is_no_integer_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        Reader(data).integer()


@pytest.mark.parametrize("content", [b"", b"\x81", b"\x2b\x86", b"\x2b" + b"\xff" * 5 + b"\x7f", b"\x01" * 200])
def test_what_is_no_name_is_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        ber.read_oid(content)


def agent(of: object) -> Agent:
    device = SWITCH if of is SWITCH else AGGREGATION
    state = State(Wallclock())
    itself = managed(CITY, device, state, History(CITY, state))
    assert device.snmp is not None
    return Agent(itself, device.snmp, View(shape_of(itself), itself))


@given(st.binary(max_size=300))
def test_noise_is_met_with_silence(data: bytes) -> None:
    for target in (SWITCH, AGGREGATION):
        assert agent(target).answer(data).data is None


@given(st.integers(0, 200), st.integers(0, 255), st.booleans())
def test_a_damaged_request_gets_a_whole_answer_or_none(at: int, octet: int, cut: bool) -> None:
    binding = ber.tlv(0x30, ber.oid((1, 3, 6, 1, 2, 1, 1, 5, 0)) + ber.EMPTY)
    pdu = ber.tlv(0xA0, ber.integer(9) + ber.integer(0) + ber.integer(0) + ber.tlv(0x30, binding))
    request = ber.tlv(0x30, ber.integer(1) + ber.octets("c1ty") + pdu)
    at %= len(request)
    damaged = request[:at] if cut else request[:at] + bytes((octet,)) + request[at + 1 :]
    data = agent(SWITCH).answer(damaged).data
    if data is not None:
        reader = Reader(data)
        assert reader.inner(ber.SEQUENCE).integer() in {0, 1}
        reader.done()
    assert data is None or not cut
