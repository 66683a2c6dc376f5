"""Clips: sounds that can be spoken through loudspeakers."""

from aiohttp import web
from pydantic import Field

from gateway.api.models import Input, Instant, Line, Output, Page, PageQuery
from gateway.api.paging import text_cursor, to_cursor
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.broadcast import Clip, ClipId
from gateway.errors import Conflict, NotFound

routes = Routes("clips", "Sounds to be spoken.")

SOUND = Media(("audio/wav", "audio/x-wav", "audio/mpeg", "application/octet-stream"), limit="clip_bytes")
_PLAYABLE = Media(("audio/wav", "audio/mpeg"))


class ClipQuery(Input):
    """What to call it."""

    name: Line


class ClipOut(Output):
    """A sound that is kept; its id is the SHA-256 of its bytes."""

    id: str
    name: str
    size: int
    duration_ms: int
    created_at: Instant
    created_by: str = Field(examples=["api-key:3f2a9c0d1e5b"])


class ClipPage(Page[ClipOut]):
    """One page of clips, by id."""


@routes.op("POST", "/v1/clips", needs=Permission.BROADCAST_SEND, status=201, takes=SOUND, problems=(Conflict,), repeatable=True)
async def add_clip(call: Call, query: ClipQuery, content: bytes) -> ClipOut:
    """Upload a WAV or MP3. The same sound is kept once and keeps its first name: sending it again is no second effect."""
    return _shown(await call.services.clips.add(content, name=query.name, actor=call.caller.actor))


@routes.op("GET", "/v1/clips", needs=Permission.BROADCAST_READ)
async def list_clips(call: Call, query: PageQuery) -> ClipPage:
    """All clips, by id."""
    found = await call.services.clips.page(after=ClipId(text_cursor(query)), limit=query.limit + 1)
    following = to_cursor(found[query.limit - 1].id, query) if len(found) > query.limit else None
    return ClipPage(items=[_shown(clip) for clip in found[: query.limit]], next=following)


@routes.op("GET", "/v1/clips/{clip_id}", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def read_clip(call: Call) -> ClipOut:
    """One clip."""
    return _shown(await call.services.clips.get(ClipId(call.path("clip_id"))))


@routes.op(
    "GET", "/v1/clips/{clip_id}/sound", needs=Permission.BROADCAST_READ, answers=Media(("audio/wav", "audio/mpeg")), problems=(NotFound,)
)
async def read_clip_sound(call: Call) -> web.Response:
    """The sound itself, as it was uploaded."""
    data = await call.services.clips.read(ClipId(call.path("clip_id")))
    kind = "audio/wav" if data[:4] == b"RIFF" else "audio/mpeg"
    return content_reply(data, content_type=kind)


def _shown(clip: Clip) -> ClipOut:
    return ClipOut(
        id=clip.id,
        name=clip.name,
        size=clip.size,
        duration_ms=clip.duration_ms,
        created_at=clip.created_at,
        created_by=str(clip.created_by),
    )
