"""Audio clips of the Media2 service (release 25.06): a loudspeaker keeps them and plays them by itself, without a stream."""

from dataclasses import replace
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

from simulators.http import Request, Response
from simulators.onvif import media2, soap
from simulators.onvif.clip_shelf import MAX_CLIPS, MAX_KIB, TYPES, Clip, ClipShelf, Settings, play, stop
from simulators.onvif.soap import Call, SoapFault, invalid
from simulators.onvif.streams import AUDIO_OUTPUT
from simulators.onvif.unit import Unit
from simulators.wave_file import decode

UPLOADS: Final = "/clips/"
NAME_LIMIT: Final = 128
MEDIA_TYPES: Final = frozenset({"", "audio/vnd.wave", "audio/wav", "audio/x-wav", "audio/wave", "application/octet-stream"})
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def shelf_of(unit: Unit) -> ClipShelf:
    """The device's clips; the shelf is put up when it is first needed."""
    if unit.clips is None:
        unit.clips = ClipShelf()
    return unit.clips


# -- upload -----------------------------------------------------------------------------------------------------------


def upload(unit: Unit, request: Request) -> Response:
    """Take a clip at its UploadUri, whose last part is as good as a login.

    404 for an address that nobody was given or a clip that is there already, 410 when it has expired, 413 for a clip that is too large,
    415 for one that is not what was announced.
    """
    token, _, secret = request.target.partition("?")[0].removeprefix(UPLOADS).partition("/")
    clip = shelf_of(unit).awaiting(token, secret)
    if request.method not in {"POST", "PUT"}:
        return _plain(405)
    if clip is None or clip.sound is not None:
        return _plain(404)
    if unit.now() >= clip.expires:
        return _plain(410)
    if len(request.body) > MAX_KIB * 1024:
        return _plain(413)
    try:
        sound = decode(request.body)
    except ValueError:
        return _plain(415)
    if sound.codec != TYPES[clip.settings.type] or request.header("Content-Type").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        return _plain(415)
    clip.sound = sound
    return _plain(200)


def _plain(status: int) -> Response:
    return Response(status, content_type=b"text/plain")


# -- operations -------------------------------------------------------------------------------------------------------


def _capabilities(unit: Unit) -> str:
    offer = (
        f'<tr2:AudioClipCapabilities MaxAudioClipLimit="{MAX_CLIPS}" MaxAudioClipSize="{MAX_KIB}" '
        f'SupportedAudioClipFormat="{" ".join(TYPES)}"/>'
    )
    return media2.capabilities(unit).removesuffix("</tr2:Capabilities>") + offer + "</tr2:Capabilities>"


def _add(unit: Unit, call: Call) -> str:
    clip = shelf_of(unit).announce(_settings(call), unit.now())
    if clip is None:
        raise SoapFault("no room for another clip", "ter:Action", "ter:MaxAudioClips", code="Receiver")
    return (
        f"<tr2:Token>{clip.token}</tr2:Token><tr2:UploadUri>{unit.http_url(f'{UPLOADS}{clip.token}/{clip.secret}')}</tr2:UploadUri>"
        f"<tr2:ExpiryTime>{soap.xml_time(clip.expires)}</tr2:ExpiryTime>"
    )


def _set(unit: Unit, call: Call) -> str:
    clip, settings = _listed(unit, call), _settings(call)
    if settings.type != clip.settings.type:
        raise invalid("the clip that was uploaded is of another type", "ter:ConfigModify")
    clip.settings = settings
    return ""


def _delete(unit: Unit, call: Call) -> str:
    clip = shelf_of(unit).clips.get(call.text("Token"))
    if clip is None:
        raise _unknown()
    stop(clip, now_ns=_now_ns(unit))
    del shelf_of(unit).clips[clip.token]
    return ""


def _get(unit: Unit, call: Call) -> str:
    return "".join(map(_item, [_listed(unit, call)] if call.text("Token") else shelf_of(unit).listed()))


def _play(unit: Unit, call: Call) -> str:
    clip = _listed(unit, call)
    if not _boolean(call.text("Play")):
        stop(clip, now_ns=_now_ns(unit))
        return ""
    _outputs(call.element)
    if not clip.settings.enabled:
        raise invalid("the clip is not enabled", "ter:ConfigurationConflict")
    cycles = _number(call.text("RepeatCycles") or str(clip.settings.cycles), least=-1)
    play(clip, unit.state.heard_by(unit.device), cycles=cycles, now_ns=_now_ns(unit), level=unit.level())
    return ""


def _playing(unit: Unit, _call: Call) -> str:
    return "".join(_one_playing(unit, clip) for clip in shelf_of(unit).listed())


def _one_playing(unit: Unit, clip: Clip) -> str:
    now_ns = _now_ns(unit)
    if clip.playing is None or not clip.playing.is_playing(now_ns):
        return ""
    outputs = "".join(f"<tr2:AudioOutputToken>{output}</tr2:AudioOutputToken>" for output in clip.settings.outputs or (AUDIO_OUTPUT,))
    level = unit.level() if clip.settings.level is None else clip.settings.level
    return (
        f"<tr2:PlayingAudioClips><tr2:Token>{clip.token}</tr2:Token><tr2:Name>{escape(clip.settings.name)}</tr2:Name>{outputs}"
        f"<tr2:AudioOutputLevel>{level}</tr2:AudioOutputLevel><tr2:RepeatsLeft>{clip.playing.runs_left(now_ns)}</tr2:RepeatsLeft>"
        "</tr2:PlayingAudioClips>"
    )


# -- words ------------------------------------------------------------------------------------------------------------


def _item(clip: Clip) -> str:
    settings = clip.settings
    parts = [
        f"<tr2:Enabled>{str(settings.enabled).lower()}</tr2:Enabled><tr2:Name>{escape(settings.name)}</tr2:Name>",
        *(f"<tr2:AudioOutputToken>{output}</tr2:AudioOutputToken>" for output in settings.outputs),
        f"<tr2:Type>{settings.type}</tr2:Type><tr2:RepeatCycles>{settings.cycles}</tr2:RepeatCycles>",
        f"<tr2:RepeatInterval>{settings.interval_s}</tr2:RepeatInterval>" if settings.interval_s else "",
        f"<tr2:AudioOutputLevel>{settings.level}</tr2:AudioOutputLevel>" if settings.level is not None else "",
    ]
    inner = f"<tr2:Token>{clip.token}</tr2:Token><tr2:Configuration>{''.join(parts)}</tr2:Configuration>"
    return f"<tr2:AudioClipItem>{inner}</tr2:AudioClipItem>"


def _settings(call: Call) -> Settings:
    """The configuration in a call. Raises SoapFault."""
    element = next(call.element.iter("{*}Configuration"), None)
    if element is None:
        raise SoapFault("no configuration", "ter:TagMismatch")
    kind, name = soap.text(element, "Type").replace(" ", ""), soap.text(element, "Name")
    if kind not in TYPES:
        raise invalid(f"no such format: {kind[:40]}", "ter:InvalidFormat")
    if not name or len(name) > NAME_LIMIT:
        raise invalid("a clip has a name of up to 128 characters", "ter:InvalidName")
    level = soap.text(element, "AudioOutputLevel")
    return Settings(
        enabled=_boolean(soap.text(element, "Enabled")),
        name=name,
        outputs=_outputs(element),
        type=kind,
        cycles=_number(soap.text(element, "RepeatCycles"), least=-1),
        interval_s=_number(soap.text(element, "RepeatInterval") or "0", least=0),
        level=_number(level, least=0, most=100) if level else None,
    )


def _outputs(element: etree._Element) -> tuple[str, ...]:
    """The audio outputs named below an element. Raises SoapFault for one that there is not."""
    named = tuple((output.text or "").strip() for output in element.iter("{*}AudioOutputToken"))
    if set(named) - {AUDIO_OUTPUT}:
        raise invalid("no such audio output", "ter:NoAudioOutput")
    return named


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise invalid(f"not a boolean: {text[:40]!r}", "ter:InvalidArgVal")
    return _BOOLEANS[text]


def _number(text: str, *, least: int, most: int = 86_400) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise invalid(f"not a number: {text[:40]!r}", "ter:InvalidArgVal") from error
    if not least <= number <= most:
        raise invalid(f"not from {least} to {most}: {number}", "ter:InvalidArgVal")
    return number


def _listed(unit: Unit, call: Call) -> Clip:
    clip = shelf_of(unit).clips.get(call.text("Token"))
    if clip is None or clip.sound is None:
        raise _unknown()
    return clip


def _unknown() -> SoapFault:
    return invalid("no such clip", "ter:NoConfig")


def _now_ns(unit: Unit) -> int:
    return int(unit.state.now() * 1e9)


SERVICE: Final = replace(
    media2.SERVICE,
    version=(25, 6),
    capabilities=_capabilities,
    operations={
        **media2.SERVICE.operations,
        "AddAudioClip": _add,
        "SetAudioClip": _set,
        "DeleteAudioClip": _delete,
        "GetAudioClips": _get,
        "PlayAudioClip": _play,
        "GetPlayingAudioClips": _playing,
    },
)
"""Media2 as loudspeakers with clips have it."""
