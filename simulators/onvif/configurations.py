"""Which configurations a device has of each kind, by token, and how either media service lists them."""

from collections.abc import Callable, Mapping
from typing import Final

from simulators.onvif import fragments
from simulators.onvif.soap import Call, SoapFault, invalid, text
from simulators.onvif.streams import AUDIO_OUTPUT, Stream, stream_in, streams_of
from simulators.onvif.unit import Operation, Unit

Encoder = Callable[[Stream, str], str]
"""A video encoder's configuration in the words of one service, under a tag; "" for one that it has no words for."""
Held = Mapping[str, str]
"""Configurations by token."""


def held(unit: Unit, kind: str, tag: str, encoder: Encoder) -> Held:
    """The configurations of a kind, each as the element `tag`."""
    streams = [stream for stream in streams_of(unit.device) if stream.width]
    if kind == "VideoEncoder":
        written = {encoder_token(stream): encoder(stream, tag) for stream in streams}
        return {token: element for token, element in written.items() if element}
    if kind in _OF_PICTURES and streams:
        token, write = _OF_PICTURES[kind]
        return {token: write(tag)}
    if kind in _OF_SOUND and unit.speaks():
        token, tell = _OF_SOUND[kind]
        return {token: tell(unit, tag)}
    return {}


def encoder_token(stream: Stream) -> str:
    return f"VideoEncoder_{stream.suffix}"


def listing(kind: str, tag: str, encoder: Encoder) -> Operation:
    """The operation that lists all of a kind; those of the profile or of the token that a call names when it names one."""

    def operation(unit: Unit, call: Call) -> str:
        found = held(unit, kind, tag, encoder)
        if token := call.text("ConfigurationToken"):
            return _one(found, token)
        if call.text("ProfileToken"):
            stream_in(unit, call)
        return "".join(found.values())

    return operation


def single(kind: str, tag: str, encoder: Encoder) -> Operation:
    """The operation that gives the one whose token a call names."""
    return lambda unit, call: _one(held(unit, kind, tag, encoder), call.text("ConfigurationToken"))


def set_audio_output(unit: Unit, call: Call) -> str:
    """SetAudioOutputConfiguration of either media service: the level alone can be changed."""
    given, horn = next(call.element.iter("{*}Configuration"), None), unit.horn()
    if given is None or horn is None or given.get("token") != fragments.AUDIO_OUTPUT_CONFIGURATION:
        raise invalid("no such configuration", "ter:NoConfig")
    level = text(given, "OutputLevel")
    if text(given, "OutputToken") != AUDIO_OUTPUT or not level.isdecimal() or int(level) > 100:
        raise SoapFault("not one of the options", "ter:InvalidArgVal", "ter:ConfigModify")
    unit.state.cabinets[horn.id] = unit.state.cabinet(horn).changed({"volume": int(level)})
    return ""


def chosen(unit: Unit, call: Call) -> list[Stream]:
    """The streams whose encoder a call asks about, by the encoder's token or by a profile's; all without either."""
    streams = [stream for stream in streams_of(unit.device) if stream.width]
    if token := call.text("ConfigurationToken"):
        streams = [stream for stream in streams if encoder_token(stream) == token]
        if not streams:
            raise invalid("no such configuration", "ter:NoConfig")
    elif call.text("ProfileToken"):
        streams = [stream for stream in streams if stream == stream_in(unit, call)]
    return streams


def _one(found: Held, token: str) -> str:
    if token not in found:
        raise invalid("no such configuration", "ter:NoConfig")
    return found[token]


_Written = Mapping[str, tuple[str, Callable[[str], str]]]
_OF_PICTURES: Final[_Written] = {
    "VideoSource": ("VideoSourceConfig_1", lambda tag: fragments.video_source(tag, 2)),
    "VideoAnalytics": (fragments.ANALYTICS, fragments.analytics),
    "Metadata": (fragments.METADATA, fragments.metadata),
}
_OF_SOUND: Final[Mapping[str, tuple[str, Callable[[Unit, str], str]]]] = {
    "AudioOutput": (fragments.AUDIO_OUTPUT_CONFIGURATION, lambda unit, tag: fragments.audio_output(tag, unit.level())),
    "AudioDecoder": ("AudioDecoderConfig_1", lambda _unit, tag: fragments.audio_decoder(tag)),
}
KINDS: Final = ("VideoSource", "VideoEncoder", "AudioSource", "AudioEncoder", "VideoAnalytics", "Metadata", "AudioOutput", "AudioDecoder")
"""All kinds; nothing here has a microphone, so that there are none of AudioSource and AudioEncoder."""
