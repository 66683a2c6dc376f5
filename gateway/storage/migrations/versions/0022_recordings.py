"""Recordings of live talks."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0022"
down_revision = "0021"

TABLES = """
-- What was said live: the file in the folder of recordings is named by `sha256`. When its time is over the file goes and the row stays.
CREATE TABLE recordings (
    broadcast   TEXT PRIMARY KEY REFERENCES broadcasts (id),
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
    size        BIGINT NOT NULL CHECK (size > 0),
    duration_ms BIGINT NOT NULL CHECK (duration_ms >= 0),
    made_at     TIMESTAMPTZ NOT NULL,
    keep_until  TIMESTAMPTZ NOT NULL,
    gone        BOOLEAN NOT NULL
)
;
CREATE INDEX ix_recordings_kept ON recordings (keep_until) WHERE NOT gone
;
CREATE INDEX ix_recordings_file ON recordings (sha256)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
