"""The messages of WS-Discovery (April 2005, over WS-Addressing of August 2004): what is asked, and what a device says."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from simulators.onvif import soap
from simulators.onvif.soap import SoapFault

DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
EVERYBODY: Final = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
ASKER: Final = f"{ADDRESSING}/role/anonymous"
TYPES: Final = frozenset(
    {"{http://www.onvif.org/ver10/network/wsdl}NetworkVideoTransmitter", "{http://www.onvif.org/ver10/device/wsdl}Device"}
)
"""What every ONVIF device of the city is (ONVIF Core §7.3.2.1)."""
LIMIT_BYTES: Final = 8 * 1024
"""What is longer is no question."""

Matching = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Probe:
    """Who is there? `types` as QNames in Clark notation; `matches`: how scopes are compared, None for a rule that is not known."""

    message_id: str
    types: frozenset[str]
    scopes: tuple[str, ...]
    matches: Matching | None

    def finds(self, offered: Sequence[str]) -> bool:
        """Whether it means a device with these scopes (WS-Discovery §5.1)."""
        if not self.types <= TYPES:
            return False
        return not self.scopes or (
            self.matches is not None and all(any(self.matches(wanted, scope) for scope in offered) for wanted in self.scopes)
        )


@dataclass(frozen=True, slots=True)
class Resolve:
    """Where is the endpoint with this address?"""

    message_id: str
    reference: str


@dataclass(frozen=True, slots=True)
class Words:
    """What a device says of itself. `instance`: grows with each boot; `number`: grows with each message."""

    reference: str
    scopes: Sequence[str]
    xaddrs: str
    instance: int
    number: int


def read(data: bytes) -> Probe | Resolve | None:
    """The question in a datagram; None when it holds none, whatever else it is."""
    if len(data) > LIMIT_BYTES:
        return None
    try:
        call = soap.parse(data)
    except SoapFault:
        return None
    message_id = soap.text(call.header, "MessageID") if call.header is not None else ""
    if call.namespace != DISCOVERY or not message_id:
        return None
    if call.operation == "Probe":
        return _probe(message_id, call.element)
    return Resolve(message_id, call.text("Address")) if call.operation == "Resolve" else None


def hello(said: Words) -> bytes:
    return _message("Hello", EVERYBODY, "", said, f"<d:Hello>{_described(said)}</d:Hello>")


def bye(said: Words) -> bytes:
    return _message("Bye", EVERYBODY, "", said, f"<d:Bye>{_reference(said)}</d:Bye>")


def probe_matches(said: Words, message_id: str) -> bytes:
    """The answer of one device to a probe."""
    return _message("ProbeMatches", ASKER, message_id, said, _probe_match(said))


def probe_matches_echoing(said: Words, message_id: str) -> bytes:
    """The same as some devices answer: with the probe's MessageID as their own, and nothing that it relates to."""
    return _message("ProbeMatches", ASKER, "", said, _probe_match(said), own_id=message_id)


def resolve_matches(said: Words, message_id: str) -> bytes:
    body = f"<d:ResolveMatches><d:ResolveMatch>{_described(said)}</d:ResolveMatch></d:ResolveMatches>"
    return _message("ResolveMatches", ASKER, message_id, said, body)


# -- reading ----------------------------------------------------------------------------------------------------------


def _probe(message_id: str, element: etree._Element) -> Probe:
    types, scopes = (next(element.iterchildren(f"{{{DISCOVERY}}}{name}"), None) for name in ("Types", "Scopes"))
    names = frozenset(_clark(name, types) for name in (types.text or "").split()) if types is not None else frozenset[str]()
    wanted = tuple((scopes.text or "").split()) if scopes is not None else ()
    rule = scopes.get("MatchBy", RFC3986) if scopes is not None else RFC3986
    return Probe(message_id, names, wanted, _RULES.get(rule))


def _clark(name: str, element: etree._Element) -> str:
    prefix, _, local = name.rpartition(":")
    return f"{{{element.nsmap.get(prefix or None, '')}}}{local}"


def _by_segments(wanted: str, scope: str) -> bool:
    """Scheme and host alike, whatever their case, and the path segment by segment, as far as it is wanted (WS-Discovery §5.1)."""
    ours, theirs = (uri.rstrip("/").split("/") for uri in (scope, wanted))
    return [part.lower() for part in ours[:3]] == [part.lower() for part in theirs[:3]] and ours[3 : len(theirs)] == theirs[3:]


RFC3986: Final = f"{DISCOVERY}/rfc3986"
_RULES: Final[Mapping[str, Matching]] = {RFC3986: _by_segments, f"{DISCOVERY}/strcmp0": str.__eq__}


# -- writing ----------------------------------------------------------------------------------------------------------

_NAMESPACES: Final = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "s": soap.ENVELOPE,
        "a": ADDRESSING,
        "d": DISCOVERY,
        "dn": "http://www.onvif.org/ver10/network/wsdl",
        "tds": "http://www.onvif.org/ver10/device/wsdl",
    }.items()
)


def _message(action: str, to: str, relates_to: str, said: Words, body: str, *, own_id: str = "") -> bytes:
    relation = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {_NAMESPACES}><s:Header><a:Action>{DISCOVERY}/{action}</a:Action>'
        f"<a:MessageID>{escape(own_id) or f'urn:uuid:{uuid.uuid4()}'}</a:MessageID>{relation}<a:To>{to}</a:To>"
        f'<d:AppSequence InstanceId="{said.instance}" MessageNumber="{said.number}"/></s:Header><s:Body>{body}</s:Body></s:Envelope>'
    ).encode()


def _probe_match(said: Words) -> str:
    return f"<d:ProbeMatches><d:ProbeMatch>{_described(said)}</d:ProbeMatch></d:ProbeMatches>"


def _described(said: Words) -> str:
    return (
        f"{_reference(said)}<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types><d:Scopes>{escape(' '.join(said.scopes))}</d:Scopes>"
        f"<d:XAddrs>{escape(said.xaddrs)}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
    )


def _reference(said: Words) -> str:
    return f"<a:EndpointReference><a:Address>{said.reference}</a:Address></a:EndpointReference>"
