"""An open session with a loudspeaker, which goes from hand to hand instead of being ended and set up again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.drivers.base import AudioSession
from gateway.errors import DeviceError

_BUFFERS_S: Final = 0.1
"""A loudspeaker that has more of the last sound in its buffer would go on with it: the end of the session alone silences that."""


@dataclass(slots=True)
class OpenSession:
    """`settle`: takes back what the pacer was told for the case that the daemon dies; `tell`: says to who spoke last what kept the
    device from confirming the end; `place`: where the inventory had the speaker when it was opened; `awake`: sound has gone through it;
    `sound`: what was sent through it ended so that it can be used on.
    """

    session: AudioSession
    settle: Callable[[], None]
    tell: Callable[[DeviceError], None]
    place: object = None
    awake: bool = False
    sound: bool = True

    def suits(self, prefer: Sequence[str]) -> bool:
        """Whether the next sound, to be had in the encodings `prefer`, can go on in it."""
        session = self.session
        return self.sound and not session.ended and session.format.encoding in prefer and session.format.buffers_s <= _BUFFERS_S

    def go_on(self, tell: Callable[[DeviceError], None]) -> None:
        """The next sound begins: its packets are numbered after those of the last one."""
        self.tell = tell
        line = self.session.line
        if line is not None:
            line.give_back(None, torn=False)

    async def close(self) -> None:
        """End it."""
        try:
            if unconfirmed := await self.session.close():
                self.tell(unconfirmed)
        finally:
            self.settle()
