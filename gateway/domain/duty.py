"""The duty roster: who is on duty when, at which level, and how each is reached."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NewType

ShiftId = NewType("ShiftId", str)

LEVEL_MAX = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """`person` is on duty from `start` until before `end`. Level 0 is told first, level n when an incident was escalated n times.

    `contacts`: the address by channel, named or by its kind: a mailbox for e-mail, a telephone number for DingTalk, a user id for
    WeCom and Feishu; `phone` is shown to people.
    """

    id: ShiftId
    person: str
    start: datetime
    end: datetime
    level: int = 0
    contacts: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def contact(self, channel: str, kind: str) -> str:
        """The address on a channel; "" for none."""
        return self.contacts.get(channel) or self.contacts.get(kind, "")


def on_duty(shifts: Iterable[Shift], now: datetime, *, level: int) -> Sequence[Shift]:
    """Who is to be told at `level`: all of that level, else of the nearest below it, else of the nearest above; () when nobody is there."""
    present = [shift for shift in shifts if shift.start <= now < shift.end]
    if not present:
        return ()
    levels = {shift.level for shift in present}
    below = [one for one in levels if one <= level]
    chosen = max(below) if below else min(levels)
    return sorted((shift for shift in present if shift.level == chosen), key=lambda shift: (shift.start, shift.person, shift.id))
