"""A folder of recorded SOAP answers: one a operation, in subfolders a service, under either of two ways to name them.

    Op.Response.xml, Op.Error.xml       an answer, and the fault that the operation met
    OpResponse.xml, Fault.xml           an answer, and the fault of all that has none

Which service a subfolder is of is told by the answers in it, whatever it is called. What is no SOAP (a backup, an HTML page) is played as
it was recorded, under the operation that its file is named for.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lxml import etree

ENVELOPES: Final = ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/")
FILES: Final = 2_000
FILE_BYTES: Final = 4 * 1024 * 1024
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
_HOST: Final = re.compile(rb"<(?:[\w.-]+:)?XAddr\b[^>]*>\s*https?://(\[[^\]<]*\]|[^/:<\s]+)")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer as it was recorded."""

    body: bytes
    is_fault: bool


@dataclass(frozen=True)
class Recording:
    """`answers` by namespace and operation; `faults` of a service for all else, by namespace; `hosts`: what the device called itself."""

    answers: Mapping[tuple[str, str], Recorded]
    faults: Mapping[str, Recorded]
    hosts: frozenset[bytes]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder. Raises OSError, and ValueError for one without any SOAP answer, or beyond every reason."""
        answers: dict[tuple[str, str], Recorded] = {}
        faults: dict[str, Recorded] = {}
        files = sorted(folder.rglob("*.xml"))
        if len(files) > FILES:
            raise ValueError(f"{folder} holds more than {FILES} answers")
        by_folder: dict[Path, list[Path]] = {}
        for path in files:
            by_folder.setdefault(path.parent, []).append(path)
        for paths in by_folder.values():
            _read(paths, answers, faults)
        if not answers:
            raise ValueError(f"{folder} holds no recorded answer (Op.Response.xml, OpResponse.xml)")
        return cls(answers, faults, frozenset(_hosts(one.body for one in answers.values())))

    def answer(self, namespace: str, operation: str) -> Recorded | None:
        """What the device answered to an operation, or to any of that service that it did not know; None when nobody recorded it."""
        return self.answers.get((namespace, operation)) or self.faults.get(namespace)

    def rewritten(self, body: bytes, *, address: str, ports: Mapping[bytes, int]) -> bytes:
        """An answer in which every URI with the device's old host has `address`, and the port of its scheme where `ports` has one."""
        if not self.hosts:
            return body

        def own(found: re.Match[bytes]) -> bytes:
            port = ports.get(found[1])
            return b"%s://%s%s" % (found[1], address.encode(), b":%d" % port if port else found[2] or b"")

        hosts = b"|".join(re.escape(host) for host in sorted(self.hosts, key=len, reverse=True))
        return re.sub(rb"\b(https?|rtsp)://(?:" + hosts + rb")(:\d+)?(?=[/<?\"'\s])", own, body)


def payload_of(body: bytes) -> etree._Element:
    """The element inside a SOAP envelope's body. Raises ValueError."""
    try:
        envelope = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"no XML: {error}") from error
    for version in ENVELOPES:
        found = envelope.find(f"{{{version}}}Body")
        if found is not None and len(found):
            inner: etree._Element = found[0]
            return inner
    raise ValueError("no SOAP answer")


def _read(paths: list[Path], answers: dict[tuple[str, str], Recorded], faults: dict[str, Recorded]) -> None:
    """Take the files of one subfolder: first the answers, which tell whose it is, then the faults."""
    unnamed: list[tuple[str, Recorded]] = []
    namespaces: Counter[str] = Counter()
    for path in paths:
        operation, recorded, namespace = _one(path)
        if namespace:
            namespaces[namespace] += 1
            answers[namespace, operation] = recorded
        else:
            unnamed.append((operation, recorded))
    if namespaces:
        service = namespaces.most_common(1)[0][0]
        for operation, recorded in unnamed:
            if operation:
                answers.setdefault((service, operation), recorded)
            else:
                faults[service] = recorded


def _one(path: Path) -> tuple[str, Recorded, str]:
    """Operation ("" for the fault of all), answer and namespace ("" for a fault and for no SOAP) of a file. Raises ValueError naming it."""
    body = path.read_bytes()
    if len(body) > FILE_BYTES:
        raise ValueError(f"{path} is larger than {FILE_BYTES} bytes")
    try:
        name = etree.QName(payload_of(body))
    except ValueError:
        return _operation(path.name), Recorded(body, is_fault=".Error." in path.name), ""
    if name.localname == "Fault":
        return _operation(path.name), Recorded(body, is_fault=True), ""
    return name.localname.removesuffix("Response"), Recorded(body, is_fault=False), name.namespace or ""


def _operation(name: str) -> str:
    """`GetUsers` of GetUsers.Error.xml or GetUsersResponse.xml; "" of Fault.xml."""
    stem = name.removesuffix(".xml")
    return "" if stem == "Fault" else stem.partition(".")[0].removesuffix("Response")


def _hosts(bodies: Iterator[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield from _HOST.findall(body)
