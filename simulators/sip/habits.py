"""How a horn takes calls, as data: the control API changes it while the city runs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self


@dataclass(frozen=True, slots=True)
class Habits:
    """`answers`: takes calls by itself, after `rings_s`; `refuses`: every call with this status, 0 for none; `early`: describes its sound
    in a 183 before that; `wrong_address`: names another host's address in its description; `hangs_up_after_s`: says BYE by itself, 0:
    never; `drops_every`: every nth message over UDP is lost, in and out, 0: none; `session_s`: wants the call refreshed so often
    (RFC 4028), 0: not; `reports_s`: says so often how much it missed (RTCP), 0: never; `no_audio`: takes calls and closes their audio;
    `open`: asks nobody for a password."""

    answers: bool = True
    rings_s: float = 0.0
    refuses: int = 0
    early: bool = False
    wrong_address: str = ""
    hangs_up_after_s: float = 0.0
    drops_every: int = 0
    session_s: int = 0
    reports_s: float = 5.0
    no_audio: bool = False
    open: bool = False

    def changed(self, wanted: Mapping[str, Any]) -> Self:
        """With some of them changed. Raises ValueError for what cannot be."""
        refuses = wanted.get("refuses", 0)
        if refuses and not 300 <= refuses <= 699:
            raise ValueError("refuses is a status from 300 to 699, or 0")
        if any(wanted.get(name, 0) < 0 for name in ("rings_s", "hangs_up_after_s", "drops_every", "session_s", "reports_s")):
            raise ValueError("no number of habits is negative")
        return replace(self, **wanted)


USUAL: Final = Habits()
KINDS: Final = {field.name: type(getattr(USUAL, field.name)) for field in fields(Habits)}
