"""Clips: sounds that can be spoken through loudspeakers."""

from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Page, PageQuery
from gateway.api.paging import text_cursor, to_cursor
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.broadcast.clips import TAG_LIMIT, TAGS_LIMIT, Labels
from gateway.domain.access import Permission
from gateway.domain.broadcast import Clip, ClipId
from gateway.errors import Conflict, NotFound, Overloaded

routes = Routes("clips", "Sounds to be spoken.")

_TYPES = ("audio/wav", "audio/x-wav", "audio/mpeg", "audio/flac", "audio/x-flac", "audio/ogg", "audio/opus", "audio/aac", "audio/mp4",
          "audio/x-m4a", "application/octet-stream")  # fmt: skip
SOUND = Media(_TYPES, limit="clip_bytes")

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TAG_LIMIT, pattern=r"^[^\x00-\x1f\x7f,]*$")]
"""A word by which clips are found."""


class ClipQuery(Input):
    """What to call it, and whether it is made as loud as other sounds."""

    name: Line
    name_en: OptionalLine = ""
    tags: list[Tag] = Field(default=[], max_length=TAGS_LIMIT)
    level: bool = Field(default=True, description="Whether it is levelled for horns: deep tones out, quiet speech raised, peaks cut off.")


class ClipIn(Input):
    """What can be changed of a clip: all of it is given anew."""

    name: Line
    name_en: OptionalLine = ""
    tags: list[Tag] = Field(default=[], max_length=TAGS_LIMIT)
    level: bool


class ClipsQuery(PageQuery):
    """Which clips."""

    search: OptionalLine = Field(default="", description="A part of a name or tag.")
    tag: OptionalLine = ""


class ClipOut(Output):
    """A sound that is kept; its id is the SHA-256 of its bytes."""

    id: str
    name: str = Field(examples=["请勿占道经营"])
    name_en: str = Field(examples=["Please do not block the road"])
    tags: list[str]
    size: int
    duration_ms: int
    level: bool
    lufs_before: float | None = Field(description="Integrated loudness as it came (ITU-R BS.1770); null where it cannot be measured.")
    lufs_after: float | None = Field(description="The same of what loudspeakers get.")
    created_at: Instant
    created_by: str = Field(examples=["api-key:3f2a9c0d1e5b"])


class ClipPage(Page[ClipOut]):
    """One page of clips, by id."""


@routes.op("POST", "/v1/clips", needs=Permission.BROADCAST_SEND, status=201, takes=SOUND, problems=(Conflict, Overloaded), repeatable=True)
async def add_clip(call: Call, query: ClipQuery, content: bytes) -> ClipOut:
    """Upload WAV, MP3, FLAC, Opus or Vorbis in Ogg, AAC or M4A; its content says which.

    The same sound is kept once and keeps its first name: sending it again is no second effect.
    """
    kept = await call.services.clips.add(
        content, name=query.name, name_en=query.name_en, tags=query.tags, level=query.level, actor=call.caller.actor
    )
    return _shown(kept)


@routes.op("GET", "/v1/clips", needs=Permission.BROADCAST_READ)
async def list_clips(call: Call, query: ClipsQuery) -> ClipPage:
    """All clips, or those that a search finds, by id."""
    found = await call.services.clips.page(after=ClipId(text_cursor(query)), limit=query.limit + 1, search=query.search, tag=query.tag)
    following = to_cursor(found[query.limit - 1].id, query) if len(found) > query.limit else None
    return ClipPage(items=[_shown(clip) for clip in found[: query.limit]], next=following)


@routes.op("GET", "/v1/clips/{clip_id}", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def read_clip(call: Call) -> ClipOut:
    """One clip."""
    return _shown(await call.services.clips.get(_id(call)))


@routes.op("PUT", "/v1/clips/{clip_id}", needs=Permission.BROADCAST_SEND, problems=(NotFound, Overloaded))
async def change_clip(call: Call, body: ClipIn) -> ClipOut:
    """Rename a clip, tag it, have it levelled or not. What is being broadcast goes on as it began."""
    labels = Labels(body.name, body.name_en, tuple(body.tags))
    return _shown(await call.services.clips.change(_id(call), labels, level=body.level, actor=call.caller.actor))


@routes.op("DELETE", "/v1/clips/{clip_id}", needs=Permission.BROADCAST_SEND, status=204, problems=(NotFound, Conflict))
async def delete_clip(call: Call) -> None:
    """Take a clip out of the library, unless a broadcast that has not ended or a schedule needs it. Broadcasts keep their record."""
    await call.services.clips.remove(_id(call), call.caller.actor)


@routes.op(
    "GET",
    "/v1/clips/{clip_id}/sound",
    needs=Permission.BROADCAST_READ,
    answers=Media(("audio/wav",)),
    problems=(NotFound, Overloaded),
)
async def read_clip_sound(call: Call) -> web.Response:
    """The sound as loudspeakers get it: levelled, if it is, as a WAV file of 8 kHz, 16 bit, mono."""
    return content_reply((await call.services.clips.prepared(_id(call))).wav(), content_type="audio/wav")


def _id(call: Call) -> ClipId:
    return ClipId(call.path("clip_id"))


def _shown(clip: Clip) -> ClipOut:
    return ClipOut(
        id=clip.id,
        name=clip.name,
        name_en=clip.name_en,
        tags=list(clip.tags),
        size=clip.size,
        duration_ms=clip.duration_ms,
        level=clip.level,
        lufs_before=clip.lufs_before,
        lufs_after=clip.lufs_after,
        created_at=clip.created_at,
        created_by=str(clip.created_by),
    )
