"""Pages of a list that stands still or moves: a cursor names the last item seen, so nothing is skipped and nothing comes twice.

It holds good for the list that gave it, by path and filters, and no other: there it would skip what nobody has seen.
"""

import base64
import binascii
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway.api.models import PageQuery
from gateway.errors import Fault, InvalidInput

T = TypeVar("T")
_NUMBERS = 1 << 62


def to_cursor(place: Any, query: PageQuery) -> str:
    """The opaque text of a place in the list that `query` asks for; `place` is a small JSON value."""
    text = json.dumps([query.list_mark, place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def from_cursor(query: PageQuery) -> Any:
    """The place that the cursor of `query` stands for; None without one. InvalidInput for a text that this list never gave."""
    if query.cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(query.cursor + "=" * (-len(query.cursor) % 4), altchars=b"-_", validate=True))
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair is no text that a store could look for
    except (binascii.Error, ValueError, RecursionError):
        raise wrong_cursor() from None
    match found:
        case [mark, place] if mark == query.list_mark and place is not None:
            return place
    raise wrong_cursor()


def wrong_cursor() -> InvalidInput:
    return InvalidInput(
        "This is no cursor of this list.",
        faults=[Fault("?cursor", "must be `next` of a page of this list, asked for with the same filters")],
    )


def text_cursor(query: PageQuery) -> str:
    """The id that the cursor of `query` stands for; "" for the first page. InvalidInput."""
    place = from_cursor(query)
    if place is None:
        return ""
    if not isinstance(place, str):
        raise wrong_cursor()
    return place


def page_by_id(items: Iterable[T], query: PageQuery, *, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """One page of `items`, which are sorted by `key`, and the cursor of the next page (None at the end)."""
    after = text_cursor(query)
    rest = (item for item in items if key(item) > after) if after else iter(items)
    found = list(itertools.islice(rest, query.limit + 1))
    if len(found) <= query.limit:
        return found, None
    found.pop()
    return found, to_cursor(key(found[-1]), query)


def moment_cursor(query: PageQuery) -> tuple[datetime, str] | None:
    """The time and id that the cursor of `query` stands for, in a list by time; None for the first page. InvalidInput."""
    match from_cursor(query):
        case None:
            return None
        case [str(moment), str(id_)]:
            try:
                at = datetime.fromisoformat(moment)
                if at.tzinfo is not None:
                    return at.astimezone(UTC), id_
            except (ValueError, OverflowError):
                raise wrong_cursor() from None
    raise wrong_cursor()


def number_cursor(query: PageQuery) -> int | None:
    """The number that the cursor of `query` stands for, in a list by number; None for the first page. InvalidInput."""
    place = from_cursor(query)
    return None if place is None else to_number(place)


def to_number(value: Any) -> int:
    """A number within a cursor, when it is one that a row of the store can have. InvalidInput."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _NUMBERS:
        raise wrong_cursor()
    return value
