"""What became of each recording of a live talk: kept, failed for a reason, or empty."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0046"
down_revision = "0045"

TABLES = """
DROP INDEX ix_recordings_kept
;
DROP INDEX ix_recordings_file
;
ALTER TABLE recordings RENAME TO recordings_before
;
-- What was said live, from when its order was accepted on; a broadcast without a row was not to be recorded. Of one that is kept the file
-- in the folder of recordings is named by `sha256`; when its time is over the file goes and the row stays.
CREATE TABLE recordings (
    broadcast   TEXT PRIMARY KEY REFERENCES broadcasts (id),
    state       TEXT NOT NULL CHECK (state IN ('under-way', 'kept', 'empty', 'failed', 'unknown')),
    reason      TEXT NOT NULL CHECK (length(reason) <= 100),
    sha256      TEXT NOT NULL,
    size        BIGINT NOT NULL CHECK (size >= 0),
    duration_ms BIGINT NOT NULL CHECK (duration_ms >= 0),
    began_at    TIMESTAMPTZ,
    settled_at  TIMESTAMPTZ,
    keep_until  TIMESTAMPTZ,
    gone        BOOLEAN NOT NULL,
    CHECK (length(sha256) = CASE WHEN state = 'kept' THEN 64 ELSE 0 END),
    CHECK ((state = 'kept') = (keep_until IS NOT NULL)),
    CHECK ((state = 'kept') = (size > 0)),
    CHECK ((state = 'failed') = (reason <> '')),
    CHECK ((state IN ('under-way', 'unknown')) = (settled_at IS NULL))
)
;
INSERT INTO recordings SELECT broadcast, 'kept', '', sha256, size, duration_ms, NULL, made_at, keep_until, gone FROM recordings_before
;
-- Whether the others were to be recorded was not put down.
INSERT INTO recordings SELECT id, 'unknown', '', '', 0, 0, NULL, NULL, NULL, FALSE FROM broadcasts
WHERE kind = 'talk' AND NOT EXISTS (SELECT 1 FROM recordings_before b WHERE b.broadcast = broadcasts.id)
;
DROP TABLE recordings_before
;
CREATE INDEX ix_recordings_kept ON recordings (keep_until) WHERE state = 'kept' AND NOT gone
;
CREATE INDEX ix_recordings_file ON recordings (sha256) WHERE state = 'kept'
;
CREATE INDEX ix_recordings_open ON recordings (broadcast) WHERE state = 'under-way'
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
