"""Files that a vendor's client exported and somebody brought: taken in as they are, and marked as not fetched by the gateway."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

from gateway.domain.events import Person
from gateway.domain.footage import BEIJING, FootageFile, Period, RequestId

ImportId = NewType("ImportId", str)

ORIGIN: Final = "not-fetched-by-the-gateway"
ORIGIN_WORDING: Final = "非网关提取"


class ImportState(StrEnum):
    """How far a file is: `arrived` is whole on the disk, `kept` is in the signed package; the other two hold nothing."""

    RECEIVING = "receiving"
    ARRIVED = "arrived"
    KEPT = "kept"
    REFUSED = "refused"
    DROPPED = "dropped"


HOLDING: Final = frozenset({ImportState.ARRIVED, ImportState.KEPT})
"""States with a file that belongs to the package."""
UNFINISHED: Final = frozenset({ImportState.RECEIVING, ImportState.ARRIVED})
"""States of which something is still to be done."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What is said of a file by who brings it: `device` it comes from, the vendor's `client` that wrote it, under which name.

    `camera`: the inventory's id, "" when it has none; `claimed`: the period that it is said to show. Nothing of this was measured.
    """

    brought_by: str
    badge: str
    device: str
    client: str
    original_name: str
    camera: str = ""
    claimed: Period | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """A file on its way in. `expected`: the digest that came with it, or ""; `received` bytes are safe on the disk.

    `removed`: it was in the package, and was deleted with it, on record.
    """

    id: ImportId
    request: RequestId
    number: int
    brought: Brought
    size: int
    expected: str
    by: Person
    made_at: datetime
    state: ImportState = ImportState.RECEIVING
    received: int = 0
    sha256: str = ""
    kept_at: datetime | None = None
    removed: bool = False
    downloads: int = 0

    @property
    def name(self) -> str:
        """What it is called in the package; its own name stands in the manifest."""
        return name_in_package(self.number, self.brought.original_name)


def name_in_package(number: int, original: str) -> str:
    """What the brought file of this number is called there: letters that every system can write."""
    stem, _, kind = re.split(r"[/\\]", original)[-1].rpartition(".")
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", stem or kind)[:60].strip("_")
    ending = re.sub(r"[^A-Za-z0-9]+", "", kind if stem else "")[:8].lower() or "bin"
    return f"brought_{number:02d}{'_' if plain else ''}{plain}.{ending}"


Footage = FootageFile | Import
"""A file of a package that shows something, whoever fetched it: it goes out so many times and no more."""


def imported_section(imports: Iterable[Import]) -> list[dict[str, Any]]:
    """The manifest's part `imported`: each file that the gateway did not fetch, with who brought it and from where."""
    return [_told(one) for one in imports if one.state in HOLDING]


def _told(one: Import) -> dict[str, Any]:
    brought, claimed = one.brought, one.brought.claimed
    return {
        "origin": ORIGIN,
        "origin_wording": ORIGIN_WORDING,
        **{name: getattr(brought, name) for name in ("brought_by", "badge", "device", "camera", "client", "original_name", "note")},
        "claimed": {"start": _moment(claimed.start), "end": _moment(claimed.end)} if claimed else None,
        "taken_in_by": {"name": one.by.name, "id": str(one.by.actor), "at": _moment(one.made_at)},
        "files": [{"name": one.name, "size": one.size, "sha256": one.sha256}],
    }


def _moment(at: datetime) -> str:
    return at.astimezone(BEIJING).isoformat()
