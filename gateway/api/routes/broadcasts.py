"""Broadcasts: make a sound, see what became of it at each loudspeaker, silence it, silence everything."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from gateway.api.ledger_query import LedgerQuery, wanted
from gateway.api.models import Input, Instant, Output, Page
from gateway.api.orders import BroadcastIn, PriorityName, must_command, order_of
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach
from gateway.broadcast.views import View
from gateway.domain.access import Permission
from gateway.domain.broadcast import BroadcastId, ClipContent, Delivery, DeliveryState, Programme, Speech, Talk, Targets, outcome
from gateway.domain.broadcast_ledger import (
    RECORDING_STATES,
    STREET_OUTCOMES,
    MissingPicture,
    Moment,
    OutcomeEntry,
    Recording,
    RecordingState,
    StreetOutcome,
    StreetPicture,
    first_packet,
)
from gateway.domain.devices import Position
from gateway.domain.events import Person
from gateway.domain.reasons import phrase
from gateway.domain.remarks import RemarkKind, told_remark
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Overloaded

routes = Routes("broadcasts", "A voice in the street, and the record of it.")

ANSWERS_S = 1.0
"""How long stop-all waits for loudspeakers that play by themselves to say that they are silent."""
_IDS = uuid.UUID("6f1d2c8e-93b5-4d0a-9d8e-1f5f0e6a7c43")  # the name space of ids that are made from an Idempotency-Key


class PointOut(Output):
    """A place in WGS-84, in degrees."""

    latitude: float
    longitude: float


class CircleOut(Output):
    """All that is within `radius_m` metres of `centre`."""

    centre: PointOut
    radius_m: float


class ViewOut(Output):
    """What a camera sees, by one of its presets ("": wherever it may look)."""

    camera: str
    preset: str


class TargetsOut(Output):
    """Where it was to be heard."""

    speakers: list[str]
    zones: list[str]
    cells: list[str]
    groups: list[str]
    districts: list[str]
    polygon: list[PointOut]
    circle: CircleOut | None
    views: list[ViewOut]


class RemarkOut(Output):
    """What is to be known of a delivery, however it ended: a stable code, and the same in words, a device's own marked as such."""

    remark: RemarkKind
    remark_zh: str
    remark_en: str


class DeliveryOut(Output):
    """What became of it at one loudspeaker. `unknown`: the gateway went away while it played, and it is never played again."""

    speaker: str
    state: DeliveryState
    since: Instant
    reason: str = Field(description="A stable code; empty when all is well.")
    reason_zh: str = Field(description="The same in words.")
    reason_en: str
    detail: str = Field(description="What more there is to know of it.")
    remarks: list[RemarkOut]
    encoding: str
    packets: int
    dropped: int
    first_packet_at: Instant | None
    last_packet_at: Instant | None
    clip_asked_at: Instant | None = Field(description="When a loudspeaker that plays by itself was told to play; no packets are sent then.")
    clip_confirmed_at: Instant | None = Field(description="When it answered that it plays.")
    clip_stop_asked_at: Instant | None = Field(description="When it was told to be silent; null where the clip ended by itself.")
    clip_silent_at: Instant | None = Field(description="When it answered that it is silent; null while it has not.")
    path: str = Field(description="How it was brought there; empty when it was not.")
    lost: int | None = Field(description="Packets that the loudspeaker says to have missed, where it says so.")
    may_still_sound: bool = Field(description="It plays by itself and has not answered yet that it is silent: it is asked again and again.")


class OutcomeIn(Input):
    """What came of it in the street."""

    outcome: StreetOutcome = Field(description="`left` 已劝离, `passed-on` 上报, `nobody` 无人, `other` 其他 with a note.")
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class OutcomeOut(Output):
    """A person's word on what came of it."""

    outcome: StreetOutcome
    outcome_zh: str
    outcome_en: str
    note: str
    at: Instant
    actor: str
    name: str


class PictureOut(Output):
    """What a camera saw `before` or `after`. Its bytes are at `/v1/broadcasts/{id}/pictures/{sha256}` until they are `gone`.

    `during`: it was to be one of `before`, and the voice had begun when it came.
    """

    camera: str
    moment: Moment
    sha256: str
    media_type: str
    size: int
    at: Instant = Field(description="When it came.")
    first_packet_at: Instant | None = Field(description="When the first packet of the broadcast left.")
    keep_until: Instant
    gone: bool


class MissingPictureOut(Output):
    """Why there is no picture of a camera `before` or `after`."""

    camera: str
    moment: Moment
    reason: str
    reason_zh: str
    reason_en: str
    detail: str = Field(description="What more there is to know of it.")
    at: Instant = Field(description="When that was known.")


class RecordingOut(Output):
    """What became of a talk's recording. One that is `kept` is at `/v1/broadcasts/{id}/recording` until it is `gone`.

    `not-asked`: there is nobody who speaks live in it, or talks were not to be recorded; `empty`: not a word of the talk was sent;
    `failed`: there is none, for the `reason`; `unknown`: a talk of the time before this was put down.
    """

    state: RecordingState
    state_zh: str
    state_en: str
    reason: str
    reason_zh: str
    reason_en: str
    sha256: str = Field(description="Of the file, in hexadecimal; empty where none was kept.")
    size: int = Field(description="Bytes of the file.")
    duration_ms: int = Field(description="How long what was sent is.")
    began_at: Instant | None = Field(description="When the first of it was sent.")
    settled_at: Instant | None = Field(description="When it was kept, or failed.")
    keep_until: Instant | None
    gone: bool


class BroadcastOut(Output):
    """A broadcast and where it stands."""

    id: str
    kind: Literal["clip", "speech", "talk"]
    clip: str | None
    text: str
    voice: str
    chime: bool
    repeats: int
    pause_s: float
    targets: TargetsOut
    priority: PriorityName
    not_after: Instant
    created_at: Instant
    actor: str
    sender: str = Field(description='The name of the person behind `actor` when it was ordered; "" where nobody was named.')
    case: str
    reason: str
    resume: bool
    override: str
    again: bool
    approved_by: str | None = Field(description="The second person, where one was needed and has approved.")
    approver: str = Field(description="The second person's name; empty where nobody approved.")
    open: bool = Field(description="Whether anything can still change.")
    counts: dict[DeliveryState, int]
    deliveries: list[DeliveryOut]
    outcome: OutcomeOut | None = Field(description="What came of it in the street, when somebody has said so.")
    corrected: list[OutcomeOut] = Field(description="What was said of it before, the earliest first.")
    pictures: list[PictureOut]
    missing_pictures: list[MissingPictureOut]
    recording: RecordingOut


class BroadcastPage(Page[BroadcastOut]):
    """One page of broadcasts, the latest first."""


class StoppedOut(Output):
    """What was silenced."""

    broadcasts: int
    speakers: int
    may_still_sound: list[str] = Field(
        description="The loudspeakers that play by themselves, from this or an earlier broadcast, and did not answer within a second "
        "that they are silent. They are asked again and again; the event `broadcast.fell-silent` says when one has answered."
    )


@routes.op(
    "POST",
    "/v1/broadcasts",
    needs=Permission.BROADCAST_SEND,
    status=202,
    problems=(NotFound, Conflict, Overloaded),
    headers={"Idempotency-Key": "Needed unless the body has an `id`: sent again with the same body, there is still one broadcast."},
)
async def send_broadcast(call: Call, body: BroadcastIn) -> BroadcastOut:
    """Make a sound. The answer comes when the order is on the disk and under way, before it is heard.

    A loudspeaker that is down, or may not say this now, is left out and named so; one that plays something more important makes this wait
    until `not_after`. What reaches further than the key may is `awaiting-approval`: nothing of it is heard before a second person approves.
    """
    order = order_of(body, call.caller, call.services.city, id_=_id_of(call, body))
    if order.issued_at is None:
        order = replace(order, issued_at=call.services.clock.now())  # a request is never older than its connection
    return shown(await call.services.broadcasts.submit(order))


@routes.op("POST", "/v1/broadcasts/stop-all", needs=Permission.BROADCAST_STOP)
async def stop_all_broadcasts(call: Call) -> StoppedOut:
    """Silence everything, now. This needs no disk and no place in a queue; what was ordered before never plays.

    For that reason it takes no Idempotency-Key, which lives in the store: sent again, it silences again.
    """
    stopped = call.services.broadcasts.stop_all(call.caller.actor)
    sounding = await call.services.broadcasts.silent(within_s=ANSWERS_S) if stopped.may_still_sound else ()
    return StoppedOut(broadcasts=stopped.broadcasts, speakers=stopped.speakers, may_still_sound=list(sounding))


@routes.op("GET", "/v1/broadcasts", needs=Permission.BROADCAST_READ)
async def list_broadcasts(call: Call, query: LedgerQuery) -> BroadcastPage:
    """All broadcasts, or those that fit every filter, the latest first."""
    place = moment_cursor(query)
    before = None if place is None else (place[0], BroadcastId(place[1]))
    asked = replace(wanted(query, call.services.city), start=query.start, end=query.end)
    found = await call.services.broadcasts.page(wanted=asked, before=before, limit=query.limit + 1)
    listed, following = found[: query.limit], None
    if len(found) > query.limit:
        last = listed[-1].broadcast
        following = to_cursor([last.created_at.isoformat(), last.id], query)
    return BroadcastPage(items=[shown(view) for view in listed], next=following)


@routes.op("GET", "/v1/broadcasts/{broadcast_id}", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def read_broadcast(call: Call) -> BroadcastOut:
    """One broadcast, as it stands at each loudspeaker."""
    return shown(await call.services.broadcasts.get(BroadcastId(call.path("broadcast_id"))))


@routes.op(
    "POST",
    "/v1/broadcasts/{broadcast_id}/cancel",
    needs=Permission.BROADCAST_SEND,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
)
async def cancel_broadcast(call: Call) -> BroadcastOut:
    """Silence one broadcast, now: by a key that reaches its loudspeakers, an emergency by one that may order emergencies.

    An Idempotency-Key waits for the store first: without one, it does not.
    """
    broadcast = BroadcastId(call.path("broadcast_id"))
    _must_silence(call, broadcast)
    return shown(await call.services.broadcasts.cancel(broadcast, call.caller.actor))


@routes.op(
    "POST",
    "/v1/broadcasts/{broadcast_id}/approve",
    needs=Permission.BROADCAST_APPROVE,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
)
async def approve_broadcast(call: Call) -> BroadcastOut:
    """Let be heard what reaches further than one person may: by somebody else than the one who ordered it, before its `not_after`."""
    broadcast, by = await _to_decide(call)
    return shown(await call.services.broadcasts.approve(broadcast, by))


@routes.op(
    "POST",
    "/v1/broadcasts/{broadcast_id}/decline",
    needs=Permission.BROADCAST_APPROVE,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
)
async def decline_broadcast(call: Call) -> BroadcastOut:
    """Refuse what waits for a second person: it is cancelled as `declined`."""
    broadcast, by = await _to_decide(call)
    return shown(await call.services.broadcasts.decline(broadcast, by))


@routes.op(
    "POST",
    "/v1/broadcasts/{broadcast_id}/outcome",
    needs=Permission.BROADCAST_SEND,
    problems=(NotFound, Forbidden, Conflict),
    repeatable=True,
)
async def say_outcome(call: Call, body: OutcomeIn) -> BroadcastOut:
    """Say what came of it in the street. Said again it is a correction: what was said before stays on record."""
    view = await call.services.broadcasts.get(BroadcastId(call.path("broadcast_id")))
    must_reach(call.caller.key, (delivery.speaker for delivery in view.deliveries), call.services.city)
    by = call.caller.person
    return shown(await call.services.ledger.say(view.broadcast.id, body.outcome, note=body.note, by=by))


@routes.op(
    "GET",
    "/v1/broadcasts/{broadcast_id}/pictures/{sha256}",
    needs=Permission.BROADCAST_READ,
    answers=Media(("image/jpeg", "image/png")),
    head=False,
    problems=(NotFound,),
)
async def read_broadcast_picture(call: Call) -> web.Response:
    """What a camera saw before a broadcast or after it, as it came; who looks is on record."""
    broadcast = BroadcastId(call.path("broadcast_id"))
    picture, data = await call.services.pictures.read(broadcast, call.path("sha256"), call.caller.actor)
    return content_reply(data, content_type=picture.media_type)


def _must_silence(call: Call, broadcast: BroadcastId) -> None:
    """Forbidden unless the caller reaches all that would fall silent, and may order what is to be silenced. It waits for no store."""
    broadcasts = call.services.broadcasts
    must_reach(call.caller.key, (delivery.speaker for delivery in broadcasts.follow(broadcast)()), call.services.city)
    if (priority := broadcasts.priority_of(broadcast)) is not None:
        must_command(call.caller, priority)


async def _to_decide(call: Call) -> tuple[BroadcastId, Person]:
    """The broadcast, and who decides on it: nobody on loudspeakers that their key does not reach."""
    view = await call.services.broadcasts.get(BroadcastId(call.path("broadcast_id")))
    must_reach(call.caller.key, (delivery.speaker for delivery in view.deliveries), call.services.city)
    return view.broadcast.id, call.caller.person


def _id_of(call: Call, body: BroadcastIn) -> str:
    if body.id is not None:
        return body.id
    key = call.request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= 255:
        raise InvalidInput(
            "A broadcast needs a name of yours, so that it is never made twice.",
            faults=[Fault("Idempotency-Key", "is missing, or longer than 255 characters")],
            hint="Send the header Idempotency-Key, or `id` in the body.",
        )
    return uuid.uuid5(_IDS, f"{call.caller.actor} {key}").hex


def shown(view: View) -> BroadcastOut:
    one = view.broadcast
    return BroadcastOut(
        id=one.id,
        **_programme(one.programme),
        targets=told_targets(one.targets),
        priority=PriorityName[one.priority.name],
        not_after=one.not_after,
        created_at=one.created_at,
        actor=str(one.actor),
        sender=one.sender,
        case=one.case,
        reason=one.reason,
        resume=one.resume,
        override=one.override,
        again=one.again,
        approved_by=str(one.approved_by) if one.approved_by else None,
        approver=one.approver,
        open=view.open,
        counts=dict(outcome(view.deliveries).counts),
        deliveries=[delivery_shown(delivery, may_still_sound=delivery.speaker in view.may_sound) for delivery in view.deliveries],
        outcome=_said(view.outcomes[-1]) if view.outcomes else None,
        corrected=[_said(entry) for entry in view.outcomes[:-1]],
        pictures=[_picture(picture, began=first_packet(view.deliveries)) for picture in view.pictures],
        missing_pictures=[_missing(one) for one in view.missing],
        recording=_recording(view.recording or Recording(one.id, RecordingState.NOT_ASKED)),
    )


def _picture(picture: StreetPicture, *, began: datetime | None) -> PictureOut:
    return PictureOut(
        camera=picture.camera,
        moment=picture.moment,
        sha256=picture.sha256,
        media_type=picture.media_type,
        size=picture.size,
        at=picture.at,
        first_packet_at=began,
        keep_until=picture.keep_until,
        gone=picture.gone,
    )


def _missing(missing: MissingPicture) -> MissingPictureOut:
    said = phrase(missing.reason)
    return MissingPictureOut(
        camera=missing.camera,
        moment=missing.moment,
        reason=missing.reason,
        reason_zh=said.zh,
        reason_en=said.en,
        detail=missing.detail,
        at=missing.at,
    )


def _recording(recording: Recording) -> RecordingOut:
    state, reason = RECORDING_STATES[recording.state], phrase(recording.reason)
    return RecordingOut(
        state=recording.state,
        state_zh=state.zh,
        state_en=state.en,
        reason=recording.reason,
        reason_zh=reason.zh,
        reason_en=reason.en,
        sha256=recording.sha256,
        size=recording.size,
        duration_ms=recording.duration_ms,
        began_at=recording.began_at,
        settled_at=recording.settled_at,
        keep_until=recording.keep_until,
        gone=recording.gone,
    )


def _said(entry: OutcomeEntry) -> OutcomeOut:
    words = STREET_OUTCOMES[entry.outcome]
    return OutcomeOut(
        outcome=entry.outcome,
        outcome_zh=words.zh,
        outcome_en=words.en,
        note=entry.note,
        at=entry.at,
        actor=str(entry.actor),
        name=entry.name,
    )


def _programme(programme: Programme) -> dict[str, Any]:
    common = {"chime": programme.chime, "repeats": programme.repeats, "pause_s": programme.pause_s}
    match programme.content:
        case ClipContent(clip):
            return common | {"kind": "clip", "clip": clip, "text": "", "voice": ""}
        case Speech(text, voice):
            return common | {"kind": "speech", "clip": None, "text": text, "voice": voice}
        case Talk():
            return common | {"kind": "talk", "clip": None, "text": "", "voice": ""}


def told_targets(targets: Targets) -> TargetsOut:
    circle = targets.circle
    return TargetsOut(
        speakers=list(targets.speakers),
        zones=list(targets.zones),
        cells=list(targets.cells),
        groups=list(targets.groups),
        districts=list(targets.districts),
        polygon=[_point(corner) for corner in targets.polygon],
        circle=CircleOut(centre=_point(circle.centre), radius_m=circle.radius_m) if circle else None,
        views=[ViewOut(camera=view.camera, preset=view.preset) for view in targets.views],
    )


def _point(position: Position) -> PointOut:
    return PointOut(latitude=position.latitude, longitude=position.longitude)


def delivery_shown(delivery: Delivery, *, may_still_sound: bool = False) -> DeliveryOut:
    figures, words = delivery.figures, phrase(delivery.reason)
    return DeliveryOut(
        speaker=delivery.speaker,
        state=delivery.state,
        since=delivery.since,
        reason=delivery.reason,
        reason_zh=words.zh if delivery.reason else "",
        reason_en=words.en if delivery.reason else "",
        detail=delivery.detail,
        remarks=[RemarkOut.model_validate(told_remark(remark)) for remark in delivery.remarks],
        encoding=figures.encoding,
        packets=figures.packets,
        dropped=figures.dropped,
        first_packet_at=figures.first_packet_at,
        last_packet_at=figures.last_packet_at,
        clip_asked_at=delivery.clip.asked_at,
        clip_confirmed_at=delivery.clip.confirmed_at,
        clip_stop_asked_at=delivery.clip.stop_asked_at,
        clip_silent_at=delivery.clip.silent_at,
        path=figures.path,
        lost=figures.lost,
        may_still_sound=may_still_sound,
    )
