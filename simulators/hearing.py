"""What loudspeakers heard and played, for the control API.

GET    /speakers/{id}/heard          packets, kernel arrival times, each talk and each clip
GET    /speakers/{id}/heard/packets  the last packets one by one
GET    /speakers/{id}/heard.wav      what came out of the horn, to listen to
DELETE /speakers/{id}/heard          forget it
GET    /speakers/{id}/cabinet        volume, amplifier, contact: what SNMP tells of them
POST   /speakers/{id}/cabinet        {"volume": 80, "amplifier": "fault", "contact": "open"}, or some of them
GET    /speakers/{id}/calls          how a telephone takes calls
POST   /speakers/{id}/calls          {"answers": false, "rings_s": 2, "refuses": 486, …}, some of `simulators.sip.habits`
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from simulators.city import City, SimDevice
from simulators.heard import Heard, HeardSession, PlayedClip
from simulators.http import Request, Response
from simulators.replies import answered, problem, told
from simulators.sip.habits import KINDS
from simulators.state import State

TALK: Final = ("peer", "transport", "encoding", "started_ns", "ended_ns", "packets", "refused", "unplayable", "missing_samples", "first_ns",
               "last_ns", "played_ns", "level")  # fmt: skip


class Hearing:
    """The paths below /speakers."""

    def __init__(self, city: City, state: State) -> None:
        self._city, self._state = city, state
        self._handlers: Mapping[tuple[str, str], Callable[[SimDevice, Request], Response]] = {
            ("GET", "heard"): self._heard,
            ("GET", "heard/packets"): self._packets,
            ("GET", "heard.wav"): self._wav,
            ("DELETE", "heard"): self._forget,
            ("GET", "cabinet"): self._cabinet,
            ("POST", "cabinet"): self._change_cabinet,
            ("GET", "calls"): self._calls,
            ("POST", "calls"): self._change_calls,
        }

    def answer(self, request: Request, parts: list[str]) -> Response | None:
        """The answer, None for a path that there is not. `parts`: the path's, "speakers" first."""
        handler = self._handlers.get((request.method, "/".join(parts[2:])))
        if handler is None:
            return None
        device = self._city.by_id(parts[1])
        if device is None or device.kind != "speaker":
            return problem(404, f"no speaker is called {parts[1][:80]}")
        return handler(device, request)

    def _heard(self, device: SimDevice, _request: Request) -> Response:
        return answered(self._told(self._of(device)))

    def _packets(self, device: SimDevice, _request: Request) -> Response:
        return answered({"packets": self._of(device).arrivals()})

    def _wav(self, device: SimDevice, _request: Request) -> Response:
        return Response(200, self._of(device).wav(self._now_ns()), b"audio/wav")

    def _forget(self, device: SimDevice, _request: Request) -> Response:
        self._state.heard.pop(device.id, None)
        return answered(self._told(Heard()))

    def _cabinet(self, device: SimDevice, _request: Request) -> Response:
        return answered(asdict(self._state.cabinet(device)))

    def _change_cabinet(self, device: SimDevice, request: Request) -> Response:
        try:
            wanted = told(request, volume=int, amplifier=str, contact=str)
            self._state.cabinets[device.id] = self._state.cabinet(device).changed(wanted)
        except ValueError as error:
            return problem(400, str(error))
        self._state.journal.note(self._state.now(), "cabinet", device=device.id, detail=str(wanted))
        return self._cabinet(device, request)

    def _calls(self, device: SimDevice, _request: Request) -> Response:
        return answered(asdict(self._state.habits_of(device)))

    def _change_calls(self, device: SimDevice, request: Request) -> Response:
        try:
            wanted = told(request, **KINDS)
            self._state.habits[device.id] = self._state.habits_of(device).changed(wanted)
        except ValueError as error:
            return problem(400, str(error))
        self._state.journal.note(self._state.now(), "calls", device=device.id, detail=str(wanted))
        return self._calls(device, request)

    def _of(self, device: SimDevice) -> Heard:
        return self._state.heard.get(device.id) or Heard()

    def _now_ns(self) -> int:
        return int(self._state.now() * 1e9)

    def _told(self, heard: Heard) -> dict[str, Any]:
        now_ns = self._now_ns()
        return {
            "packets": heard.packets,
            "octets": heard.octets,
            "encoding": heard.encoding,
            "first_ns": heard.first_ns,
            "last_ns": heard.last_ns,
            "playing": heard.is_playing(now_ns),
            "sessions": [_talk(session) for session in heard.sessions],
            "clips": [_clip(clip, now_ns) for clip in heard.clips],
        }


def _talk(session: HeardSession) -> dict[str, Any]:
    return {name: getattr(session, name) for name in TALK}


def _clip(clip: PlayedClip, now_ns: int) -> dict[str, Any]:
    return {
        "token": clip.token,
        "started_ns": clip.started_ns,
        "ends_ns": clip.end_ns(),
        "seconds": clip.run_s,
        "level": clip.level,
        "playing": clip.is_playing(now_ns),
    }
