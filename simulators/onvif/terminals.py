"""The screw terminals of a device: a relay output and digital inputs, in the words that Device Management and DeviceIO share."""

from typing import Final

from simulators.city import SimDevice
from simulators.onvif.soap import Call, invalid
from simulators.onvif.unit import Operation, Unit

RELAY: Final = "RelayOutput_1"
INPUTS: Final = ("Input_1", "Input_2")
MODES: Final = ("Bistable", "Monostable")
_STATES: Final = ("active", "inactive")


def has_terminals(device: SimDevice) -> bool:
    """Domes and loudspeakers have them, bullets and recorders have not."""
    return device.ptz or device.kind == "speaker"


def _relay_outputs(unit: Unit, _call: Call) -> str:
    if not has_terminals(unit.device):
        return ""
    return (
        f'<tds:RelayOutputs token="{RELAY}"><tt:Properties><tt:Mode>{_mode(unit)}</tt:Mode><tt:DelayTime>PT{_delay(unit)}S</tt:DelayTime>'
        f"<tt:IdleState>{unit.kept.get('relay-idle', 'open')}</tt:IdleState></tt:Properties></tds:RelayOutputs>"
    )


def _set_relay_state(unit: Unit, call: Call) -> str:
    _the_relay(unit, call.text("RelayOutputToken"))
    if call.text("LogicalState") not in _STATES:
        raise invalid("no such state", "ter:ModeError")
    return ""


def set_relay_settings(unit: Unit, call: Call) -> str:
    token = call.text("RelayOutputToken") or next((element.get("token", "") for element in call.element.iter("{*}RelayOutput")), "")
    _the_relay(unit, token)
    mode, idle, delay = call.text("Mode"), call.text("IdleState"), call.text("DelayTime")
    seconds = delay.removeprefix("PT").removesuffix("S")
    if mode not in MODES or idle not in {"open", "closed"} or not seconds.replace(".", "", 1).isdecimal():
        raise invalid("no such settings", "ter:ModeError")
    unit.kept |= {"relay-mode": mode, "relay-idle": idle, "relay-delay": seconds}
    return ""


def _mode(unit: Unit) -> str:
    return unit.kept.get("relay-mode", "Bistable")


def _delay(unit: Unit) -> str:
    return unit.kept.get("relay-delay", "1")


def _the_relay(unit: Unit, token: str) -> None:
    if token != RELAY or not has_terminals(unit.device):
        raise invalid("no such relay", "ter:RelayToken")


OPERATIONS: Final[dict[str, Operation]] = {
    "GetRelayOutputs": _relay_outputs,
    "SetRelayOutputState": _set_relay_state,
    "SetRelayOutputSettings": set_relay_settings,
}
"""As Device Management has them."""
