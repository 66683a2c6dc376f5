"""The Imaging service: how the sensor is set, and a lens that can be focused where there is a motor for it."""

from typing import Final

from simulators.onvif.head import Axis
from simulators.onvif.soap import Call, SoapFault, invalid
from simulators.onvif.tokens import VIDEO_SOURCE
from simulators.onvif.unit import Service, Unit

LEVELS: Final = {"Brightness": 50.0, "ColorSaturation": 50.0, "Contrast": 50.0, "Sharpness": 50.0}
"""What can be turned, from 0 to 100, with its value at the factory; in the order of the schema, among the others."""
HIGHEST: Final = 100.0
FOCUS_MODES: Final = ("AUTO", "MANUAL")
UNTIL_ITS_END_S: Final = 600.0
CUT_MODES: Final = ("ON", "OFF", "AUTO")
_RANGE: Final = "<tt:Min>0</tt:Min><tt:Max>100</tt:Max>"
_SPEEDS: Final = "<tt:Min>-1</tt:Min><tt:Max>1</tt:Max>"


def _capabilities(_unit: Unit) -> str:
    return '<timg:Capabilities ImageStabilization="false" Presets="false"/>'


def _settings(unit: Unit, call: Call) -> str:
    _the_source(call)
    levels = {name: f"<tt:{name}>{_level(unit, name):g}</tt:{name}>" for name in LEVELS}
    focus = f"<tt:Focus><tt:AutoFocusMode>{_choice(unit, 'AutoFocusMode', 'AUTO')}</tt:AutoFocusMode></tt:Focus>" if unit.device.ptz else ""
    return (
        f"<timg:ImagingSettings><tt:BacklightCompensation><tt:Mode>OFF</tt:Mode></tt:BacklightCompensation>{levels['Brightness']}"
        f"{levels['ColorSaturation']}{levels['Contrast']}<tt:Exposure><tt:Mode>AUTO</tt:Mode></tt:Exposure>{focus}"
        f"<tt:IrCutFilter>{_choice(unit, 'IrCutFilter', 'AUTO')}</tt:IrCutFilter>{levels['Sharpness']}"
        "<tt:WideDynamicRange><tt:Mode>OFF</tt:Mode></tt:WideDynamicRange><tt:WhiteBalance><tt:Mode>AUTO</tt:Mode></tt:WhiteBalance>"
        "</timg:ImagingSettings>"
    )


def _level(unit: Unit, name: str) -> float:
    return float(unit.kept.get(name, LEVELS[name]))


def _choice(unit: Unit, name: str, usual: str) -> str:
    return unit.kept.get(name, usual)


def _set_settings(unit: Unit, call: Call) -> str:
    """All or nothing; what is not named stays as it is."""
    _the_source(call)
    asked = {name: call.text(name) for name in (*LEVELS, "AutoFocusMode", "IrCutFilter") if call.text(name)}
    if not all(_possible(name, value) for name, value in asked.items()):
        raise invalid("a setting out of its range", "ter:SettingsInvalid")
    unit.kept |= asked
    return ""


def _possible(name: str, value: str) -> bool:
    if name in LEVELS:
        try:
            return 0 <= float(value) <= HIGHEST
        except ValueError:
            return False
    return value in (FOCUS_MODES if name == "AutoFocusMode" else CUT_MODES)


def _options(unit: Unit, call: Call) -> str:
    _the_source(call)
    levels = {name: f"<tt:{name}>{_RANGE}</tt:{name}>" for name in LEVELS}
    modes = "".join(f"<tt:AutoFocusModes>{mode}</tt:AutoFocusModes>" for mode in FOCUS_MODES)
    focus = f"<tt:Focus>{modes}</tt:Focus>" if unit.device.ptz else ""
    cuts = "".join(f"<tt:IrCutFilterModes>{mode}</tt:IrCutFilterModes>" for mode in CUT_MODES)
    return (
        f"<timg:ImagingOptions><tt:BacklightCompensation><tt:Mode>OFF</tt:Mode></tt:BacklightCompensation>{levels['Brightness']}"
        f"{levels['ColorSaturation']}{levels['Contrast']}<tt:Exposure><tt:Mode>AUTO</tt:Mode></tt:Exposure>{focus}{cuts}{levels['Sharpness']}"
        "<tt:WideDynamicRange><tt:Mode>OFF</tt:Mode></tt:WideDynamicRange><tt:WhiteBalance><tt:Mode>AUTO</tt:Mode></tt:WhiteBalance>"
        "</timg:ImagingOptions>"
    )


# -- focus ------------------------------------------------------------------------------------------------------------


def _move_options(unit: Unit, call: Call) -> str:
    _the_source(call)
    if not unit.device.ptz:
        return "<timg:MoveOptions/>"
    return (
        "<timg:MoveOptions><tt:Absolute><tt:Position><tt:Min>0</tt:Min><tt:Max>1</tt:Max></tt:Position></tt:Absolute>"
        f"<tt:Relative><tt:Distance>{_SPEEDS}</tt:Distance></tt:Relative><tt:Continuous><tt:Speed>{_SPEEDS}</tt:Speed></tt:Continuous>"
        "</timg:MoveOptions>"
    )


def _move(unit: Unit, call: Call) -> str:
    """Focus somewhere: at full speed to a place or over a distance, or on and on until it is stopped or at its end."""
    axis, now = _lens(unit, call), unit.now()
    position, distance, speed = (call.text(name) for name in ("Position", "Distance", "Speed"))
    if position:
        axis.go_to(_number(position), now)
    elif distance:
        axis.go_to(axis.at(now) + _number(distance), now)
    elif speed:
        axis.go(_number(speed), now, for_s=UNTIL_ITS_END_S)
    else:
        raise invalid("nothing to move by", "ter:InvalidArgVal")
    return ""


def _stop(unit: Unit, call: Call) -> str:
    _lens(unit, call).go(0.0, unit.now(), for_s=0.0)
    return ""


def _status(unit: Unit, call: Call) -> str:
    _the_source(call)
    if not unit.device.ptz:
        return "<timg:Status/>"
    axis, now = unit.head.focus, unit.now()
    moving = "MOVING" if axis.moving(now) else "IDLE"
    return (
        f"<timg:Status><tt:FocusStatus20><tt:Position>{axis.at(now):.6f}</tt:Position><tt:MoveStatus>{moving}</tt:MoveStatus>"
        "</tt:FocusStatus20></timg:Status>"
    )


def _lens(unit: Unit, call: Call) -> Axis:
    _the_source(call)
    if not unit.device.ptz:
        raise SoapFault("the lens is fixed", "ter:ActionNotSupported", "ter:NoImagingForSource", code="Receiver")
    return unit.head.focus


def _the_source(call: Call) -> None:
    if call.text("VideoSourceToken") != VIDEO_SOURCE:
        raise invalid("no such video source", "ter:NoSource")


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not -1 <= number <= 1:
        raise invalid("not a number in range", "ter:InvalidArgVal")
    return number


SERVICE: Final = Service(
    prefix="timg",
    paths={"": "/onvif/imaging_service", "HIKVISION": "/onvif/Imaging", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetImagingSettings": _settings,
        "SetImagingSettings": _set_settings,
        "GetOptions": _options,
        "GetMoveOptions": _move_options,
        "Move": _move,
        "Stop": _stop,
        "GetStatus": _status,
    },
)
