"""A broadcast as it stands: what the store says, and where memory knows more, what memory says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.broadcast import Broadcast, BroadcastId, Delivery
from gateway.domain.broadcast_ledger import MissingPicture, OutcomeEntry, Recording, StreetPicture
from gateway.domain.devices import DeviceId

Live = Mapping[BroadcastId, dict[DeviceId, Delivery]]
"""The deliveries of which memory knows more than the store."""


@dataclass(frozen=True, slots=True)
class View:
    """A broadcast and where it stands at each speaker; what people said came of it, in order, and the pictures and the recording beside it.

    `recording`: None where none was asked for.
    """

    broadcast: Broadcast
    deliveries: tuple[Delivery, ...]
    outcomes: tuple[OutcomeEntry, ...] = ()
    pictures: tuple[StreetPicture, ...] = ()
    may_sound: frozenset[DeviceId] = frozenset()
    """The speakers that may go on playing by themselves what they should not."""
    recording: Recording | None = None
    missing: tuple[MissingPicture, ...] = ()
    """Of the pictures."""

    @property
    def open(self) -> bool:
        return any(delivery.open for delivery in self.deliveries)


def view_of(broadcast: Broadcast, stored: Sequence[Delivery], live: Live) -> View:
    """What the store says, and where memory knows more, what memory says: also of those that stepped in and are not stored yet."""
    known, clips = {one.speaker: one for one in stored}, {one.speaker: one.clip for one in stored}
    known |= {speaker: replace(one, clip=clips.get(speaker, one.clip)) for speaker, one in live.get(broadcast.id, {}).items()}
    return View(broadcast, tuple(known[speaker] for speaker in sorted(known)))


def newest(before: Live, after: Live) -> Live:
    """What memory knew before or after, the later word first."""
    return {broadcast: before.get(broadcast, {}) | after.get(broadcast, {}) for broadcast in before.keys() | after.keys()}
