"""Speech: which voices there are, and how a text will sound before anybody hears it in the street."""

from typing import Self

from aiohttp import web
from pydantic import Field, model_validator

from gateway.api.models import Input, OptionalLine, Output
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.broadcast import Programme, Speech
from gateway.domain.spoken import TEXT_LIMIT
from gateway.errors import Overloaded

routes = Routes("speech", "Texts spoken.")

_WAV = Media(("audio/wav",))


class PreviewIn(Input):
    """What shall be said, as in `POST /v1/broadcasts`."""

    text: str = Field(min_length=1, max_length=TEXT_LIMIT)
    voice: OptionalLine = Field(default="", description="A voice; without it, the one that suits the text's script.")
    chime: bool = False
    repeats: int = Field(default=1, ge=1, le=100)
    pause_s: float = Field(default=1.0, ge=0, le=600)

    @model_validator(mode="after")
    def _words(self) -> Self:
        if not self.text.strip():
            raise ValueError("has no words")
        return self

    def programme(self) -> Programme:
        return Programme(Speech(self.text, self.voice), chime=self.chime, repeats=self.repeats, pause_s=self.pause_s)


class VoiceOut(Output):
    """Who can speak."""

    id: str = Field(examples=["cmn-latn-pinyin"])
    language: str = Field(examples=["zh"])
    name: str


class VoicesOut(Output):
    """All voices; of each language, the first is taken where none is named."""

    items: list[VoiceOut]


@routes.op("GET", "/v1/speech/voices", needs=Permission.BROADCAST_READ, problems=(Overloaded,))
async def list_voices(call: Call) -> VoicesOut:
    """The voices of the speech engine that is configured."""
    voices = await call.services.sounds.voices()
    return VoicesOut(items=[VoiceOut(id=voice.id, language=voice.language, name=voice.name) for voice in voices])


@routes.op("POST", "/v1/speech/preview", needs=Permission.BROADCAST_SEND, answers=_WAV, problems=(Overloaded,))
async def preview_speech(call: Call, body: PreviewIn) -> web.Response:
    """The text as loudspeakers would get it, levelled for horns, as a WAV file of 8 kHz. Nobody hears it but the caller."""
    return content_reply((await call.services.sounds.prepared(body.programme())).wav(), content_type="audio/wav")
