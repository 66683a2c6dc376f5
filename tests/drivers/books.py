"""The books that one protocol keeps of a device's login, for tests of what the others do with them."""

from dataclasses import dataclass


@dataclass
class Books:
    """What a protocol with books of its own knows."""

    accepted_at: float | None = None
    suspected: int = 0

    def known_bad(self) -> None:
        return None

    def suspect(self) -> None:
        self.suspected += 1
