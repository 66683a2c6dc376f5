"""All ONVIF devices of the city behind one HTTP listener: logins checked, calls dispatched, pictures served."""

from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from simulators import misbehaviour
from simulators.city import City, SimDevice
from simulators.faults import Answer
from simulators.frames import MAIN, SUB
from simulators.http import Behaviour, Later, Request, Response
from simulators.onvif import (
    analytics,
    clips,
    device,
    deviceio,
    events,
    imaging,
    media,
    media2,
    oddities,
    ptz,
    recording,
    replay,
    search,
    soap,
)
from simulators.onvif.login import Logins
from simulators.onvif.soap import Call, SoapFault
from simulators.onvif.streams import gives_pictures
from simulators.onvif.unit import Service, Unit
from simulators.recorded.door import RecordedDoor
from simulators.recorded.folder import Recording
from simulators.sights import sight_of
from simulators.state import State

SERVICES: Final[Mapping[str, tuple[Service, ...]]] = {
    "camera": (
        *(device.SERVICE, media.SERVICE, media2.SERVICE, events.SERVICE, ptz.SERVICE),
        *(imaging.SERVICE, analytics.SERVICE, deviceio.SERVICE),
    ),
    "speaker": (device.SERVICE, media.SERVICE, clips.SERVICE, deviceio.SERVICE),
    "recorder": (device.SERVICE, recording.SERVICE, search.SERVICE, replay.SERVICE),
    "switch": (),
}
"""What a device of a kind offers when nothing is missing from it; a camera with a card also what a recorder has."""


class Site:
    """Finds the device behind a local address; devices come to life at their first connection."""

    def __init__(self, city: City, state: State) -> None:
        self._city = city
        self._state = state
        self._doors: dict[str, Door] = {}
        self._recorded: dict[str, RecordedDoor] = {}
        state.at_reboot(partial(oddities.thaw, state))
        state.at_reboot(self._rebooted)

    def _rebooted(self, device_: SimDevice) -> None:
        if door := self._doors.get(self._state.body(device_).address):
            door.unit.reboot()

    def lookup(self, address: str) -> "Door | RecordedDoor | None":
        """The device at `address`, None where there is no ONVIF device."""
        found = self._state.at(self._city, address)
        if found is not None and found.recording:
            return self._recorded_door(found)
        door = self._doors.get(address)
        if door is None or door.unit.device is not found:
            if found is None or not SERVICES[found.kind] or "onvif" in found.lacks:
                return None
            door = self._doors[address] = Door(Unit(found, self._city, self._state, services_of(found)))
        return door

    def _recorded_door(self, found: SimDevice) -> RecordedDoor:
        if found.id not in self._recorded:
            self._recorded[found.id] = RecordedDoor(found, self._city, self._state, Recording.load(Path(found.recording)))
        return self._recorded[found.id]


def services_of(found: SimDevice) -> tuple[Service, ...]:
    missing = {prefix for prefix, absent in (("tptz", not found.ptz), ("tr2", "media2" in found.lacks)) if absent}
    kept = (recording.SERVICE, search.SERVICE, replay.SERVICE) if found.card else ()
    offered = (service for service in (*SERVICES[found.kind], *kept) if service.prefix not in missing)
    return tuple(media2.SERVICE if service is clips.SERVICE and "audio-clips" in found.lacks else service for service in offered)


class Door:
    """One device's HTTP: implements `simulators.http.Host`."""

    __slots__ = ("_logins", "_services", "unit")

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._logins = Logins(unit)
        self._services = {soap.PREFIXES[service.prefix]: service for service in unit.services}

    def welcomes(self) -> bool:
        return self.unit.state.fault(self.unit.device).on("http")[0] is not Answer.REFUSE

    def behaviour(self, request: Request) -> Behaviour | None:
        if self.unit.odd() and (manner := oddities.manner(self.unit, request)):
            return manner
        if not self.unit.state.troubled:
            return None
        return misbehaviour.of(*self.unit.state.ill(self.unit.device, "http"), address=self.unit.device.address)

    def answer(self, request: Request) -> Response | Later:
        self._count("requests")
        path = request.target.partition("?")[0]
        return self._odd_answer(request, path) if self.unit.odd() else self._answer(request, path)

    def _odd_answer(self, request: Request, path: str) -> Response | Later:
        """What a device with quirks answers; all others answer by the standard at once."""
        if oddities.is_nowhere(self.unit, path):
            return Response(404, content_type=b"text/plain")
        answer = self._logins.crowded(request) or self._answer(request, path)
        return oddities.altered(self.unit, answer) if isinstance(answer, Response) else self._altered_later(answer)

    async def _altered_later(self, answer: Later) -> Response:
        return oddities.altered(self.unit, await answer)

    def _answer(self, request: Request, path: str) -> Response | Later:
        if path.startswith("/onvif/"):
            return self._soap(request, path) if request.method == "POST" else Response(405, content_type=b"text/plain")
        if path.startswith(clips.UPLOADS) and clips.SERVICE in self.unit.services:
            return clips.upload(self.unit, request)
        if path.startswith("/snapshot/") and gives_pictures(self.unit):
            return self._picture(request, path)
        return Response(404, content_type=b"text/plain")

    # -- SOAP

    def _soap(self, request: Request, path: str) -> Response | Later:
        try:
            call = soap.parse(request.body, path)
            service = events.MANAGER if path.startswith(events.BELOW) else self._services.get(call.namespace)
            if service is None:
                raise soap.not_supported()
            if self._logins.wanted(service, call):
                refusal = self._logins.refusal(request, call)
                if refusal is not None:
                    return refusal
            inner = self._perform(service, call)
            return _answer(call, inner) if isinstance(inner, str) else self._later(call, inner)
        except SoapFault as error:
            return self._fault(error)

    def _perform(self, service: Service, call: Call) -> str | Coroutine[Any, Any, str]:
        """What stands in the Response element of the call."""
        if call.operation == "GetServiceCapabilities":
            return service.capabilities(self.unit)
        if call.operation in service.operations:
            return service.operations[call.operation](self.unit, call)
        raise soap.not_supported()

    async def _later(self, call: Call, inner: Coroutine[Any, Any, str]) -> Response:
        try:
            return _answer(call, await inner)
        except SoapFault as error:
            return self._fault(error)

    def _fault(self, error: SoapFault) -> Response:
        self._count("faults")
        return Response(400 if error.code == "Sender" else 500, soap.fault(error))

    # -- pictures

    def _picture(self, request: Request, path: str) -> Response:
        if path not in {"/snapshot/main.jpg", "/snapshot/sub.jpg"}:
            return Response(404, content_type=b"text/plain")
        if request.method != "GET":
            return Response(405, content_type=b"text/plain")
        refusal = self._logins.challenged(request)
        if refusal is not None:
            return refusal
        from simulators import video  # noqa: PLC0415 -- PyAV takes 30 MiB, which a city that shows no picture does without

        unit, size = self.unit, SUB if path.endswith("sub.jpg") else MAIN
        picture = video.jpeg(sight_of(unit.state, unit.city, unit.device.id), unit.state.now(), size=size)
        return Response(200, picture, b"image/jpeg")

    def _count(self, what: str) -> None:
        self.unit.state.count("http", what, self.unit.device.kind)


def _answer(call: Call, inner: str) -> Response:
    """The Response element of a call; one with addressing headers is answered with such (WS-Addressing 1.0, SOAP binding)."""
    prefix = _PREFIXES[call.namespace]
    header = events.addressing(call) if call.addressing("MessageID") else ""
    return Response(200, soap.envelope(f"<{prefix}:{call.operation}Response>{inner}</{prefix}:{call.operation}Response>", header))


_PREFIXES: Final = {uri: prefix for prefix, uri in soap.PREFIXES.items()}
