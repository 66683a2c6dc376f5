"""Power: a hung device is switched off and on again at its switch."""

from gateway.api.models import Input, Instant, Line, Output
from gateway.api.routes.devices import find_device
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach
from gateway.control.power import Cycled, PowerOutcome
from gateway.domain.access import Permission
from gateway.errors import Conflict, DeviceError, Forbidden, NotFound, NotSupported, Overloaded

routes = Routes("power", "What feeds a device.")


class PowerCycleIn(Input):
    """Why the device is cut off for a moment."""

    reason: Line


class PowerCycleOut(Output):
    """What was done. `unknown`: the switch did not say; the gateway goes on until the port is on again."""

    id: str
    device: str
    switch: str
    port: int
    outcome: PowerOutcome
    began_at: Instant
    ended_at: Instant


@routes.op(
    "POST",
    "/v1/devices/{device_id}/power-cycle",
    needs=Permission.HEALTH_MANAGE,
    problems=(NotFound, Conflict, Forbidden, NotSupported, Overloaded, DeviceError),
    repeatable=True,
)
async def cycle_power(call: Call, body: PowerCycleIn) -> PowerCycleOut:
    """Switch the power of a camera's or loudspeaker's port off, wait 5 s, and switch it on again, whatever becomes of the caller.

    Refused where the inventory does not name a port that is the device's alone, where the switch itself says that somebody else hangs
    there, and more than once in 10 minutes.
    """
    device = find_device(call.services.city, call.path("device_id"))
    must_reach(call.caller.key, [device.id], call.services.city)
    if call.services.power is None:
        raise Conflict("No port is switched while the gateway starts or ends.", code="power-not-ready")
    return _out(await call.services.power.cycle(device.id, reason=body.reason, actor=call.caller.actor))


def _out(done: Cycled) -> PowerCycleOut:
    return PowerCycleOut(
        id=done.id,
        device=done.device,
        switch=done.switch,
        port=done.port,
        outcome=done.outcome,
        began_at=done.began_at,
        ended_at=done.ended_at,
    )
