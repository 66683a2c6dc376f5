"""A recorded device's HTTP: its answers under its own address, with the login checked that it was given."""

import operator
from collections.abc import Mapping

from simulators import misbehaviour
from simulators.city import City, SimDevice
from simulators.digest import DigestGuard, Login, Remembered, Verdict
from simulators.faults import Answer
from simulators.http import Behaviour, Request, Response
from simulators.onvif import device as device_service
from simulators.onvif import soap, wsse
from simulators.onvif.soap import Call, SoapFault
from simulators.recorded.folder import Recording
from simulators.state import State

ANONYMOUS = device_service.SERVICE.anonymous | {"GetServiceCapabilities", "GetEndpointReference"}


class RecordedDoor:
    """Implements `simulators.http.Host`. Its clock is the recording's, so a token is good whenever it was made, once."""

    def __init__(self, device: SimDevice, city: City, state: State, recording: Recording) -> None:
        self._device, self._state, self._recording = device, state, recording
        self._guard = DigestGuard(device.id.encode(), state.now, same=operator.eq)
        self._seen = Remembered()
        self._ports: Mapping[bytes, int] = {b"http": city.http_port, b"rtsp": city.rtsp_port}

    def welcomes(self) -> bool:
        return self._state.fault(self._device).on("http")[0] is not Answer.REFUSE

    def behaviour(self, _request: Request) -> Behaviour | None:
        if not self._state.troubled:
            return None
        return misbehaviour.of(*self._state.ill(self._device, "http"), address=self._device.address)

    def answer(self, request: Request) -> Response:
        self._state.count("http", "requests", self._device.kind)
        if request.method != "POST":
            return Response(404, content_type=b"text/plain")
        try:
            call = soap.parse(request.body)
            return self._refusal(request, call) or self._recorded(call)
        except SoapFault as error:
            return Response(400 if error.code == "Sender" else 500, soap.fault(error))

    def _recorded(self, call: Call) -> Response:
        found = self._recording.answer(call.namespace, call.operation)
        if found is None:
            raise soap.not_supported()
        body = self._recording.rewritten(found.body, address=self._device.address, ports=self._ports)
        return Response(500 if found.is_fault else 200, body)

    def _refusal(self, request: Request, call: Call) -> Response | None:
        """None where no login is needed, or a good one given: a WS-UsernameToken or HTTP digest."""
        if not self._device.username or call.operation in ANONYMOUS:
            return None
        verdict = self._verdict(request, call)
        if verdict is Verdict.GOOD:
            self._state.logged_in("http", self._device)
            return None
        self._state.count("http", verdict.value, self._device.kind)
        if wsse.has_token(call.header):
            raise SoapFault("Sender not authorized", "ter:NotAuthorized")
        challenge = self._guard.challenge(self._login(), stale=verdict is Verdict.STALE)
        return Response(401, content_type=b"text/plain", headers=(b"WWW-Authenticate: " + challenge.encode(),))

    def _verdict(self, request: Request, call: Call) -> Verdict:
        if authorization := request.header("Authorization"):
            return self._guard.check(self._login(), method=request.method, url=request.target, authorization=authorization)
        return wsse.verify(
            call.header,
            username=self._device.username,
            password=self._state.password(self._device),
            device_time=0.0,
            seen=self._seen,
            window_s=float("inf"),
        )

    def _login(self) -> Login:
        return Login("recorded device", self._device.username, self._state.password(self._device), qop=True)
