"""SOAP 1.2 as the devices speak it: requests parsed, answers and faults written."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
PREFIXES: Final = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tse": "http://www.onvif.org/ver10/search/wsdl",
    "trc": "http://www.onvif.org/ver10/recording/wsdl",
    "trp": "http://www.onvif.org/ver10/replay/wsdl",
    "timg": "http://www.onvif.org/ver20/imaging/wsdl",
    "tan": "http://www.onvif.org/ver20/analytics/wsdl",
    "tmd": "http://www.onvif.org/ver10/deviceIO/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "ter": "http://www.onvif.org/ver10/error",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "wstop": "http://docs.oasis-open.org/wsn/t-1",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "tns1": "http://www.onvif.org/ver10/topics",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xs": "http://www.w3.org/2001/XMLSchema",
}
_DECLARATIONS: Final = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
_HEAD: Final = f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="{ENVELOPE}" {_DECLARATIONS}>'
_DURATION: Final = re.compile(r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?")
_TAIL: Final = "</s:Body></s:Envelope>"
_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)


class SoapFault(Exception):
    """The answer is a SOAP fault. `code`: "Sender", "Receiver" or "MustUnderstand"; `subcodes`: QNames from the outer to the inner one."""

    def __init__(self, reason: str, *subcodes: str, code: str = "Sender") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.subcodes = subcodes


def not_supported() -> SoapFault:
    """ONVIF Core §5.11.2: the operation is unknown here."""
    return SoapFault("Optional Action Not Implemented", "ter:ActionNotSupported", code="Receiver")


def invalid(reason: str, subcode: str) -> SoapFault:
    """An argument is wrong; `subcode` says which, for example ter:NoProfile."""
    return SoapFault(reason, "ter:InvalidArgVal", subcode)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the service's namespace, the operation, its element, the SOAP header when there is one, and the path it came to."""

    namespace: str
    operation: str
    element: etree._Element
    header: etree._Element | None
    path: str = ""

    def text(self, name: str) -> str:
        """The text of the first descendant of that local name, "" without one."""
        return text(self.element, name)

    def addressing(self, name: str) -> str:
        """The text of a WS-Addressing header, "" without one."""
        found = None if self.header is None else self.header.find(f"{{{PREFIXES['wsa']}}}{name}")
        return "" if found is None else (found.text or "").strip()


def parse(body: bytes, path: str = "") -> Call:
    """The call in a SOAP 1.2 envelope. Raises SoapFault when it is none."""
    if b"<!DOCTYPE" in body:
        raise SoapFault("DTD refused", "ter:WellFormed")
    try:
        envelope = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise SoapFault("Not well-formed", "ter:WellFormed") from error
    parts = {part.tag: part for part in envelope}
    content = parts.get(f"{{{ENVELOPE}}}Body")
    if envelope.tag != f"{{{ENVELOPE}}}Envelope" or content is None or not len(content):
        raise SoapFault("Not a SOAP 1.2 envelope", "ter:TagMismatch")
    name = etree.QName(content[0])
    return Call(name.namespace or "", name.localname, content[0], parts.get(f"{{{ENVELOPE}}}Header"), path)


def text(element: etree._Element, name: str) -> str:
    """The text of the first descendant of that local name in any namespace, "" without one."""
    found = next(element.iter(f"{{*}}{name}"), None)
    return (found.text or "").strip() if found is not None else ""


def envelope(content: str, header: str = "") -> bytes:
    """An answer around its one element."""
    header = f"<s:Header>{header}</s:Header>" if header else ""
    return f"{_HEAD}{header}<s:Body>{content}{_TAIL}".encode()


def fault(error: SoapFault) -> bytes:
    """A fault with its subcodes nested (SOAP 1.2 part 1 §5.4)."""
    nested = ""
    for subcode in reversed(error.subcodes):
        nested = f"<s:Subcode><s:Value>{subcode}</s:Value>{nested}</s:Subcode>"
    return envelope(
        f"<s:Fault><s:Code><s:Value>s:{error.code}</s:Value>{nested}</s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{escape(error.reason)}</s:Text></s:Reason></s:Fault>'
    )


def xml_time(seconds: float) -> str:
    """xs:dateTime in UTC of seconds since the epoch; fractions only when there are some."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if not moment.microsecond else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_duration(value: str) -> float | None:
    """Seconds of an xs:duration of days, hours, minutes and seconds; None when it is none."""
    found = _DURATION.fullmatch(value)
    if found is None or value[-1:] in ("P", "T"):
        return None
    return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (86_400, 3600, 60, 1), strict=True))


def read_time(value: str) -> float:
    """Seconds since the epoch of an xs:dateTime. Raises SoapFault when it is none; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(f"not a time: {value[:40]}", "ter:InvalidDateTime") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
