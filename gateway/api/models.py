"""The types that requests and answers are made of: strict about what comes in, RFC 3339 about time."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    WithJsonSchema,
)

T = TypeVar("T")

# RFC 3339, section 5.6; the offset is not optional here.
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})")
_PLUS_LOST = re.compile(r"[T0-9:.\-]+ \d{2}:\d{2}")


class Input(BaseModel):
    """What a caller sends: an unknown field is an error, not a surprise later."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Output(BaseModel):
    """What the gateway answers."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Page(Output, Generic[T]):
    """One page of a list. `next` goes into `?cursor=` of the next call; null at the end."""

    items: list[T]
    next: str | None = None


class PageQuery(Input):
    """Which page of a list."""

    limit: int = Field(default=100, ge=1, le=1000, description="At most so many items.")
    cursor: str | None = Field(default=None, max_length=512, description="`next` of the page before.")
    _path: str = PrivateAttr(default="")

    def asked_at(self, path: str) -> Self:
        """The same, of the list at `path`."""
        self._path = path
        return self

    @property
    def list_mark(self) -> str:
        """A short hash of which list this is a page of: the path and the filters, whatever the size of the page."""
        filters = self.model_dump_json(exclude={"limit", "cursor"})
        return hashlib.sha256(f"{self._path}\n{filters}".encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _must_be_rfc3339(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time in a string, such as 2026-03-01T08:00:00+08:00")  # pydantic asks for ValueError
    if _PLUS_LOST.fullmatch(value):
        raise ValueError("the '+' of the offset was lost: write it as %2B in a URL")
    if not _RFC3339.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-03-01T08:00:00+08:00 or 2026-03-01T00:00:00Z")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of the range of years that can be stored") from None


Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_must_be_rfc3339),
    AfterValidator(_to_utc),
    WithJsonSchema({"type": "string", "format": "date-time", "description": "RFC 3339 with an offset"}),
]
"""A moment: in with any offset, kept and answered in UTC; naive times are refused."""


def instant_text(moment: datetime) -> str:
    """A moment in UTC as RFC 3339, in the one form that all answers have (with `Z`)."""
    return moment.isoformat().replace("+00:00", "Z")


_NO_CONTROLS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text, not empty."""

OptionalLine = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text, or nothing."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=_NO_CONTROLS)]
"""Some lines of text."""

Ident = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\w.:@-]+$")]
"""The id of something: letters of any script, digits and . : @ _ -"""
