"""A WebSocket whose binary messages are taken where they are read: fifty a second from each talker, for which no task need wake.

To wake one for each frame, and to look at all sockets once more after it, is a third of what a talker costs. aiohttp has no public way
around that; this uses what its version that we lock has inside, and the tests of live talk see when another has not.
"""

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from gateway.api.gathering import READ_BYTES, Gathering, Leave, is_plain
from gateway.errors import GatewayError

log = structlog.get_logger(__name__)

_LIMIT_BYTES = 1 << 16

Take = Callable[[bytes], None]


class FrameSocket(web.WebSocketResponse):
    """A `WebSocketResponse` that hands binary messages to `take`, once that is set, before anybody receives them.

    What `take` raises ends that: the message and all later ones are received as usual, so that it is raised again where it can be answered.
    While all messages are taken, the connection is read with those of the other talkers, where it is one that can be.
    """

    def __init__(self, *, max_msg_size: int, timeout: float) -> None:
        super().__init__(max_msg_size=max_msg_size, compress=False, timeout=timeout)
        self._bytes_max = max_msg_size
        self._queue: _Queue | None = None

    def take(self, take: Take, gathering: Gathering) -> None:
        """From now on; what came before and was not received is received first."""
        if self._queue is None or self._req is None:
            return
        self._queue.take = take
        transport = self._req.transport
        if transport is not None and is_plain(transport) and not transport.is_closing():
            self._queue.leave = gathering.join(transport)

    def leave(self) -> None:
        """Have the connection read alone again."""
        if self._queue is not None:
            self._queue.leave()

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """What the parent does without a heartbeat, with our queue."""
        assert self._loop is not None
        self._ws_protocol, self._writer = protocol, writer
        self._queue = self._reader = _Queue(request.protocol, _LIMIT_BYTES, loop=self._loop)
        self._parser = WebSocketReader(self._queue, self._bytes_max, compress=False, decode_text=True)
        request.protocol.set_parser(self._parser)
        if is_plain(request.transport):
            request.transport.max_size = READ_BYTES  # type: ignore[union-attr]  # a plain one, which the stubs do not know
        request.protocol.keep_alive(False)


def _nothing() -> None:
    """What there is to leave for who has joined nobody."""


class _Queue(WebSocketDataQueue):
    take: Take | None = None
    leave: Leave = staticmethod(_nothing)

    def feed_data(self, data: Any, size: int) -> None:
        """Called by the parser, which passes no exception on."""
        if self.take is None or data.type is not WSMsgType.BINARY or self._buffer or not self._taken(data.data, self.take):
            self.leave()  # from here on this may have to be held up alone
            super().feed_data(data, size)

    def _taken(self, frame: bytes, take: Take) -> bool:
        try:
            take(frame)
        except GatewayError:
            self.take = None
        except Exception:  # a defect of ours, which the parser would hide
            log.exception("api.frame_not_taken")
            self.take = None
        return self.take is not None
