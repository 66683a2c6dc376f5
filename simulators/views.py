"""What a camera's lens gives: the street, or a picture that is worth nothing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class View(StrEnum):
    """`FROZEN`: the picture stands still, the clock in it too. `MOVED`: the camera looks elsewhere than it should.

    `BLURRED`: out of focus. `DAZZLED`: white all over.
    """

    STREET = "street"
    BLACK = "black"
    COVERED = "covered"
    FROZEN = "frozen"
    MOVED = "moved"
    BLURRED = "blurred"
    DAZZLED = "dazzled"


@dataclass(frozen=True, slots=True)
class Seen:
    """A view and since when it is seen, in seconds since the epoch by the city's clock."""

    view: View = View.STREET
    since: float = 0.0


STREET: Final = Seen()
