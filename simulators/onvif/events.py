"""The Events service (ONVIF Core §9): pull points with leases, each at an address of its own below the service's.

Push (WS-BaseNotification Subscribe) is not offered, and its capabilities say so.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any, Final
from xml.sax.saxutils import escape

from simulators.onvif import topics
from simulators.onvif.pull_points import POINTS, PullPoint, PullPoints
from simulators.onvif.soap import PREFIXES, Call, SoapFault, invalid, not_supported, read_duration, read_time, xml_time
from simulators.onvif.unit import Operation, Service, Unit

PATH: Final = "/onvif/event_service"
BELOW: Final = f"{PATH}/"
"""Where the pull points are."""
LEASE_S: Final = 60.0
"""When nobody says how long."""
LONGEST_LEASE_S: Final = 86_400.0
LONGEST_PULL_S: Final = 60.0
AT_ONCE: Final = 50
"""Messages in one answer."""
_NUMBER: Final = re.compile(re.escape(BELOW) + r"(\d{1,9})")
_PORT_TYPES: Final = {
    "Renew": "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager",
    "Unsubscribe": "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager",
    "PullMessages": "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription",
    "SetSynchronizationPoint": "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription",
}


def addressing(call: Call) -> str:
    """The WS-Addressing headers of an answer."""
    port_type = _PORT_TYPES.get(call.operation, f"{PREFIXES['tev']}/EventPortType")
    related = escape(call.addressing("MessageID")[:256])
    return f"<wsa:Action>{port_type}/{call.operation}Response</wsa:Action><wsa:RelatesTo>{related}</wsa:RelatesTo>"


def pulls(unit: Unit) -> bool:
    """Whether it says that it has pull points."""
    return unit.quirk("pull-point-denied") is None


def _capabilities(unit: Unit) -> str:
    points = POINTS if pulls(unit) else 0
    return (
        '<tev:Capabilities WSSubscriptionPolicySupport="false" WSPausableSubscriptionManagerInterfaceSupport="false" '
        f'MaxNotificationProducers="0" MaxPullPoints="{points}" PersistentNotificationStorage="false"/>'
    )


def _event_properties(_unit: Unit, _call: Call) -> str:
    return (
        "<tev:TopicNamespaceLocation>http://www.onvif.org/onvif/ver10/topics/topicns.xml</tev:TopicNamespaceLocation>"
        f"<wsnt:FixedTopicSet>true</wsnt:FixedTopicSet><wstop:TopicSet>{topics.topic_set()}</wstop:TopicSet>"
        f"<wsnt:TopicExpressionDialect>{topics.CONCRETE}</wsnt:TopicExpressionDialect>"
        f"<wsnt:TopicExpressionDialect>{topics.CONCRETE_SET}</wsnt:TopicExpressionDialect>"
        "<tev:MessageContentFilterDialect/>"
        "<tev:MessageContentSchemaLocation>http://www.onvif.org/onvif/ver10/schema/onvif.xsd</tev:MessageContentSchemaLocation>"
    )


def _create(unit: Unit, call: Call) -> str:
    if unit.quirk("pull-point-promised") is not None:
        raise not_supported()
    wants, lease_s = topics.wanted(call.element), _lease(unit, call.text("InitialTerminationTime"))
    if unit.pull_points is None:
        unit.pull_points = PullPoints(unit.device, unit.state)
    point = unit.pull_points.open(wants, lease_s)
    address = unit.http_url(f"{BELOW}{point.number}")
    return (
        f"<tev:SubscriptionReference><wsa:Address>{address}</wsa:Address></tev:SubscriptionReference>"
        f"<wsnt:CurrentTime>{xml_time(unit.now())}</wsnt:CurrentTime><wsnt:TerminationTime>{_end(unit, point)}</wsnt:TerminationTime>"
    )


# -- at the address of a pull point -----------------------------------------------------------------------------------


async def _pull(unit: Unit, call: Call) -> str:
    point, timeout_s = _point(unit, call), read_duration(call.text("Timeout"))
    limit = call.text("MessageLimit")
    if timeout_s is None or not limit.isdigit():
        raise invalid("Timeout is a duration and MessageLimit a number", "ter:InvalidArgs")
    if unit.quirk("pull-does-not-extend") is None:
        point.ends = max(point.ends, unit.state.now() + point.lease_s)
    if unit.quirk("initialized-again") is not None and not point.messages:
        assert unit.pull_points is not None
        unit.pull_points.tell_states(point)
    await point.wait(min(timeout_s, LONGEST_PULL_S))
    _point(unit, call)
    told = "".join(point.messages.popleft() for _ in range(min(len(point.messages), max(int(limit), 1), AT_ONCE)))
    return f"<tev:CurrentTime>{xml_time(unit.now())}</tev:CurrentTime><tev:TerminationTime>{_end(unit, point)}</tev:TerminationTime>{told}"


def _renew(unit: Unit, call: Call) -> str:
    point, now = _point(unit, call), unit.state.now()
    if unit.quirk("renew-refused") is not None:
        raise invalid("cannot renew", "ter:InvalidArgs")
    lease_s = _lease(unit, call.text("TerminationTime"))
    crashes, before, point.renewed = unit.quirk("renewing-crashes"), point.renewed, now
    if crashes is not None and now - before < float(crashes["within_s"]):
        unit.state.rebooted(unit.device, detail="renewed too soon")
        raise SoapFault("out of order", code="Receiver")
    point.lease_s, point.ends = lease_s, now + lease_s
    return f"<wsnt:TerminationTime>{_end(unit, point)}</wsnt:TerminationTime><wsnt:CurrentTime>{xml_time(unit.now())}</wsnt:CurrentTime>"


def _unsubscribe(unit: Unit, call: Call) -> str:
    point = _point(unit, call)
    assert unit.pull_points is not None
    unit.pull_points.close(point)
    return ""


def _synchronise(unit: Unit, call: Call) -> str:
    point = _point(unit, call)
    assert unit.pull_points is not None
    unit.pull_points.tell_states(point)
    return ""


def _point(unit: Unit, call: Call) -> PullPoint:
    found = _NUMBER.fullmatch(call.path)
    point = unit.pull_points.find(int(found.group(1))) if found and unit.pull_points else None
    if point is None:
        raise SoapFault("no such subscription", "ter:InvalidArgVal", "ter:NoEntity")
    return point


def _end(unit: Unit, point: PullPoint) -> str:
    return xml_time(unit.now() + point.ends - unit.state.now())


def _lease(unit: Unit, said: str) -> float:
    """Seconds from now until the termination time that a request names, as a duration or as a moment."""
    if not said:
        return LEASE_S
    if not said.startswith("P"):
        return _bounded(read_time(said) - unit.now())
    if unit.quirk("relative-time-refused") is not None:
        return 0.0
    if unit.quirk("relative-minutes-as-seconds") is not None and "M" in said:
        said = f"{said.partition('M')[0]}S"
    seconds = read_duration(said)
    if seconds is None:
        raise SoapFault("not a time", "wsnt:UnacceptableInitialTerminationTimeFault")
    return _bounded(seconds)


def _bounded(seconds: float) -> float:
    if seconds <= 0:
        raise SoapFault("that has passed", "wsnt:UnacceptableInitialTerminationTimeFault")
    return min(seconds, LONGEST_LEASE_S)


# -- addressing -------------------------------------------------------------------------------------------------------


def _addressed(operation: Operation, *, at_point: bool) -> Operation:
    """The operation behind what a device thinks of addressing headers."""

    def checked(unit: Unit, call: Call) -> str | Coroutine[Any, Any, str]:
        unit.state.count("events", call.operation, unit.device.kind)
        carried = call.addressing("Action") and call.addressing("To")
        if carried and unit.quirk("refuses-addressing") is not None:
            raise SoapFault("a header was not understood", code="MustUnderstand")
        if at_point and not carried and unit.quirk("needs-addressing") is not None:
            raise SoapFault("a header is missing", "wsa:MessageAddressingHeaderRequired")
        return operation(unit, call)

    return checked


def _all(*, at_point: bool, **operations: Callable[[Unit, Call], Any]) -> dict[str, Operation]:
    return {name: _addressed(operation, at_point=at_point) for name, operation in operations.items()}


_PATHS: Final = {"": PATH, "HIKVISION": "/onvif/Events", "AXIS": "/onvif/services"}
SERVICE: Final = Service(
    prefix="tev",
    paths=_PATHS,
    version=(2, 60),
    capabilities=_capabilities,
    operations=_all(at_point=False, GetEventProperties=_event_properties, CreatePullPointSubscription=_create),
)
MANAGER: Final = Service(
    prefix="tev",
    paths={},
    version=(2, 60),
    capabilities=_capabilities,
    operations=_all(at_point=True, PullMessages=_pull, Renew=_renew, Unsubscribe=_unsubscribe, SetSynchronizationPoint=_synchronise),
    anonymous=frozenset(),
)
