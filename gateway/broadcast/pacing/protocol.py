"""What the daemon and the pacer's process say to each other: one datagram a message, JSON before its end and raw bytes behind it.

Standard library only: the pacer's process imports this.

To the pacer, each with the descriptors that it names by their place among those that came with it:

    sound     id                                                    a memfd; the encoded bytes of one sound
    source    id                                                    a memfd; the ring through which a sound comes, of one chorus
    chorus    id, sound | source, shape, lead_in, payload_type,
              unstamped, numbers                                    lines that will get the same packets
    lines     chorus, lines: [number, socket, channel, host, port, signal], farewells
    go        choruses, epoch                                       all of these begin together
    stop      lines                                                 these get no further packet
    write     line                                                  bytes between two frames, behind the JSON
    farewell  line                                                  what is said when the daemon is gone, behind the JSON
    forget    sounds                                                nobody will ask for these again
    will      id                                                    a socket; what is said there when the daemon is gone, behind the JSON,
                                                                    unless a line of its own says so; instead of an earlier one of that id
    settle    id                                                    that will is void

From the pacer:

    ready     fifo, locked, batched, why                            it runs, and how well it may
    began     choruses: [id, at]                                    the first packet is out; of very many, in several messages
    ended     lines: [number, how, packets, dropped, first, last, [ssrc, sequence, timestamp], torn]
    progress  choruses: [id, packets, last], late, batched          twice a second while it sends, of very many in several messages;
                                                                    seconds it woke too late at the most

Beside that both map one page (`Page`): silence must not wait behind a queue, and a process that hangs cannot say so.
"""

import json
import mmap
import struct
from typing import Any

MESSAGE_BYTES = 64 * 1024
"""Of one datagram at the most; larger lists go in several."""
LINES_A_MESSAGE = 60
"""Each has two descriptors at the most, of which the kernel takes 253 with one message, and a farewell."""
CHORUSES_A_MESSAGE = 500
"""Each takes some 60 bytes, with numbers as long as they get."""
FAREWELL_BYTES = 700
_LENGTH = struct.Struct("@I")


def encode(message: dict[str, Any], raw: bytes = b"") -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body + raw


def decode(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The message and the bytes behind it. ValueError for what is none."""
    if len(data) < _LENGTH.size:
        raise ValueError("a message is cut short")
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    message = json.loads(data[_LENGTH.size : end])
    if not isinstance(message, dict):
        raise ValueError("a message is no object")  # of the other side's doing, as the others
    return message, data[end:]


class Page:
    """Shared memory: the epoch, which the daemon raises to silence everything, and the beat, by which the pacer shows that it lives.

    Each is one aligned machine word with one writer, so that neither side waits for the other.
    """

    BYTES = mmap.PAGESIZE

    def __init__(self, descriptor: int) -> None:
        self._words = memoryview(mmap.mmap(descriptor, self.BYTES)).cast("Q")

    @property
    def epoch(self) -> int:
        """How often all was silenced."""
        return self._words[0]

    def silence(self) -> int:
        """Nothing that was begun before goes on, and nothing that was ordered before begins; the new epoch."""
        self._words[0] += 1
        return self._words[0]

    @property
    def beat(self) -> int:
        """Grows while the pacer turns."""
        return self._words[1]

    def live(self) -> None:
        self._words[1] += 1
