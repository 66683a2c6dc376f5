"""The control API: what the simulated devices recorded, for whoever judges the gateway, and their faults, for whoever tries it.

GET    /devices                  every device: id, kind, address, whether its identity was read with a good login
GET    /devices/{id}             one device with its logins by protocol, its fault and what is true of it
POST   /devices/{id}/fault       give it a fault (`simulators.faults.Fault` as JSON)
                                 beside others with ?cause=NAME: faults of several causes are merged
DELETE /devices/{id}/fault       heal it; with ?cause=NAME of that one alone
POST   /devices/{id}/events      let something begin or end before a camera: {"kind": "motion", "on": true}
POST   /devices/{id}/reboot      start it anew, after {"dark_s": 20} seconds of silence when that is said
GET    /scenarios                what can happen to the city, and what runs
POST   /scenarios/{name}         let it happen: {"seed": 1, "scale": 1.0, "pace": 1.0}
DELETE /scenarios                end what runs, and heal everything that it did
PUT    /devices/{id}/quirks/{q}  switch a quirk of the book on, with parameters as JSON
DELETE /devices/{id}/quirks/{q}  switch it off, the device's own ones too
…      /speakers/{id}…          what loudspeakers heard and played (`simulators.hearing`)
…      /switches/{id}…          ports and power of switches (`simulators.switchboard`)
…      /traps                   who hears the devices' SNMP notifications (likewise)
GET    /journal?since=N          what was done to the city after entry N
GET    /counters                 requests, good and bad logins by protocol and kind
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import unquote

from simulators.city import City, SimDevice
from simulators.faults import HEALTHY, PROTOCOLS, Fault
from simulators.happenings import KINDS
from simulators.hearing import Hearing
from simulators.http import Behaviour, Request, Response
from simulators.playbill import Playbill
from simulators.quirks import QuirkBook
from simulators.reboot import reboot
from simulators.replies import answered, problem, told
from simulators.state import State
from simulators.switchboard import Switchboard, TrapDesk

SECRETS: Final = frozenset({"password", "snmp"})
"""Fields of a device that stay in `city.json`."""


class Control:
    """Answers the control API: implements `simulators.http.Host`."""

    def __init__(self, city: City, state: State) -> None:
        self._city = city
        self._state = state
        self._book = QuirkBook.load()
        self._handlers: Mapping[tuple[str, str, str], Callable[[SimDevice, Request], Response]] = {
            ("GET", "devices", ""): self._device,
            ("POST", "devices", "fault"): self._break,
            ("DELETE", "devices", "fault"): self._heal,
            ("POST", "devices", "events"): self._happen,
            ("POST", "devices", "reboot"): self._reboot,
        }
        self._nouns: Mapping[str, Callable[[Request, list[str]], Response | None]] = {
            "speakers": Hearing(city, state).answer,
            "switches": Switchboard(city, state).answer,
            "traps": TrapDesk(city, state).answer,
            "scenarios": Playbill(city, state).answer,
        }

    def welcomes(self) -> bool:
        return True

    def behaviour(self, _request: Request) -> Behaviour | None:
        return None

    def answer(self, request: Request) -> Response:
        parts = request.target.partition("?")[0].strip("/").split("/")
        match request.method, parts:
            case "GET", ["devices"]:
                return answered({"devices": [self._summary(device) for device in self._city.devices]})
            case "GET", ["counters"]:
                return answered({"counters": dict(sorted(self._state.counters.items()))})
            case "GET", ["journal"]:
                return self._journal(request)
            case "PUT" | "DELETE" as method, ["devices", device_id, "quirks", switch]:
                return self._switch(request, device_id, switch, on=method == "PUT")
            case _, [noun, *_] if noun in self._nouns:
                return self._nouns[noun](request, parts) or problem(404, "no such path")
            case method, [noun, device_id, *rest] if len(rest) < 2:
                return self._about_one(request, (method, noun, "".join(rest)), device_id)
        return problem(404, "no such path")

    def _about_one(self, request: Request, key: tuple[str, str, str], device_id: str) -> Response:
        handler, device = self._handlers.get(key), self._city.by_id(device_id)
        if handler is None or device is None:
            return problem(404, "no such path" if handler is None else f"no device is called {device_id[:80]}")
        return handler(device, request)

    # -- devices

    def _summary(self, device: SimDevice) -> dict[str, Any]:
        return {"id": device.id, "kind": device.kind, "address": device.address, "verified": self._state.is_verified(device)}

    def _device(self, device: SimDevice, _request: Request) -> Response:
        truth = {name: value for name, value in asdict(device).items() if name not in SECRETS}
        logins = {protocol: self._state.logins[device.id, protocol] for protocol in PROTOCOLS}
        fault = self._state.fault(device)
        return answered(
            truth
            | {
                "quirks": self._state.quirks_of(device),
                "verified": self._state.is_verified(device),
                "logins": logins,
                "fault": _fault(fault),
            }
        )

    def _break(self, device: SimDevice, request: Request) -> Response:
        try:
            raw = json.loads(request.body)
            if not isinstance(raw, dict):
                return problem(400, "a fault is a JSON object")
            fault = Fault.parse(raw)
        except ValueError as error:
            return problem(400, str(error))
        self._state.ail(device, fault, cause=_cause(request))
        return answered(_fault(self._state.fault(device)))

    def _heal(self, device: SimDevice, request: Request) -> Response:
        self._state.cure(device, cause=_cause(request) or None)
        return answered(_fault(self._state.fault(device)))

    def _reboot(self, device: SimDevice, request: Request) -> Response:
        try:
            dark_s = float(told(request, dark_s=float).get("dark_s", 0.0))
        except ValueError as error:
            return problem(400, str(error))
        if dark_s > 0:
            reboot(self._state, (device,), dark_s=dark_s)
        else:
            self._state.rebooted(device)
        return answered({"device": device.id})

    def _happen(self, device: SimDevice, request: Request) -> Response:
        try:
            said = json.loads(request.body)
            kind, on = said["kind"], said.get("on", True)
        except (ValueError, KeyError, TypeError, AttributeError):
            kind = on = None
        if device.kind != "camera" or kind not in KINDS or not isinstance(on, bool):
            return problem(400, f'a camera takes {{"kind": one of {", ".join(KINDS)}, "on": true or false}}')
        self._state.happen(device, kind, on=on)
        return answered({"device": device.id, "kind": kind, "on": on})

    def _switch(self, request: Request, device_id: str, switch: str, *, on: bool) -> Response:
        device = self._city.by_id(device_id)
        if device is None:
            return problem(404, f"no device is called {device_id[:80]}")
        try:
            given = json.loads(request.body or b"{}") if on else {}
            parameters = self._book.switched_on(switch, given if isinstance(given, dict) else {})
        except ValueError as error:
            return problem(400, str(error))
        self._state.switch_quirk(device, switch, parameters if on else None)
        return answered({"device": device.id, "switch": switch, "on": on, "parameters": parameters if on else {}})

    def _journal(self, request: Request) -> Response:
        number = request.target.partition("?since=")[2]
        entries = self._state.journal.since(int(number) if number.isdigit() else 0)
        return answered({"entries": [asdict(entry) for entry in entries]})


def _fault(fault: Fault) -> dict[str, Any]:
    """A fault as it is shown, its usual values too; a changed password is named, not shown."""
    return {name: value for name, value in asdict(HEALTHY).items() if name != "parts"} | fault.told()


def _cause(request: Request) -> str:
    return unquote(request.target.partition("?cause=")[2])[:80]
