"""Walks a real device's SNMP objects into a `.snmprec` file: v2c, from the root on, without the tables that hold communities and users."""

import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from simulators.snmp import ber, pdu
from simulators.snmp.ber import Malformed, Oid, Reader

REPETITIONS: Final = 20
TIMEOUT_S: Final = 3.0
TRIES: Final = 3
ROWS: Final = 200_000
SECRET_TREES: Final = ((1, 3, 6, 1, 6, 3, 15), (1, 3, 6, 1, 6, 3, 16), (1, 3, 6, 1, 6, 3, 18))
"""SNMP-USER-BASED-SM-MIB, SNMP-VIEW-BASED-ACM-MIB, SNMP-COMMUNITY-MIB."""
HARDWARE_ADDRESSES: Final = ((1, 3, 6, 1, 2, 1, 2, 2, 1, 6), (1, 3, 6, 1, 2, 1, 17), (1, 3, 6, 1, 2, 1, 4, 22, 1, 2), (1, 3, 6, 1, 2, 1, 3))
"""ifPhysAddress, BRIDGE-MIB, and the ARP tables: left out with the device's identity, as are serial numbers of ENTITY-MIB."""
SERIALS: Final = (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11)
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]*")
_SIGNED: Final = frozenset({ber.INTEGER})
_UNSIGNED: Final = frozenset({ber.COUNTER32, ber.GAUGE32, ber.TICKS, ber.COUNTER64})

Row = tuple[Oid, int, bytes]


def walk(host: str, port: int, community: str) -> Iterator[Row]:
    """Every object: name, tag and content. Raises OSError (TimeoutError on silence), and ValueError for what is no SNMP or never ends."""
    at: Oid = (1, 3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT_S)
        sock.connect((host, port))
        for _ in range(ROWS):
            for name, tag, content in _ask(sock, community, at):
                if tag == ber.END_OF_VIEW[0]:
                    return
                if name <= at:
                    raise ValueError(f"the agent's objects go round in circles at {_dotted(name)}")
                at = name
                yield name, tag, content
    raise ValueError("the agent's objects do not end")


def line_of(row: Row, *, hidden: tuple[bytes, ...] = (), hide_identity: bool = False) -> str:
    """A row as `.snmprec` has it, "" for one that is left out; `hidden` texts are blanked."""
    name, tag, content = row
    trees = SECRET_TREES + (HARDWARE_ADDRESSES if hide_identity else ())
    if any(name[: len(tree)] == tree for tree in trees) or (hide_identity and name[: len(SERIALS)] == SERIALS):
        return ""
    for text in hidden:
        content = content.replace(text, b"0" * len(text)) if tag == ber.OCTETS else content
    kind, value = _written(tag, content)
    return f"{_dotted(name)}|{kind}|{value}" if kind else ""


def record(host: str, port: int, community: str, out: Path, *, hidden: tuple[bytes, ...] = (), hide_identity: bool = False) -> int:
    """Write the walk; how many objects it has. Raises what `walk` raises."""
    lines = [line_of(row, hidden=(community.encode(), *hidden), hide_identity=hide_identity) for row in walk(host, port, community)]
    kept = [line for line in lines if line]
    out.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return len(kept)


def _ask(sock: socket.socket, community: str, at: Oid) -> list[Row]:
    """One GETBULK, tried again on silence."""
    number = secrets.randbelow(2**31)
    rows = ber.tlv(ber.SEQUENCE, pdu.binding(ber.oid(at), ber.EMPTY))
    request = ber.tlv(pdu.GETBULK, ber.integer(number) + ber.integer(0) + ber.integer(REPETITIONS) + rows)
    datagram = ber.tlv(ber.SEQUENCE, ber.integer(1) + ber.octets(community) + request)
    for _ in range(TRIES):
        sock.send(datagram)
        try:
            return _rows(sock.recv(65_535), number)
        except TimeoutError:
            continue
        except Malformed as error:
            raise ValueError(f"what answers is no SNMP: {error}") from error
    raise TimeoutError("no answer: is the community right, and does the device allow this address?")


def _rows(data: bytes, number: int) -> list[Row]:
    message = Reader(data).inner(ber.SEQUENCE)
    message.integer()
    message.content(ber.OCTETS)
    response = message.inner(pdu.RESPONSE)
    if response.integer() != number or response.integer() != 0:
        raise Malformed("not the answer to this question, or an error status")
    response.integer()
    bindings, found = response.inner(ber.SEQUENCE), []
    while bindings.more:
        binding = bindings.inner(ber.SEQUENCE)
        found.append((ber.read_oid(binding.content(ber.OBJECT)), *binding.value()))
    return found


def _written(tag: int, content: bytes) -> tuple[str, str]:
    """Type and value as `.snmprec` has them; ("", "") for what it cannot hold."""
    if tag in _SIGNED or tag in _UNSIGNED:
        return str(tag), str(int.from_bytes(content, "big", signed=tag in _SIGNED))
    if tag == ber.OBJECT:
        return str(tag), _dotted(ber.read_oid(content))
    if tag == ber.IP_ADDRESS and len(content) == 4:
        return str(tag), ".".join(map(str, content))
    if tag in {ber.OCTETS, ber.OPAQUE}:
        return (str(tag), content.decode()) if _PRINTABLE.fullmatch(content) else (f"{tag}x", content.hex())
    return "", ""


def _dotted(name: Oid) -> str:
    return ".".join(map(str, name))
