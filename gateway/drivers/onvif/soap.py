"""SOAP envelopes: built from bytes, opened strictly, with what a device refuses told apart by what can be done next.

Both versions of SOAP are accepted, under any prefix. A document type declaration is refused whatever it holds, nothing outside the
answer is ever read, and an answer to another operation than the one asked is an error (`wrong-operation`).
"""

import re
from collections.abc import Callable, Iterator

from lxml import etree

from gateway.drivers.http import SOAP_LIMIT
from gateway.drivers.http_reader import Answer
from gateway.errors import AuthenticationFailed, Busy, DeviceError, DeviceFault, NotSupported, ProtocolError

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
PTZ = "http://www.onvif.org/ver20/ptz/wsdl"
RECORDING = "http://www.onvif.org/ver10/recording/wsdl"
SEARCH = "http://www.onvif.org/ver10/search/wsdl"
REPLAY = "http://www.onvif.org/ver10/replay/wsdl"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"
SCHEMA = "http://www.onvif.org/ver10/schema"

SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"


class Operation:
    """One operation as it goes over the wire. `body` and `header` are XML; `action`: its SOAP action where its namespace does not give it.

    `large` answers may be long; `repeatable` ones do no harm when sent twice.
    """

    __slots__ = ("answer", "body", "header", "large", "namespace", "repeatable", "type")

    def __init__(
        self,
        namespace: str,
        name: str,
        body: bytes = b"",
        *,
        header: bytes = b"",
        action: str = "",
        large: bool = False,
        repeatable: bool = True,
    ) -> None:
        self.namespace = namespace
        self.answer = f"{{{namespace}}}{name}Response"
        self.type = content_type(action or f"{namespace}/{name}")
        self.header = header
        self.body = body or f'<ns0:{name} xmlns:ns0="{namespace}"/>'.encode()
        self.large = large
        self.repeatable = repeatable


def envelope(body: bytes, header: bytes = b"") -> bytes:
    """A SOAP 1.2 envelope around `body`, which must be XML already."""
    if header:
        header = b"<soap-env:Header>" + header + b"</soap-env:Header>"
    return _OPEN + header + b"<soap-env:Body>" + body + _CLOSE


def content_type(action: str) -> tuple[str, str]:
    """The Content-Type field of a SOAP 1.2 request (SOAP 1.2 part 2, appendix A)."""
    return ("Content-Type", f'application/soap+xml; charset=utf-8; action="{action}"')


def open_answer(
    answer: Answer, expected: str, *, large: bool = False, mend: Callable[[bytes], bytes | None] = lambda _body: None
) -> etree._Element:
    """The payload of `answer`: the element `expected` (in Clark notation), nothing else.

    `mend` is asked what to read in the place of a body that is no well-formed XML, None for nothing.
    Raises AuthenticationFailed (with why, as far as the device says), NotSupported, Busy, DeviceFault, ProtocolError.
    """
    if answer.status in _REFUSALS:
        raise refusal(answer)
    payload = _payload(answer, large=large, mend=mend)
    if payload.tag in _FAULTS:
        raise _fault(payload)
    if payload.tag != expected:
        raise ProtocolError(f"the answer is not the one to {etree.QName(expected).localname}", code="wrong-operation")
    if answer.status >= 400:
        raise by_status(answer.status)
    return payload


def parse(body: bytes, *, large: bool = False) -> etree._Element:
    """The root element of a document that a device sent. Raises ProtocolError: too-large, dtd, malformed."""
    if body.count(b"<") + body.count(b"=") > (_LARGE_NODES if large else _NODES):
        raise ProtocolError("the answer has too many parts", code="too-large")
    try:
        root = etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError as error:
        if b"<!DOCTYPE" in body:
            raise ProtocolError("the answer declares a document type", code="dtd") from None
        raise ProtocolError(f"the answer is no well-formed XML (line {error.lineno})") from None
    except ValueError:
        raise ProtocolError("the answer is no XML document") from None
    if root.getroottree().docinfo.doctype or b"<!DOCTYPE" in body:  # type: ignore[union-attr]  # the stubs lack it
        raise ProtocolError("the answer declares a document type", code="dtd")
    return root


def refusal(answer: Answer) -> AuthenticationFailed:
    """What a status that refuses us means (401, 403, 423, 429), with why, as far as the device says."""
    if answer.status in (423, 429):
        return refused("locked-out" if answer.status == 423 else "too-many-connections")
    return refused(_why_refused(answer.body[:4096].decode("latin-1").lower()))


def refused(code: str) -> AuthenticationFailed:
    """A refusal for a known reason, with what a person can do about it."""
    return AuthenticationFailed(f"the device refuses us: {code}", code=code, hint=_HINTS[code])


def by_status(status: int) -> DeviceError:
    """What a status without a SOAP answer means."""
    if status in (404, 405, 501):
        return NotSupported(f"the device has no such service (HTTP {status})", detail=str(status))
    if status == 503:
        return Busy("the device is too busy (HTTP 503)", detail="503")
    return DeviceFault(f"the device answers with HTTP {status}", detail=str(status))


def local(element: etree._Element) -> str:
    """The name of `element` without its namespace."""
    tag: str = element.tag
    return tag.rpartition("}")[2]


def child(element: etree._Element | None, *names: str) -> etree._Element | None:
    """The first descendant along `names`, by local name: firmware does not agree on the namespaces of inner elements."""
    for name in names:
        if element is None:
            return None
        element = next(element.iterchildren("{*}" + name), None)
    return element


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """All children of that local name."""
    return iter(()) if element is None else element.iterchildren("{*}" + name)


def text(element: etree._Element | None, *names: str) -> str:
    """The text along `names`, without surrounding white space; "" where it is missing."""
    found = child(element, *names)
    return (found.text or "").strip() if found is not None else ""


# -- reading ----------------------------------------------------------------------------------------------------------

_OPEN = b'<?xml version="1.0" encoding="utf-8"?>\n<soap-env:Envelope xmlns:soap-env="http://www.w3.org/2003/05/soap-envelope">'
_CLOSE = b"</soap-env:Body></soap-env:Envelope>"

# libxml2 spends about 150 bytes on a node however short it is: what bounds memory is the number of nodes, not of bytes.
_NODES = SOAP_LIMIT // 64
_LARGE_NODES = 32 * 1024

_PARSER = etree.XMLParser(
    resolve_entities=False,
    no_network=True,
    load_dtd=False,
    dtd_validation=False,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)
_ENVELOPES = {f"{{{SOAP12}}}Envelope": f"{{{SOAP12}}}Body", f"{{{SOAP11}}}Envelope": f"{{{SOAP11}}}Body"}
_FAULTS = {f"{{{SOAP12}}}Fault", f"{{{SOAP11}}}Fault"}


def _payload(answer: Answer, *, large: bool, mend: Callable[[bytes], bytes | None]) -> etree._Element:
    try:
        return _unwrap(_parsed(answer.body, large=large, mend=mend))
    except ProtocolError:
        if answer.status >= 400:  # an error page of the web server beneath
            raise by_status(answer.status) from None
        raise


def _parsed(body: bytes, *, large: bool, mend: Callable[[bytes], bytes | None]) -> etree._Element:
    try:
        return parse(body, large=large)
    except ProtocolError as error:
        mended = mend(body) if error.code == "malformed" else None
        if mended is None:
            raise
    return parse(mended, large=large)


def _unwrap(root: etree._Element) -> etree._Element:
    body_tag = _ENVELOPES.get(root.tag)
    if body_tag is None:
        raise ProtocolError("the answer is no SOAP envelope")
    body = next(root.iterchildren(body_tag), None)
    if body is None or len(body) == 0:
        raise ProtocolError("the SOAP envelope of the answer is empty")
    return body[0]


# -- refusals ---------------------------------------------------------------------------------------------------------

_REFUSALS = {401, 403, 423, 429}
_TELLING = (
    ("locked-out", re.compile(r"\block(ed|out)?\b|\block-out\b|\battempts?\b")),
    ("too-many-connections", re.compile(r"\btoo many\b|\b(max|limit)[a-z]*\b.{0,40}\b(connection|session|user|client)s?\b")),
    ("clock-skew", re.compile(r"\bexpired\b|\btime ?stamp\b|\bclock\b|\btime (check|difference|skew)\b")),
)
_NOT_AUTHORIZED = {
    "NotAuthorized",
    "SenderNotAuthorized",
    "FailedAuthentication",
    "FailedCheck",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "MessageExpired",
    "UnsupportedSecurityToken",
}
_ABSENT = ("NotSupported", "NotImplemented", "UnknownAction", "NoSuchService", "NoPTZProfile")


def _why_refused(said: str) -> str:
    """The code of a refusal, from what the device says of it; a wrong password when it says nothing."""
    return next((code for code, telling in _TELLING if telling.search(said)), "bad-credentials")


_HINTS = {
    "bad-credentials": "Check the user name and password of this device in the inventory; they are not tried again until they change.",
    "clock-skew": "The device's clock makes our signature look expired: set its clock, or let it follow a time server.",
    "too-many-connections": "The device serves too many clients; close some of them.",
    "locked-out": "The device has locked us out for a while after wrong passwords; find out who keeps trying them.",
}


def _fault(fault: etree._Element) -> DeviceError:
    """SOAP 1.2 part 1, 5.4, and SOAP 1.1, 4.4; the subcodes are ONVIF Core, 5.8.2."""
    codes = [local_value for value in _codes(fault) if (local_value := value.rpartition(":")[2])]
    reason = (text(fault, "Reason", "Text") or text(fault, "faultstring"))[:200]
    detail = "/".join(codes)[:200]
    if _NOT_AUTHORIZED.intersection(codes):
        return refused("clock-skew" if "MessageExpired" in codes else _why_refused(reason.lower()))
    if any(part in code for code in codes for part in _ABSENT):
        return NotSupported(f"the device cannot do this: {reason}", detail=detail)
    return DeviceFault(f"the device refuses: {reason or detail}", detail=detail)


def _codes(fault: etree._Element) -> Iterator[str]:
    yield text(fault, "faultcode")
    code = child(fault, "Code")
    while code is not None:
        yield text(code, "Value")
        code = child(code, "Subcode")
