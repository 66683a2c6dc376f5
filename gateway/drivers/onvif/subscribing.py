"""The requests that make, pull, renew and end a pull point, and what their answers say (ONVIF Core, 9.2; WS-BaseNotification 1.3)."""

from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from lxml import etree

from gateway.drivers.http import PATH_LIMIT, path_of
from gateway.drivers.onvif.soap import EVENTS, NOTIFICATION, Operation, child, text
from gateway.drivers.onvif.times import read_datetime
from gateway.errors import ProtocolError

ADDRESSING = "http://www.w3.org/2005/08/addressing"
MESSAGES = 50
"""Asked for in one pull."""
PARAMETERS_LIMIT = 2048
"""Bytes of reference parameters that are sent back to a device."""
_PULL_POINT = f"{EVENTS}/PullPointSubscription"
_MANAGER = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a pull point is: `path` is what we ask for, `address` what the device called it, `parameters` what it wants back (XML)."""

    path: str
    address: str = ""
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease as the device's clock tells it; None for a time that it does not tell."""

    reference: Reference
    current: datetime | None
    ends: datetime | None

    @property
    def lasts_s(self) -> float | None:
        return lasts_s(self.current, self.ends)


def lasts_s(current: datetime | None, ends: datetime | None) -> float | None:
    """Seconds that a lease still lasts, never less than none."""
    return None if current is None or ends is None else max((ends - current).total_seconds(), 0.0)


def create(until: str, header: bytes = b"") -> Operation:
    body = (
        f'<ns0:CreatePullPointSubscription xmlns:ns0="{EVENTS}"><ns0:InitialTerminationTime>{until}</ns0:InitialTerminationTime>'
        "</ns0:CreatePullPointSubscription>"
    )
    action = action_of("CreatePullPointSubscription")
    return Operation(EVENTS, "CreatePullPointSubscription", body.encode(), header=header, action=action, repeatable=False)


def pull(wait_s: float, header: bytes = b"") -> Operation:
    body = (
        f'<ns0:PullMessages xmlns:ns0="{EVENTS}"><ns0:Timeout>{duration(wait_s)}</ns0:Timeout>'
        f"<ns0:MessageLimit>{MESSAGES}</ns0:MessageLimit></ns0:PullMessages>"
    )
    return Operation(EVENTS, "PullMessages", body.encode(), header=header, action=action_of("PullMessages"), large=True, repeatable=False)


def synchronise(header: bytes = b"") -> Operation:
    return Operation(EVENTS, "SetSynchronizationPoint", header=header, action=action_of("SetSynchronizationPoint"))


def renew(until: str, header: bytes = b"") -> Operation:
    body = f'<ns0:Renew xmlns:ns0="{NOTIFICATION}"><ns0:TerminationTime>{until}</ns0:TerminationTime></ns0:Renew>'
    return Operation(NOTIFICATION, "Renew", body.encode(), header=header, action=action_of("Renew"), repeatable=False)


def unsubscribe(header: bytes = b"") -> Operation:
    return Operation(NOTIFICATION, "Unsubscribe", header=header, action=action_of("Unsubscribe"))


def duration(seconds: float) -> str:
    """An xs:duration in whole seconds and nothing else: some devices read minutes as seconds."""
    return f"PT{max(int(seconds), 0)}S"


def action_of(name: str) -> str:
    """The WS-Addressing action of an operation, as the WSDLs have it."""
    place = {"Renew": _MANAGER, "Unsubscribe": _MANAGER, "CreatePullPointSubscription": f"{EVENTS}/EventPortType"}.get(name, _PULL_POINT)
    return f"{place}/{name}Request"


def addressing(name: str, to: str, *, message_id: str) -> bytes:
    """The headers that the standard wants on calls of the event service (Core, 5.8.1); none of them with mustUnderstand."""
    return (
        f'<wsa:Action xmlns:wsa="{ADDRESSING}">{action_of(name)}</wsa:Action>'
        f'<wsa:MessageID xmlns:wsa="{ADDRESSING}">{message_id}</wsa:MessageID>'
        f'<wsa:To xmlns:wsa="{ADDRESSING}">{escape(to)}</wsa:To>'
    ).encode()


def read_grant(payload: etree._Element) -> Grant:
    """CreatePullPointSubscriptionResponse. Raises ProtocolError when it says nowhere to pull."""
    reference = child(payload, "SubscriptionReference")
    address = text(reference, "Address")[:PATH_LIMIT]
    if not address:
        raise ProtocolError("the device made a subscription and does not say where it is")
    return Grant(Reference(path_of(address), address, _parameters(reference)), *read_times(payload))


def read_times(payload: etree._Element) -> tuple[datetime | None, datetime | None]:
    """The device's present and the end of the lease, in any answer about one."""
    return read_datetime(text(payload, "CurrentTime")[:64]), read_datetime(text(payload, "TerminationTime")[:64])


def _parameters(reference: etree._Element | None) -> bytes:
    """Reference parameters go back as headers, marked as such (WS-Addressing 1.0, SOAP binding, 3.3)."""
    found, parameters = b"", child(reference, "ReferenceParameters")
    for one in parameters if parameters is not None else ():
        one.set(f"{{{ADDRESSING}}}IsReferenceParameter", "true")
        found += etree.tostring(one, with_tail=False)
    return found if len(found) <= PARAMETERS_LIMIT else b""
