"""A WebSocket whose binary messages are taken where they arrive: fifty a second from each talker, for which no task need wake.

To wake one for each frame, and to look at all sockets once more after it, is a third of what a talker costs. aiohttp has no public way
around that; this uses what its version that we lock has inside, and the tests of live talk see when another has not.
"""

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from gateway.errors import GatewayError

log = structlog.get_logger(__name__)

_LIMIT_BYTES = 1 << 16
_READ_BYTES = 1 << 12

Take = Callable[[bytes], None]


class FrameSocket(web.WebSocketResponse):
    """A `WebSocketResponse` that hands binary messages to `take`, once that is set, before anybody receives them.

    What `take` raises ends that: the message and all later ones are received as usual, so that it is raised again where it can be answered.
    """

    def __init__(self, *, max_msg_size: int, timeout: float) -> None:
        super().__init__(max_msg_size=max_msg_size, compress=False, timeout=timeout)
        self._bytes_max = max_msg_size
        self._queue: _Queue | None = None

    def take(self, take: Take) -> None:
        """From now on; what came before and was not received is received first."""
        if self._queue is not None:
            self._queue.take = take

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """What the parent does without a heartbeat, with our queue."""
        assert self._loop is not None
        self._ws_protocol, self._writer = protocol, writer
        self._queue = self._reader = _Queue(request.protocol, _LIMIT_BYTES, loop=self._loop)
        self._parser = WebSocketReader(self._queue, self._bytes_max, compress=False, decode_text=True)
        request.protocol.set_parser(self._parser)
        _read_little(request.transport)
        request.protocol.keep_alive(False)


def _read_little(transport: object) -> None:
    """Have no more room made for each read than some frames take: asyncio's usual 256 KiB cost four times as much as the read itself.

    For a plain connection of asyncio's selector loop; where there is no such bound, as inside TLS, there is nothing to do.
    """
    if hasattr(transport, "max_size"):
        transport.max_size = _READ_BYTES


class _Queue(WebSocketDataQueue):
    take: Take | None = None

    def feed_data(self, data: Any, size: int) -> None:
        """Called by the parser, which passes no exception on."""
        if self.take is None or data.type is not WSMsgType.BINARY or self._buffer or not self._taken(data.data, self.take):
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
