"""Schedules of broadcasts, and what became of each occurrence that was due."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0028"
down_revision = "0027"

TABLES = """
-- Never edited but for `state`, the second person, and `done_until`: every occurrence up to then was seen to.
CREATE TABLE schedules (
    id               TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name             TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    name_en          TEXT NOT NULL CHECK (length(name_en) <= 100),
    kind             TEXT NOT NULL CHECK (kind IN ('clip', 'speech')),
    clip             TEXT REFERENCES clips (id),
    text             TEXT NOT NULL CHECK (length(text) <= 2000),
    voice            TEXT NOT NULL CHECK (length(voice) <= 64),
    chime            BOOLEAN NOT NULL,
    repeats          BIGINT NOT NULL CHECK (repeats BETWEEN 1 AND 100),
    pause_s          DOUBLE PRECISION NOT NULL CHECK (pause_s BETWEEN 0 AND 600),
    targets          TEXT NOT NULL,
    start_at         TIMESTAMPTZ NOT NULL,
    rule             TEXT NOT NULL CHECK (length(rule) <= 200),
    timezone         TEXT NOT NULL CHECK (length(timezone) BETWEEN 1 AND 64),
    days             TEXT NOT NULL CHECK (days IN ('all', 'working', 'free', 'holidays', 'not-holidays')),
    within_s         DOUBLE PRECISION NOT NULL CHECK (within_s > 0),
    reason           TEXT NOT NULL CHECK (length(reason) <= 200),
    sender           TEXT NOT NULL CHECK (length(sender) <= 200),
    state            TEXT NOT NULL CHECK (state IN ('awaiting-approval', 'active', 'paused', 'withdrawn')),
    actor_kind       TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id         TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    approved_by_kind TEXT CHECK (approved_by_kind IN ('user', 'api-key', 'rule', 'system')),
    approved_by_id   TEXT CHECK (length(approved_by_id) BETWEEN 1 AND 200),
    created_at       TIMESTAMPTZ NOT NULL,
    done_until       TIMESTAMPTZ NOT NULL,
    CHECK ((kind = 'clip') = (clip IS NOT NULL)),
    CHECK ((kind = 'speech') = (text <> '')),
    CHECK ((approved_by_kind IS NULL) = (approved_by_id IS NULL)),
    -- who asks is not who approves
    CHECK (approved_by_id IS NULL OR approved_by_kind <> actor_kind OR approved_by_id <> actor_id)
)
;
CREATE INDEX ix_schedules_standing ON schedules (created_at) WHERE state <> 'withdrawn'
;
CREATE INDEX ix_schedules_clip ON schedules (clip) WHERE clip IS NOT NULL
;
-- One row an occurrence, ever: what was seen to is not seen to again.
CREATE TABLE schedule_runs (
    schedule TEXT NOT NULL REFERENCES schedules (id),
    due      TIMESTAMPTZ NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('ordered', 'refused', 'missed')),
    at       TIMESTAMPTZ NOT NULL,
    code     TEXT NOT NULL CHECK (length(code) <= 100),
    detail   TEXT NOT NULL CHECK (length(detail) <= 1000),
    CHECK ((state = 'refused') = (code <> '')),
    PRIMARY KEY (schedule, due)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
