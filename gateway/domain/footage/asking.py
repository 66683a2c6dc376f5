"""What is asked for, by whom and why: the fields of the register (登记表), which of them who must give, and by when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.footage.periods import Period
from gateway.domain.footage.places import Route


class Urgency(StrEnum):
    NORMAL = "normal"
    URGENT = "urgent"


class RequesterKind(StrEnum):
    """Who comes to the desk. A citizen views under supervision and never gets a copy."""

    POLICE = "police"
    AUTHORITY = "authority"
    CITIZEN = "citizen"


class Emergency(StrEnum):
    """Why footage may be fetched before anybody approved it; the papers follow (补办手续)."""

    DANGER_TO_LIFE = "danger-to-life"
    MISSING_PERSON = "missing-person"
    HOT_PURSUIT = "hot-pursuit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A request as it is handed in: the fields of the register, the place and the time.

    `case_kind` and `legal_basis` are codes of the maintained lists; `authorising_document` is the number of the 调取证据通知书 or the
    unit's letter, `approval_letter` the reference of a letter that goes with it; `badge` a work id, a citizen's identity card.
    `window` is when it happened as told, `tolerance` how far memory may be out at either end; of a `route`, when somebody was at its
    beginning. The place is all that is named, together, without the cameras `left_out`; `address` is how people call it.
    """

    requester: str
    window: Period
    kind: RequesterKind = RequesterKind.POLICE
    unit: str = ""
    badge: str = ""
    second_officer: str = ""
    case_number: str = ""
    case_kind: str = ""
    legal_basis: str = ""
    authorising_document: str = ""
    approval_letter: str = ""
    purpose: str = ""
    destination: str = ""
    contact: str = ""
    urgency: Urgency = Urgency.NORMAL
    emergency: Emergency | None = None
    tolerance: timedelta = timedelta(0)
    cameras: tuple[DeviceId, ...] = ()
    groups: tuple[GroupId, ...] = ()
    cells: tuple[CellCode, ...] = ()
    circle: Circle | None = None
    route: Route | None = None
    address: str = ""
    left_out: tuple[DeviceId, ...] = ()

    @property
    def widened(self) -> Period:
        """The window with the tolerance at both ends."""
        return Period(self.window.start - self.tolerance, self.window.end + self.tolerance)


REGISTER_FIELDS: Final = (
    *("requester", "unit", "badge", "second_officer", "case_number", "case_kind", "legal_basis", "authorising_document"),
    *("purpose", "destination"),
)
"""What the register knows of a request: none of it is empty when footage is handed over."""
OPTIONAL_FIELDS: Final = ("approval_letter", "contact")
"""What may stay empty for ever."""
_OFFICIAL: Final = ("requester", "unit", "badge", "case_number", "authorising_document", "purpose")
TO_FILE: Final[Mapping[RequesterKind, tuple[str, ...]]] = {
    RequesterKind.POLICE: _OFFICIAL,
    RequesterKind.AUTHORITY: _OFFICIAL,
    RequesterKind.CITIZEN: ("requester", "badge", "purpose"),
}
"""What nobody files a request without. A citizen's case number is the desk's own: the request's id."""
PAPERS: Final = ("authorising_document",)
"""What may follow in an emergency."""


def needed_to_file(kind: RequesterKind, emergency: Emergency | None) -> tuple[str, ...]:
    """The fields without which a request is not taken."""
    return tuple(name for name in TO_FILE[kind] if emergency is None or name not in PAPERS)


def missing(filing: Filing) -> tuple[str, ...]:
    """The fields of the register that have to be filled in before footage is handed over, in its order."""
    wanted = TO_FILE[filing.kind] if filing.kind is RequesterKind.CITIZEN else REGISTER_FIELDS
    return tuple(name for name in wanted if not getattr(filing, name).strip())
