"""The tables of requests for footage, of what was exported for them, and of the custody log."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Table, Text

from gateway.domain.footage import OPTIONAL_FIELDS, REGISTER_FIELDS
from gateway.storage.fetched import file_columns
from gateway.storage.schema import Json, UtcTime, metadata

WORDS: Final = (*REGISTER_FIELDS, *OPTIONAL_FIELDS)
"""What a request says in words of its own, a column each."""

footage_requests = Table(
    "footage_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("kind", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in WORDS),
    Column("urgency", Text, nullable=False),
    Column("emergency", Text),
    Column("place", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("tolerance_s", Double, nullable=False),
    Column("submitted_by", Text, nullable=False),
    Column("submitter", Text, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("cleared", Boolean, nullable=False),
    Column("decided_by", Text),
    Column("decider", Text),
    Column("decided_at", UtcTime),
    Column("note", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime),
    Column("papers_due_at", UtcTime),
    Column("papers_at", UtcTime),
    Column("reminded_at", UtcTime),
)

footage_cameras = Table(
    "footage_cameras",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
)

footage_transitions = Table(
    "footage_transitions",
    metadata,
    Column("before", Text, primary_key=True),
    Column("after", Text, primary_key=True),
)
"""Written by the migrations alone; triggers read it."""

footage_exports = Table(
    "footage_exports",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("cleared", Boolean, nullable=False),
    Column("recorder", Text, nullable=False),
    Column("recording", Text, nullable=False),
    Column("serial", Text, nullable=False),
    Column("offset_s", Double),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("coverage", Json, nullable=False),
    Column("obtained", Json, nullable=False),
    Column("gaps", Json, nullable=False),
    Column("card", Json),
    Column("clock", Json),
    Column("told_at", UtcTime),
    Column("awaited", Boolean, nullable=False),
)

footage_files = Table(
    "footage_files",
    metadata,
    Column("request", Text, primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("downloads", BigInteger, nullable=False),
    Column("device", Text, nullable=False),
    *file_columns(),
)

footage_custody = Table(
    "footage_custody",
    metadata,
    Column("request", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("step", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", Json, nullable=False),
)
