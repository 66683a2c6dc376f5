"""The decoder of traps: against pysnmp's on what is right, against everything else on what is not."""

import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import PyAsn1Error
from pysnmp.proto import api
from pysnmp.proto.rfc1902 import Counter32, Counter64, Gauge32, Integer32, IpAddress, ObjectIdentifier, OctetString, TimeTicks

from gateway.drivers.snmp import ber, notifications
from gateway.drivers.snmp.ber import Malformed
from gateway.drivers.snmp.notifications import BINDINGS, TRAP_OID, Notification

V1, V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_1], api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
arcs = st.integers(0, 2**32 - 1)
oids = st.lists(arcs, max_size=20).map(lambda rest: ".".join(map(str, (1, 3, 6, *rest))))
values = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(Integer32),
    st.binary(max_size=300).map(OctetString),
    oids.map(ObjectIdentifier),
    st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: IpAddress(".".join(map(str, parts)))),
    st.integers(0, 2**32 - 1).flatmap(lambda number: st.sampled_from([Counter32(number), Gauge32(number), TimeTicks(number)])),
    st.integers(0, 2**64 - 1).map(Counter64),
)
rows = st.lists(st.tuples(oids, values), max_size=12)
communities = st.text(string.printable, min_size=1, max_size=40)


def plain(value: Any) -> object:
    """pysnmp's value as ours is."""
    if isinstance(value, IpAddress):
        return value.prettyPrint()
    if isinstance(value, OctetString):
        return bytes(value)
    if isinstance(value, ObjectIdentifier):
        return str(value)
    return int(value)


def v2_message(trap: str, bindings: list[tuple[str, Any]], community: str = "c1ty", *, inform: bool = False, uptime: int = 42) -> bytes:
    pdu = V2C.InformRequestPDU() if inform else V2C.TrapPDU()
    (V2C.apiPDU if inform else V2C.apiTrapPDU).set_defaults(pdu)
    head = [(ObjectIdentifier(SYS_UPTIME), TimeTicks(uptime)), (ObjectIdentifier(TRAP_OID), ObjectIdentifier(trap))]
    V2C.apiPDU.set_varbinds(pdu, [*head, *((ObjectIdentifier(oid), value) for oid, value in bindings)])
    message = V2C.Message()
    V2C.apiMessage.set_defaults(message)
    V2C.apiMessage.set_community(message, community)
    V2C.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


def v1_message(enterprise: str, generic: int, specific: int, bindings: list[tuple[str, Any]]) -> bytes:
    pdu = V1.TrapPDU()
    V1.apiTrapPDU.set_defaults(pdu)
    V1.apiTrapPDU.set_enterprise(pdu, ObjectIdentifier(enterprise))
    V1.apiTrapPDU.set_generic_trap(pdu, generic)
    V1.apiTrapPDU.set_specific_trap(pdu, specific)
    V1.apiTrapPDU.set_agent_address(pdu, "192.0.2.7")
    V1.apiTrapPDU.set_varbinds(pdu, [(V1.ObjectIdentifier(oid), value) for oid, value in bindings])
    message = V1.Message()
    V1.apiMessage.set_defaults(message)
    V1.apiMessage.set_community(message, "c1ty")
    V1.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


@given(oids, rows, communities, st.booleans(), st.integers(0, 2**32 - 1))
def test_what_pysnmp_writes_is_read(trap: str, bindings: list[tuple[str, Any]], community: str, inform: bool, uptime: int) -> None:
    message = notifications.read_message(v2_message(trap, bindings, community, inform=inform, uptime=uptime))
    assert message.community == community.encode()
    told = message.notification()
    assert (told.trap, told.uptime, told.inform) == (trap, uptime, inform)
    expected = [(oid, plain(value)) for oid, value in bindings if oid not in (SYS_UPTIME, TRAP_OID)]
    assert [*told.bindings] == expected


@given(oids, st.integers(0, 5), rows)
def test_a_generic_v1_trap_has_the_object_id_of_v2(enterprise: str, generic: int, bindings: list[tuple[str, Any]]) -> None:
    bindings = [(oid, value) for oid, value in bindings if not isinstance(value, Counter64)]  # v1 has none
    told = notifications.read_message(v1_message(enterprise, generic, 0, bindings)).notification()
    assert told.trap == f"1.3.6.1.6.3.1.1.5.{generic + 1}"
    assert [*told.bindings] == [(oid, plain(value)) for oid, value in bindings]


@given(oids, st.integers(0, 2**31 - 1))
def test_a_specific_v1_trap_has_its_enterprise_s(enterprise: str, specific: int) -> None:
    assert notifications.read_message(v1_message(enterprise, 6, specific, [])).notification().trap == f"{enterprise}.0.{specific}"


@given(oids, rows)
def test_the_acknowledgement_of_an_inform_is_what_pysnmp_takes_for_its_response(trap: str, bindings: list[tuple[str, Any]]) -> None:
    data = v2_message(trap, bindings, inform=True)
    asked, _ = decoder.decode(data, asn1Spec=V2C.Message())
    answer, rest = decoder.decode(notifications.read_message(data).acknowledgement(), asn1Spec=V2C.Message())
    assert not rest
    pdu = V2C.apiMessage.get_pdu(answer)
    assert pdu.isSameTypeWith(V2C.GetResponsePDU())
    assert V2C.apiPDU.get_request_id(pdu) == V2C.apiPDU.get_request_id(V2C.apiMessage.get_pdu(asked))
    assert V2C.apiPDU.get_varbinds(pdu) == V2C.apiPDU.get_varbinds(V2C.apiMessage.get_pdu(asked))


# -- what is not right


@given(st.binary(max_size=400))
def test_noise_is_malformed_and_nothing_else(data: bytes) -> None:
    assert opened(data) is None or isinstance(opened(data), Notification)


@settings(max_examples=400)
@given(oids, rows, st.data())
def test_a_damaged_trap_is_refused_or_read_as_pysnmp_reads_it(trap: str, bindings: list[tuple[str, Any]], data: st.DataObject) -> None:
    raw = bytearray(v2_message(trap, bindings))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else bytes(raw)
    ours, theirs = opened(cut), oracle(cut)
    if ours is not None and theirs is not None:
        assert (ours.trap, ours.bindings) == theirs


def opened(data: bytes) -> Notification | None:
    """What we read; None for Malformed, and nothing else may be raised."""
    try:
        notifications.version_of(data)
        return notifications.read_message(data).notification()
    except Malformed:
        return None


def oracle(data: bytes) -> tuple[str, tuple[tuple[str, object], ...]] | None:
    """What pysnmp reads of a v2c trap; None where it refuses, or reads something else."""
    try:
        message, _ = decoder.decode(data, asn1Spec=V2C.Message())
        pdu = V2C.apiMessage.get_pdu(message)
        found = [(str(oid), plain(value)) for oid, value in V2C.apiPDU.get_varbinds(pdu)]
        is_trap = pdu.isSameTypeWith(V2C.TrapPDU()) or pdu.isSameTypeWith(V2C.InformRequestPDU())
    except (PyAsn1Error, RecursionError, ValueError, TypeError, AttributeError, IndexError):
        return None
    named = [value for oid, value in found if oid == TRAP_OID and isinstance(value, str)]
    if not is_trap or not named:
        return None
    rest = tuple((oid, value) for oid, value in found if not (oid == TRAP_OID and isinstance(value, str)))
    return str(named[-1]), tuple((oid, value) for oid, value in rest if not (oid == SYS_UPTIME and isinstance(value, int)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\x02\x01\x01\x00\x00",  # a length that is not told
        b"\x30\x85\x00\x00\x00\x00\x01\x00",  # a length of five octets
        b"\x30\x84\xff\xff\xff\xff" + bytes(20),
        bytes.fromhex("300602010204017f"),  # a version that there is not
        v2_message("1.3.6.1.6.3.1.1.5.1", [])[:-1],
    ],
    ids=["nothing", "only-a-tag", "length-not-told", "length-of-five-octets", "length-beyond-all", "no-such-version", "one-octet-short"],
)
def test_lengths_that_lie_are_malformed(data: bytes) -> None:
    assert opened(data) is None


def test_a_pdu_of_the_other_version_is_malformed() -> None:
    old = bytearray(v1_message("1.3.6.1.4.1.1", 0, 0, []))
    old[4 if old[1] < 0x80 else 5] = 1
    assert opened(bytes(old)) is None


def test_a_question_is_no_notification() -> None:
    data = v2_message("1.3.6.1.6.3.1.1.5.1", [])
    place = notifications.read_message(data).pdu
    assert opened(data[:place] + b"\xa0" + data[place + 1 :]) is None


def test_what_is_beyond_the_bound_is_left_out() -> None:
    told = opened(v2_message("1.3.6.1.6.3.1.1.5.1", [(f"1.3.6.1.{number}", Integer32(number)) for number in range(200)]))
    assert told is not None and len(told.bindings) <= BINDINGS


def test_an_object_id_is_bounded_and_ends() -> None:
    for content in (b"", b"\x2b\x86", b"\x2b" + b"\xff\xff\xff\xff\xff\x7f", b"\x2b" * 200):
        with pytest.raises(Malformed):
            ber.object_id(content, 0, len(content))


@given(oids)
def test_an_object_id_that_we_write_is_the_one_that_we_read(oid: str) -> None:
    written = ber.write_object_id(oid)
    assert ber.value(written, 0, len(written)) == (oid, len(written))


@given(st.integers(0, 2**62))
def test_a_number_that_we_write_is_the_one_that_we_read(number: int) -> None:
    written = ber.write_integer(number)
    assert ber.integer(written, 0, len(written)) == (number, len(written))
