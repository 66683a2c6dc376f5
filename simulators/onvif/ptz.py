"""The PTZ service: moves a simulated head whose position is true at every moment."""

from typing import Final
from xml.sax.saxutils import escape

from simulators.onvif import fragments
from simulators.onvif.head import PAN_TILT, PRESETS, ZOOM, Axis, Place
from simulators.onvif.soap import Call, SoapFault, invalid, not_supported, read_duration, xml_time
from simulators.onvif.streams import stream_in
from simulators.onvif.unit import Service, Unit

DEFAULT_TIMEOUT_S: Final = 10.0
LONGEST_S: Final = 600.0
CONFIGURATION: Final = "PTZConfig_1"
NODE: Final = "PTZNode_1"


def _capabilities(_unit: Unit) -> str:
    return '<tptz:Capabilities EFlip="false" Reverse="false" GetCompatibleConfigurations="true" MoveStatus="true" StatusPosition="true"/>'


def _nodes(_unit: Unit, _call: Call) -> str:
    return _node("tptz:PTZNode")


def _one_node(_unit: Unit, call: Call) -> str:
    if call.text("NodeToken") != NODE:
        raise invalid("no such node", "ter:NoEntity")
    return _node("tptz:PTZNode")


def _node(tag: str) -> str:
    spaces = _spaces()
    return (
        f'<{tag} token="{NODE}" FixedHomePosition="false"><tt:Name>head</tt:Name><tt:SupportedPTZSpaces>{spaces}</tt:SupportedPTZSpaces>'
        f"<tt:MaximumNumberOfPresets>{PRESETS}</tt:MaximumNumberOfPresets><tt:HomeSupported>true</tt:HomeSupported></{tag}>"
    )


def _spaces() -> str:
    """All spaces, then the speeds at which the head goes to a place (it knows one)."""
    speeds = (("PanTiltSpeed", "PanTiltSpaces/GenericSpeedSpace"), ("ZoomSpeed", "ZoomSpaces/ZoomGenericSpeedSpace"))
    listed = "".join(
        f"<tt:{name}Space><tt:URI>{fragments.GENERIC}{uri}</tt:URI><tt:XRange><tt:Min>0</tt:Min><tt:Max>1</tt:Max></tt:XRange></tt:{name}Space>"
        for name, uri in speeds
    )
    return "".join(_space(name, uri) for name, uri in fragments.PTZ_SPACES.items()) + listed


def _space(name: str, uri: str) -> str:
    horizontal = ZOOM if name == "AbsoluteZoomPosition" else PAN_TILT
    ranges = [("XRange", horizontal)] + ([("YRange", PAN_TILT)] if "PanTilt" in name else [])
    inner = "".join(f"<tt:{axis}><tt:Min>{low:g}</tt:Min><tt:Max>{high:g}</tt:Max></tt:{axis}>" for axis, (low, high) in ranges)
    return f"<tt:{name}Space><tt:URI>{uri}</tt:URI>{inner}</tt:{name}Space>"


def _configurations(_unit: Unit, _call: Call) -> str:
    return fragments.ptz("tptz:PTZConfiguration")


def _compatible(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    return fragments.ptz("tptz:PTZConfiguration")


def _configuration(_unit: Unit, call: Call) -> str:
    if call.text("PTZConfigurationToken") != CONFIGURATION:
        raise invalid("no such configuration", "ter:NoConfig")
    return fragments.ptz("tptz:PTZConfiguration")


def _options(_unit: Unit, call: Call) -> str:
    if call.text("ConfigurationToken") != CONFIGURATION:
        raise invalid("no such configuration", "ter:NoConfig")
    longest = f"<tt:PTZTimeout><tt:Min>PT0.1S</tt:Min><tt:Max>PT{LONGEST_S:.0f}S</tt:Max></tt:PTZTimeout>"
    return f"<tptz:PTZConfigurationOptions><tt:Spaces>{_spaces()}</tt:Spaces>{longest}</tptz:PTZConfigurationOptions>"


def _status(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    now, head = unit.now(), unit.head
    turning = _movement(head.pan.moving(now) or head.tilt.moving(now))
    return (
        f"<tptz:PTZStatus>{_vector('tt:Position', head.place(now))}<tt:MoveStatus><tt:PanTilt>{turning}</tt:PanTilt>"
        f"<tt:Zoom>{_movement(head.zoom.moving(now))}</tt:Zoom></tt:MoveStatus><tt:UtcTime>{xml_time(now)}</tt:UtcTime>"
        "</tptz:PTZStatus>"
    )


def _movement(moving: bool) -> str:
    return "MOVING" if moving else "IDLE"


def _vector(tag: str, place: Place) -> str:
    pan, tilt, zoom = place
    position, lens = fragments.PTZ_SPACES["AbsolutePanTiltPosition"], fragments.PTZ_SPACES["AbsoluteZoomPosition"]
    return f'<{tag}><tt:PanTilt x="{pan:.6f}" y="{tilt:.6f}" space="{position}"/><tt:Zoom x="{zoom:.6f}" space="{lens}"/></{tag}>'


# -- moves ------------------------------------------------------------------------------------------------------------


def _continuous_move(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    if call.text("Timeout") and unit.quirk("ptz-rejects-timeout") is not None:
        raise invalid("no timeout here", "ter:TimeoutNotSupported")
    for_s = float("inf") if unit.quirk("ptz-ignores-timeout") is not None else _seconds(call.text("Timeout"))
    for axis, speed in _asked(unit, call, "Velocity"):
        axis.go(speed, unit.now(), for_s=for_s)
    return ""


def _absolute_move(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    targets = _asked(unit, call, "Position")
    if any(not axis.low <= target <= axis.high for axis, target in targets):
        raise invalid("position out of range", "ter:InvalidPosition")
    for axis, target in targets:
        axis.go_to(target, unit.now())
    return ""


def _relative_move(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    for axis, way in _asked(unit, call, "Translation"):
        axis.go_to(axis.at(unit.now()) + way, unit.now())
    return ""


def _stop(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    if unit.quirk("ptz-rejects-stop") is not None:
        raise not_supported()
    turning, zooming = call.text("PanTilt") or "true", call.text("Zoom") or "true"
    axes = [unit.head.pan, unit.head.tilt] if turning in {"true", "1"} else []
    for axis in (*axes, *([unit.head.zoom] if zooming in {"true", "1"} else ())):
        axis.go(0.0, unit.now(), for_s=0.0)
    return ""


def _asked(unit: Unit, call: Call, name: str) -> list[tuple[Axis, float]]:
    """The axes that the vector called `name` moves, with the number for each."""
    vector = next(call.element.iter(f"{{*}}{name}"), None)
    found: list[tuple[Axis, float]] = []
    for child in vector if vector is not None else ():
        axes = (("x", unit.head.pan), ("y", unit.head.tilt)) if child.tag.endswith("}PanTilt") else (("x", unit.head.zoom),)
        found += [(axis, _number(child.get(letter, ""))) for letter, axis in axes]
    return found


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not -100 <= number <= 100:
        raise invalid("not a number in range", "ter:InvalidPosition")
    return number


def _seconds(duration: str) -> float:
    """Seconds of an xs:duration, at most LONGEST_S."""
    if not duration:
        return DEFAULT_TIMEOUT_S
    seconds = read_duration(duration)
    if seconds is None:
        raise invalid("not a duration", "ter:TimeoutNotSupported")
    return min(seconds, LONGEST_S)


# -- presets ----------------------------------------------------------------------------------------------------------


def _presets(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    return "".join(
        f'<tptz:Preset token="{escape(token)}"><tt:Name>{escape(name)}</tt:Name>{_vector("tt:PTZPosition", place)}</tptz:Preset>'
        for token, (name, place) in unit.head.presets.items()
    )


def _goto_preset(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    unit.head.go_to(unit.head.presets[_preset_token(unit, call)][1], unit.now())
    return ""


def _set_preset(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    presets = unit.head.presets
    token = _preset_token(unit, call) if call.text("PresetToken") else next(str(n) for n in range(1, PRESETS + 2) if str(n) not in presets)
    if int(token) > PRESETS:
        raise SoapFault("no room for another preset", "ter:Action", "ter:TooManyPresets", code="Receiver")
    presets[token] = (call.text("PresetName")[:64] or f"preset {token}", unit.head.place(unit.now()))
    return f"<tptz:PresetToken>{token}</tptz:PresetToken>"


def _remove_preset(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    del unit.head.presets[_preset_token(unit, call)]
    return ""


def _goto_home(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    unit.head.go_to(unit.head.home, unit.now())
    return ""


def _set_home(unit: Unit, call: Call) -> str:
    stream_in(unit, call)
    unit.head.home = unit.head.place(unit.now())
    return ""


def _preset_token(unit: Unit, call: Call) -> str:
    token = call.text("PresetToken")
    if token not in unit.head.presets:
        raise invalid("no such preset", "ter:NoToken")
    return token


SERVICE: Final = Service(
    prefix="tptz",
    paths={"": "/onvif/ptz_service", "HIKVISION": "/onvif/PTZ", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetNodes": _nodes,
        "GetNode": _one_node,
        "GetConfigurations": _configurations,
        "GetConfiguration": _configuration,
        "GetConfigurationOptions": _options,
        "GetCompatibleConfigurations": _compatible,
        "GetStatus": _status,
        "ContinuousMove": _continuous_move,
        "AbsoluteMove": _absolute_move,
        "RelativeMove": _relative_move,
        "Stop": _stop,
        "GetPresets": _presets,
        "GotoPreset": _goto_preset,
        "SetPreset": _set_preset,
        "RemovePreset": _remove_preset,
        "GotoHomePosition": _goto_home,
        "SetHomePosition": _set_home,
    },
)
