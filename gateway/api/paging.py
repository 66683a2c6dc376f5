"""Pages of a list that stands still or moves: a cursor names the last item seen, so nothing is skipped and nothing comes twice."""

import base64
import binascii
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

from gateway.api.models import PageQuery
from gateway.errors import Fault, InvalidInput

T = TypeVar("T")


def to_cursor(place: Any) -> str:
    """The opaque text of a place in a list; `place` is a small JSON value."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).rstrip(b"=").decode()


def from_cursor(cursor: str) -> Any:
    """The place that `to_cursor` made `cursor` from. InvalidInput for a text that it never made."""
    try:
        return json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise wrong_cursor() from None


def wrong_cursor() -> InvalidInput:
    return InvalidInput("This is no cursor of this list.", faults=[Fault("?cursor", "must be `next` of a page of this list")])


def text_cursor(cursor: str | None) -> str:
    """The id that `cursor` stands for; "" for the first page. InvalidInput."""
    if cursor is None:
        return ""
    place = from_cursor(cursor)
    if not isinstance(place, str):
        raise wrong_cursor()
    return place


def page_by_id(items: Iterable[T], query: PageQuery, *, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """One page of `items`, which are sorted by `key`, and the cursor of the next page (None at the end)."""
    after = text_cursor(query.cursor)
    rest = (item for item in items if key(item) > after) if after else iter(items)
    found = list(itertools.islice(rest, query.limit + 1))
    if len(found) <= query.limit:
        return found, None
    found.pop()
    return found, to_cursor(key(found[-1]))


def moment_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """The time and id that `cursor` stands for, in a list by time; None for the first page. InvalidInput."""
    if cursor is None:
        return None
    match from_cursor(cursor):
        case [str(moment), str(id_)]:
            try:
                at = datetime.fromisoformat(moment)
            except ValueError:
                raise wrong_cursor() from None
            if at.tzinfo is not None:
                return at, id_
    raise wrong_cursor()
