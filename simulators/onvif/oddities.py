"""Answers as odd devices give them: a small function for each switch of the quirk book that alters an answer, its way, or its path."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import cycle
from typing import Final

from simulators.city import Parameters, SimDevice
from simulators.http import Behaviour, Request, Response, Wire
from simulators.misbehaviour import silent
from simulators.onvif.unit import Unit
from simulators.state import State

ENTRY: Final = "/onvif/device_service"
OTHER_ENTRY: Final = "/onvif/services"
NOWHERE: Final = "/onvif/nowhere/"
INNER: Final = b"192.168.1.64"
"""What a camera behind NAT calls itself."""


def altered(unit: Unit, response: Response) -> Response:
    """The answer as the device's quirks make it."""
    for switch, alter in _ALTERATIONS.items():
        parameters = unit.quirk(switch)
        if parameters is not None:
            response = alter(unit, parameters, response)
    return response


def is_nowhere(unit: Unit, path: str) -> bool:
    """Whether nothing is at a path where the standard, or the device itself, says that something is."""
    if path == ENTRY:
        return unit.quirk("other-entry") is not None
    return path.startswith(NOWHERE)


def manner(unit: Unit, request: Request) -> Behaviour | None:
    """How an odd device sends the answer to `request`; None for at once and whole."""
    if unit.quirk("frozen") is not None:
        return silent
    never = unit.quirk("never-answers")
    if never is not None and re.search(rb"[<:]%b\b" % str(never["operation"]).encode(), request.body):
        return silent
    return _dropped if unit.quirk("drops-idle") is not None else None


def thaw(state: State, device: SimDevice) -> None:
    """A reboot brings a frozen device back."""
    if state.quirk(device, "frozen") is not None:
        state.switch_quirk(device, "frozen", None)


async def _dropped(wire: Wire, response: Response) -> None:
    wire.write(response.encoded(close=False))
    wire.close()


# -- addresses


def _inner_addresses(unit: Unit, _parameters: Parameters, response: Response) -> Response:
    return replace(response, body=response.body.replace(b"//" + unit.device.address.encode(), b"//" + INNER))


def _malformed_addresses(unit: Unit, _parameters: Parameters, response: Response) -> Response:
    body = response.body
    for port in {unit.city.http_port, unit.city.rtsp_port}:
        own = f"//{unit.device.address}:{port}".encode()
        body = body.replace(own + b"/", own + b":%d/" % port)
    return replace(response, body=body)


def _unknown_paths(unit: Unit, _parameters: Parameters, response: Response) -> Response:
    own = re.escape(f"XAddr>http://{unit.device.address}:{unit.city.http_port}".encode())
    return replace(response, body=re.sub(rb"(%b)/onvif/(?!device_service<)" % own, rb"\1" + NOWHERE.encode(), response.body))


def _other_entry(unit: Unit, _parameters: Parameters, response: Response) -> Response:
    own = f"//{unit.device.address}:{unit.city.http_port}".encode()
    return replace(response, body=response.body.replace(own + ENTRY.encode(), own + OTHER_ENTRY.encode()))


# -- words


def _gbk_as_utf8(_unit: Unit, _parameters: Parameters, response: Response) -> Response:
    return replace(response, body=response.body.decode().encode("gb18030")) if _is_soap(response) else response


def _undeclared_prefix(_unit: Unit, _parameters: Parameters, response: Response) -> Response:
    """A header with wsa:Action, faults with a detail of ter:Text, and neither prefix declared."""
    if not _is_soap(response):
        return response
    body = re.sub(rb' xmlns:(?:wsa|ter)="[^"]*"', b"", response.body)
    body = body.replace(b"</s:Reason></s:Fault>", b"</s:Reason><s:Detail><ter:Text>refused</ter:Text></s:Detail></s:Fault>")
    if b"<s:Header>" not in body:
        body = body.replace(b"<s:Body>", b"<s:Header/><s:Body>", 1).replace(b"<s:Header/>", b"<s:Header></s:Header>", 1)
    return replace(response, body=body.replace(b"<s:Header>", b"<s:Header><wsa:MessageID>urn:uuid:0</wsa:MessageID>", 1))


def _nul_bytes(_unit: Unit, _parameters: Parameters, response: Response) -> Response:
    return replace(response, body=response.body + b"\0\0\0") if _is_soap(response) else response


def _is_soap(response: Response) -> bool:
    return response.content_type.startswith(b"application/soap+xml")


# -- times


def _dated(unit: Unit, _parameters: Parameters, response: Response) -> Response:
    """What a device with a guarded clock tells of it all the same: the Date of its answers (RFC 9110 §6.6.1)."""
    stamp = format_datetime(datetime.fromtimestamp(unit.now(), UTC), usegmt=True)
    return replace(response, headers=(*response.headers, b"Date: " + stamp.encode()))


_MOMENT: Final = re.compile(rb"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d(?:\.\d+)?)Z")
_COMPONENTS: Final = re.compile(rb"<tt:Hour>(\d+)</tt:Hour><tt:Minute>(\d+)</tt:Minute>")
_LOCAL: Final = re.compile(rb"(<tt:LocalDateTime>.*?<tt:Year>)\d+(</tt:Year><tt:Month>)\d+(</tt:Month><tt:Day>)\d+(</tt:Day>)")
_YEAR: Final = re.compile(rb"<tt:Year>\d+</tt:Year><tt:Month>\d+</tt:Month><tt:Day>\d+</tt:Day>")


def _impossible_times(_unit: Unit, parameters: Parameters, response: Response) -> Response:
    """Minutes that should have been carried, an hour with a sign, and, of what may be missing, dates that are none."""
    if not _is_soap(response):
        return response
    forms = cycle((_uncarried, _signed))
    body = _MOMENT.sub(lambda found: _impossible(found, next(forms)), response.body)
    body = _COMPONENTS.sub(_uncarried_components, body)
    if parameters["no_clock"]:
        body = _YEAR.sub(b"<tt:Year>0</tt:Year><tt:Month>0</tt:Month><tt:Day>0</tt:Day>", body)
    return replace(response, body=_LOCAL.sub(rb"\g<1>0\g<2>0\g<3>0\g<4>", body))


def _impossible(found: re.Match[bytes], form: "Callable[[re.Match[bytes]], bytes]") -> bytes:
    """A time in its impossible form; that of a notification, or of where a track begins, which may be missing, is none at all."""
    before = found.string[max(0, found.start() - 12) : found.start()]
    return b"0000-00-00T00:00:00Z" if before.endswith((b"DataFrom>", b'UtcTime="')) else form(found)


def _uncarried(found: re.Match[bytes]) -> bytes:
    day, hour, minute, second = found.groups()
    if hour == b"00" or minute >= b"40":
        return _signed(found)
    return b"%bT%02d:%02d:%bZ" % (day, int(hour) - 1, int(minute) + 60, second)


def _signed(found: re.Match[bytes]) -> bytes:
    return found[0].replace(b"T", b"T-")


def _uncarried_components(found: re.Match[bytes]) -> bytes:
    hour, minute = int(found[1]), int(found[2])
    return b"<tt:Hour>%d</tt:Hour><tt:Minute>%d</tt:Minute>" % ((hour - 1, minute + 60) if hour and minute < 40 else (hour, minute))


_ALTERATIONS: Final[Mapping[str, Callable[[Unit, Parameters, Response], Response]]] = {
    "inner-addresses": _inner_addresses,
    "malformed-addresses": _malformed_addresses,
    "unknown-paths": _unknown_paths,
    "other-entry": _other_entry,
    "clock-needs-login": _dated,
    "impossible-times": _impossible_times,
    "undeclared-prefix": _undeclared_prefix,
    "gbk-as-utf8": _gbk_as_utf8,
    "nul-bytes": _nul_bytes,
}
"""In this order: what looks for text comes before what changes its bytes."""
