"""The control API's switches: their ports and their power; and where the devices' notifications go.

GET  /switches/{id}              its ports: what hangs there, switched on or not, with power over Ethernet or not
POST /switches/{id}/ports/{n}    {"admin": "down"} or {"admin": "up"}, {"poe": "off"} or {"poe": "on"}, or both
POST /switches/{id}/power        {"on": false} or {"on": true}
GET, PUT, DELETE /traps          the receiver: {"to": "127.0.0.1:18162", "informs": false}
POST /traps                      let a device send one: {"device": id, "trap": "linkDown", "port": 3}
"""

from typing import Any

from simulators.city import City, SimDevice
from simulators.http import Request, Response
from simulators.replies import answered, problem, told
from simulators.state import State
from simulators.traps import NAMES, Sink
from simulators.wiring import ports_of, set_port, set_power

_ADMIN = {"up": True, "down": False}
_POE = {"on": True, "off": False}


class Switchboard:
    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state

    def answer(self, request: Request, parts: list[str]) -> Response | None:
        """What comes back for a path below /switches; None where there is none."""
        if len(parts) < 2:
            return None
        switch = self._city.by_id(parts[1])
        if switch is None or switch.kind != "switch":
            return problem(404, f"no switch is called {parts[1][:80]}")
        try:
            match request.method, parts[2:]:
                case "GET", []:
                    return answered(self._shown(switch))
                case "POST", ["ports", number]:
                    return self._port(switch, number, request)
                case "POST", ["power"]:
                    return self._power(switch, request)
        except ValueError as error:
            return problem(400, str(error))
        return None

    def _port(self, switch: SimDevice, number: str, request: Request) -> Response:
        wanted = told(request, admin=str, poe=str)
        if not number.isdecimal() or not wanted:
            raise ValueError("say the port's number and what is to become of it: admin, poe")
        up, powered = (_chosen(wanted, name, words) for name, words in (("admin", _ADMIN), ("poe", _POE)))
        set_port(self._city, self._state, switch, int(number), up=up, powered=powered)
        return answered(self._shown(switch))

    def _power(self, switch: SimDevice, request: Request) -> Response:
        wanted = told(request, on=bool)
        if not wanted:
            raise ValueError("on is missing")
        set_power(self._city, self._state, switch, on=wanted["on"])
        return answered(self._shown(switch))

    def _shown(self, switch: SimDevice) -> dict[str, Any]:
        wires = self._state.wires
        return {
            "id": switch.id,
            "on": switch.id not in wires.off,
            "dark": self._state.dark(switch),
            "ports": [
                {
                    "port": port,
                    "device": behind.id if behind else "",
                    "admin": "down" if (switch.id, port) in wires.ports_down else "up",
                    "poe": "off" if (switch.id, port) in wires.unpowered else "on",
                    "dark": behind is not None and self._state.dark(behind),
                }
                for port, behind in enumerate(ports_of(self._city, switch), start=1)
            ],
        }


def _chosen(wanted: dict[str, Any], name: str, words: dict[str, bool]) -> bool | None:
    if name not in wanted:
        return None
    if wanted[name] not in words:
        raise ValueError(f"{name} is {' or '.join(words)}")
    return words[wanted[name]]


class TrapDesk:
    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state

    def answer(self, request: Request, parts: list[str]) -> Response | None:
        """What comes back for /traps; None for paths below it."""
        if len(parts) > 1:
            return None
        try:
            match request.method:
                case "PUT":
                    wanted = told(request, to=str, informs=bool)
                    self._state.traps.sink = Sink.parse(wanted.get("to", ""), informs=wanted.get("informs", False))
                case "DELETE":
                    self._state.traps.sink = None
                case "POST":
                    return self._send(request)
        except ValueError as error:
            return problem(400, str(error))
        sink = self._state.traps.sink
        return answered({"to": str(sink) if sink else "", "informs": bool(sink and sink.informs)})

    def _send(self, request: Request) -> Response:
        wanted = told(request, device=str, trap=str, port=int)
        device, trap = self._city.by_id(wanted.get("device", "")), NAMES.get(wanted.get("trap", ""))
        if device is None or device.snmp is None or trap is None:
            raise ValueError(f"a device with SNMP and one of {', '.join(NAMES)}")
        self._state.traps.send(device, trap, wanted.get("port", 1))
        return answered({"device": device.id, "trap": wanted["trap"], "sent": self._state.traps.sink is not None})
