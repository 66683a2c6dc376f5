"""The parts with which people reach into a device: captures, steering, a port's power."""

from dataclasses import dataclass

from gateway.composition.ground import Ground
from gateway.control.captures import CaptureDesk
from gateway.control.power import PowerDesk
from gateway.control.steering import SteeringDesk
from gateway.control.stills import StreamStills


@dataclass(frozen=True, slots=True)
class ControlParts:
    captures: CaptureDesk
    steering: SteeringDesk
    power: PowerDesk


def make_control(ground: Ground) -> ControlParts:
    store, clock, drivers = ground.store, ground.clock, ground.drivers
    stills = StreamStills(target_of=drivers.target_of, refusals_of=drivers.refusals_of)
    captures = CaptureDesk(store=store, clock=clock, camera_of=drivers.onvif_of, stills=stills)
    return ControlParts(
        captures=captures,
        steering=SteeringDesk(store=store, clock=clock, camera_of=drivers.onvif_of, moved=captures.forget),
        power=PowerDesk(
            store=store,
            city=ground.city,
            clock=clock,
            ports=drivers.port_power,
            survey=drivers.neighbours_of,
            target_of=drivers.target_of,
            writing_to=drivers.writing_to,
        ),
    )
