"""What hangs on a switch, and how taking a port or the switch itself down silences all of it."""

from collections.abc import Iterator

from simulators.city import City, SimDevice
from simulators.state import State

POWERED_KINDS = frozenset({"camera", "speaker"})
"""Who lives on power over Ethernet; switches and recorders have a supply of their own."""
POWER_BACK, LINE_BACK = "power back", "line back"
"""What the journal says of a device that comes back: it starts anew after the one, and not after the other."""


def ports_of(city: City, switch: SimDevice) -> tuple[SimDevice | None, ...]:
    """What hangs on each port, the first at index 0; the last port is the uplink.

    Eight ports on a pole, 24 where poles come together; more only when more hangs there.
    """
    children = city.children(switch.id)
    aggregates = any(child.kind in {"switch", "recorder"} for child in children)
    count = max(24 if aggregates else 8, max((child.uplink_port + 1 for child in children), default=0))
    at = {child.uplink_port: child for child in children}
    return tuple(at.get(port) for port in range(1, count + 1))


def set_port(city: City, state: State, switch: SimDevice, port: int, *, up: bool | None = None, powered: bool | None = None) -> None:
    """Switch a port on or off, or its power over Ethernet; None leaves it. Raises ValueError for a port that the switch has not."""
    count = len(ports_of(city, switch))
    if not 1 <= port <= count:
        raise ValueError(f"{switch.id} has the ports 1 to {count}")
    key = (switch.id, port)
    for wanted, absent, what in ((up, state.wires.ports_down, "port"), (powered, state.wires.unpowered, "poe")):
        if wanted is not None and wanted == (key in absent):
            (absent.discard if wanted else absent.add)(key)
            state.journal.note(state.now(), what, device=switch.id, detail=f"{port} {'on' if wanted else 'off'}")
    _settle(city, state, switch, detail=f"{switch.id} port {port}")


def set_power(city: City, state: State, switch: SimDevice, *, on: bool) -> None:
    """Give a switch power or take it; what it feeds or connects goes with it."""
    (state.wires.off.discard if on else state.wires.off.add)(switch.id)
    _settle(city, state, switch, detail=f"{switch.id} power")


def below(city: City, switch: SimDevice) -> Iterator[SimDevice]:
    """Everything that hangs on a switch, directly or not, what is nearer before what is farther."""
    seen, waiting = {switch.id}, [switch]
    while waiting:
        for child in city.children(waiting.pop(0).id):
            if child.id not in seen:
                seen.add(child.id)
                waiting.append(child)
                yield child


def _settle(city: City, state: State, switch: SimDevice, *, detail: str) -> None:
    """Darken and light a switch and what is below it as its ports and power now have it; what others darkened stays dark."""
    for device in (switch, *below(city, switch)):
        known, cut = state.wires.cut.get(device.id), _is_cut(city, state, device)
        if cut and (known is not None or not state.dark(device)):
            state.wires.cut[device.id] = bool(known) or not _has_power(city, state, device)
            state.darken((device,), detail=detail)
        elif not cut and known is not None:
            del state.wires.cut[device.id]
            state.light((device,), detail=POWER_BACK if known else LINE_BACK)


def _is_cut(city: City, state: State, device: SimDevice) -> bool:
    """Whether no line leads to it any more, or it has no power. A switch's last port is its own line."""
    wires, parent = state.wires, city.by_id(device.uplink)
    if device.kind == "switch" and (device.id, len(ports_of(city, device))) in wires.ports_down:
        return True
    if not _has_power(city, state, device):
        return True
    return parent is not None and ((device.uplink, device.uplink_port) in wires.ports_down or state.dark(parent))


def _has_power(city: City, state: State, device: SimDevice) -> bool:
    """A camera or loudspeaker while the port gives it and the switch has it; a port that is switched off gives none."""
    wires, port = state.wires, (device.uplink, device.uplink_port)
    if device.id in wires.off:
        return False
    if device.kind not in POWERED_KINDS or city.by_id(device.uplink) is None:
        return True
    return device.uplink not in wires.off and port not in wires.ports_down and port not in wires.unpowered
