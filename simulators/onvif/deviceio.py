"""The DeviceIO service: what is plugged into a device, by token; two of its operations are messages of Device Management."""

from typing import Final

from simulators.onvif import terminals
from simulators.onvif.soap import Call
from simulators.onvif.streams import AUDIO_OUTPUT
from simulators.onvif.terminals import INPUTS, MODES, RELAY, has_terminals
from simulators.onvif.tokens import VIDEO_SOURCE
from simulators.onvif.unit import Service, Unit


def _capabilities(unit: Unit) -> str:
    wired = has_terminals(unit.device)
    return (
        f'<tmd:Capabilities VideoSources="{int(_sees(unit))}" VideoOutputs="0" AudioSources="0" AudioOutputs="{int(unit.speaks())}" '
        f'RelayOutputs="{int(wired)}" SerialPorts="0" DigitalInputs="{len(INPUTS) if wired else 0}" DigitalInputOptions="false"/>'
    )


def _sees(unit: Unit) -> bool:
    return unit.device.kind == "camera"


def _video_sources(unit: Unit, _call: Call) -> str:
    return f"<tmd:Token>{VIDEO_SOURCE}</tmd:Token>" if _sees(unit) else ""


def _audio_outputs(unit: Unit, _call: Call) -> str:
    return f"<tmd:Token>{AUDIO_OUTPUT}</tmd:Token>" if unit.speaks() else ""


def _relay_options(unit: Unit, call: Call) -> str:
    if not has_terminals(unit.device) or call.text("RelayOutputToken") not in {"", RELAY}:
        return ""
    modes = "".join(f"<tmd:Mode>{mode}</tmd:Mode>" for mode in MODES)
    return f'<tmd:RelayOutputOptions token="{RELAY}">{modes}<tmd:DelayTimes>0.1 3600</tmd:DelayTimes></tmd:RelayOutputOptions>'


def _digital_inputs(unit: Unit, _call: Call) -> str:
    return "".join(f'<tmd:DigitalInputs token="{token}" IdleState="open"/>' for token in INPUTS) if has_terminals(unit.device) else ""


def _none(_unit: Unit, _call: Call) -> str:
    return ""


SERVICE: Final = Service(
    prefix="tmd",
    paths={"": "/onvif/deviceio_service", "HIKVISION": "/onvif/DeviceIO", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetVideoSources": _video_sources,
        "GetVideoOutputs": _none,
        "GetAudioSources": _none,
        "GetAudioOutputs": _audio_outputs,
        "GetRelayOutputOptions": _relay_options,
        "SetRelayOutputSettings": terminals.set_relay_settings,
        "GetDigitalInputs": _digital_inputs,
        "GetSerialPorts": _none,
    },
)
