"""What all tables share: the metadata, and the column types that mean the same on SQLite and on PostgreSQL.

The schema of record is the migrations (`migrations/versions/`), with its CHECKs and comments. The `Table`s beside each
repository say what queries are built with; a test holds the two together.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import MetaData, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from gateway.errors import InvalidInput

metadata = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """An aware moment, microsecond exact. TIMESTAMPTZ on PostgreSQL; ISO 8601 text in UTC, which sorts by time, on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        moment = utc(value)
        return moment if dialect.name == "postgresql" else moment.isoformat()

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- the signature is SQLAlchemy's
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value as canonical text. Text, because PostgreSQL's own type would rewrite numbers and refuse NUL escapes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 -- the signature is SQLAlchemy's
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 -- the signature is SQLAlchemy's
        return None if value is None else json.loads(value)


def canonical(value: Any) -> str:
    """`value` as JSON text: keys sorted, no spaces, ASCII, so that equal values have equal text. InvalidInput when it is no JSON value."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"not a JSON value: {error}", code="not-json") from error


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=str).encode


def utc(moment: datetime) -> datetime:
    """`moment` in UTC. InvalidInput for a naive one: nobody knows whose clock it came from."""
    if moment.tzinfo is None:
        raise InvalidInput("a time without an offset from UTC", code="naive-time")
    return moment.astimezone(UTC)
