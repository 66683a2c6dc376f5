"""Live talk over a WebSocket, and the recordings of what was said."""

import asyncio
import json
import uuid
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from gateway.api.auth import COOKIE
from gateway.api.frames import FrameSocket
from gateway.api.gathering import Gathering
from gateway.api.orders import Codec, read_talk
from gateway.api.problems import problem_of, problem_of_crash
from gateway.api.replies import attachment
from gateway.api.routes.broadcasts import delivery_shown, shown
from gateway.api.routes.events import STREAMS
from gateway.api.routing import Call, Media, Routes
from gateway.broadcast.orders import Order
from gateway.broadcast.talk import DeliveryWord, EndWord, LevelWord, LiveTalk, Word
from gateway.domain.access import Permission
from gateway.domain.broadcast import BroadcastId
from gateway.domain.reasons import phrase
from gateway.domain.talk import TalkEnd
from gateway.errors import Conflict, Forbidden, GatewayError, InvalidInput, NotFound, Overloaded

routes = Routes("talk", "A person who speaks live into the street.")

log = structlog.get_logger(__name__)

GATHERING: web.AppKey[Gathering] = web.AppKey("gathering", Gathering)
ORDER_WITHIN_S = 10.0
MESSAGE_BYTES = 64 << 10
_CLOSE_WITHIN_S = 2.0
_CLIENT_ENDS = {"released": TalkEnd.RELEASED, "lost-focus": TalkEnd.LOST_FOCUS}


@routes.op(
    "GET",
    "/v1/talk",
    needs=Permission.BROADCAST_SEND,
    status=101,
    answers=Media(("application/json",)),
    head=False,
    problems=(Conflict, Overloaded),
    headers={"Origin": "What a browser sends by itself: only this gateway's own pages are let in."},
)
async def talk(call: Call) -> web.StreamResponse:
    """Speak live: a WebSocket, opened with a key or with a console's session.

    The first message is the order, as JSON text: `targets` as in a broadcast, and if wanted `priority`, `not_after`, `case`, `reason`,
    `override`, `id`. Then come binary messages of 640 bytes: 20 ms each of 16 kHz, mono, signed 16 bit, little endian. With `codec: "opus"`
    each is an Opus packet instead (RFC 6716; mono or stereo, 20 ms as a rule), and an empty one says that one was lost. The text
    `{"end":"released"}` or `{"end":"lost-focus"}` ends the talk.

    The answers are JSON texts with a `type`: `accepted` with the `broadcast`; `delivery` whenever a loudspeaker's state changes: one that
    is `playing` is heard; `level` five times a second (`rms_db`, `peak_db`, `clipping`, `silent`, `on_air_s`); at last `ended`
    with the `reason`, or `refused` with the `problem`. A talk ends by itself when nothing is said, when no frame comes, and when it
    takes too long; where something as important has a loudspeaker, that one is `speaker-busy` at once.
    """
    request = call.request
    _same_origin(request)
    socket = FrameSocket(max_msg_size=MESSAGE_BYTES, timeout=_CLOSE_WITHIN_S)
    if not socket.can_prepare(request).ok:
        raise InvalidInput("This is a WebSocket.", code="no-websocket", hint="Connect with ws:// or wss:// (RFC 6455).")
    await socket.prepare(request)
    try:
        await _Conversation(call, socket).run()
    except GatewayError as error:
        await _refuse(socket, problem_of(error).body())
    except ConnectionError:
        pass  # the talker has gone
    except Exception as error:  # our mistake: the log gets it, the talker gets a problem
        await _refuse(socket, problem_of_crash(error, where="talk").body())
    finally:
        await socket.close()
    return socket


@routes.op(
    "GET",
    "/v1/broadcasts/{broadcast_id}/recording",
    needs=Permission.BROADCAST_LISTEN,
    answers=Media(("audio/wav",)),
    head=False,
    problems=(NotFound,),
)
async def read_recording(call: Call) -> web.Response:
    """What was said in a live talk, where the gateway records talks; who listens is on record."""
    recording, data = await call.services.recordings.read(BroadcastId(call.path("broadcast_id")), call.caller.actor)
    return attachment(data, name=f"talk-{recording.sha256[:12]}.wav", content_type="audio/wav")


class _Conversation:
    """One talker's connection: the order, then frames one way and words the other."""

    def __init__(self, call: Call, socket: FrameSocket) -> None:
        self._call = call
        self._socket = socket

    async def run(self) -> None:
        order, codec = await self._order()
        live = await self._call.services.talks.begin(order, opus=codec is Codec.OPUS)
        try:
            await self._say({"type": "accepted", "broadcast": shown(live.view).model_dump(mode="json")})
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(live), name="talk frames")
                closing = group.create_task(self._end_with_door(live), name="talk door")
                async for word in live.words():
                    await self._say(_written(word))
                hearing.cancel()
                closing.cancel()
        except* ConnectionError:
            pass  # the talker has gone: the talk ends as lost
        finally:
            self._socket.leave()
            live.end(TalkEnd.LOST)

    async def _order(self) -> tuple[Order, Codec]:
        try:
            async with asyncio.timeout(ORDER_WITHIN_S):
                message = await self._socket.receive()
        except TimeoutError:
            raise InvalidInput(f"No order came within {ORDER_WITHIN_S:g} s.", code="no-order") from None
        if message.type is not WSMsgType.TEXT:
            raise InvalidInput("The first message must be the order, as JSON text.", code="no-order")
        services = self._call.services
        return read_talk(
            message.data, caller=self._call.caller, city=services.city, now=services.clock.now(), new_id=lambda: f"talk-{uuid.uuid4().hex}"
        )

    async def _hear(self, live: LiveTalk) -> None:
        self._socket.take(live.hear, self._call.request.app[GATHERING])
        async for message in self._socket:
            try:
                _take(live, message)
            except InvalidInput as error:
                await self._say({"type": "refused", "problem": problem_of(error).body()})
                break
        live.end(TalkEnd.LOST)

    async def _end_with_door(self, live: LiveTalk) -> None:
        await self._call.request.app[STREAMS].closing.wait()
        live.end(TalkEnd.STOPPING)

    async def _say(self, words: dict[str, Any]) -> None:
        await self._socket.send_str(json.dumps(words, ensure_ascii=False))


def _take(live: LiveTalk, message: WSMessage) -> None:
    """A frame, or the talker's own end. InvalidInput for what is neither."""
    if message.type is WSMsgType.BINARY:
        live.hear(message.data)
    elif message.type is WSMsgType.TEXT:
        live.end(_end_in(message.data))


def _end_in(text: str) -> TalkEnd:
    try:
        return _CLIENT_ENDS[json.loads(text)["end"]]
    except (ValueError, KeyError, TypeError):
        known = " or ".join(f'{{"end":"{name}"}}' for name in _CLIENT_ENDS)
        raise InvalidInput(f"After the order come frames, and at the end {known}.", code="bad-message") from None


def _written(word: Word) -> dict[str, Any]:
    match word:
        case LevelWord(level, on_air_s):
            return {
                "type": "level",
                "rms_db": level.rms_db,
                "peak_db": level.peak_db,
                "clipping": level.clipping,
                "silent": level.silent,
                "on_air_s": None if on_air_s is None else round(on_air_s, 1),
            }
        case DeliveryWord(delivery):
            return {"type": "delivery", "delivery": delivery_shown(delivery).model_dump(mode="json")}
        case EndWord(reason, view):
            said = phrase(reason)
            return {
                "type": "ended",
                "reason": reason,
                "reason_zh": said.zh,
                "reason_en": said.en,
                "broadcast": shown(view).model_dump(mode="json"),
            }


def _same_origin(request: web.Request) -> None:
    """Forbidden (`cross-site`) for a page of another site, and for a session's cookie that does not say where it comes from.

    A browser does not keep pages from opening WebSockets elsewhere; it does say whose page it is (RFC 6455, 10.2).
    """
    origin = request.headers.get("Origin")
    with_cookie = "Authorization" not in request.headers and COOKIE in request.cookies
    if origin is None and not with_cookie:
        return
    if origin is None or urlsplit(origin).netloc.lower() != (request.host or "").lower():
        raise Forbidden("A talk is opened from this gateway's own pages, or with a key.", code="cross-site")


async def _refuse(socket: web.WebSocketResponse, problem: dict[str, Any]) -> None:
    try:
        await socket.send_str(json.dumps({"type": "refused", "problem": problem}, ensure_ascii=False))
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=problem["type"].rpartition(":")[2].encode()[:100])
    except ConnectionError:
        log.info("api.talk.unheard_refusal", type=problem["type"])
