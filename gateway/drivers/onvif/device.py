"""One ONVIF device: its clock and identity by the cheap path."""

from gateway.drivers.base import DeviceClock, Identity
from gateway.drivers.http import Conversation
from gateway.drivers.onvif.answers import read_identity
from gateway.drivers.onvif.caller import Caller
from gateway.drivers.onvif.soap import DEVICE, Operation

GET_IDENTITY = Operation(DEVICE, "GetDeviceInformation")


class OnvifDevice(Caller):
    """A camera, recorder or loudspeaker that speaks ONVIF."""

    __slots__ = ()

    async def check(self, *, timeout_s: float) -> tuple[DeviceClock, Identity]:
        """The health check: clock anonymously and identity signed, on one connection."""
        return await self.converse(self._check(), timeout_s=timeout_s)

    async def read_clock(self, *, timeout_s: float) -> DeviceClock:
        return await self.converse(self.clock(), timeout_s=timeout_s)

    async def identity(self, *, timeout_s: float) -> Identity:
        return (await self.check(timeout_s=timeout_s))[1]

    def _check(self) -> Conversation[tuple[DeviceClock, Identity]]:
        clock = yield from self.clock(last=False)
        payload = yield from self.signed(GET_IDENTITY, self._entry)
        return clock, read_identity(payload)
