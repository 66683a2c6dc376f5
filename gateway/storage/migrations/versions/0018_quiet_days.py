"""Dated exceptions of the quiet hours: who made which days quiet or open, where and why."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0018"
down_revision = "0017"

TABLES = """
-- Days are those of the site's calendar (YYYY-MM-DD), times of its wall clock (HH:MM); an end not after its start is on the next day.
-- `zones`: JSON list of zones, empty for the whole city. A row is never changed but for `withdrawn_at`: what held, held.
CREATE TABLE quiet_days (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    first_day    TEXT NOT NULL CHECK (length(first_day) = 10),
    last_day     TEXT NOT NULL CHECK (length(last_day) = 10),
    start_time   TEXT NOT NULL CHECK (length(start_time) = 5),
    end_time     TEXT NOT NULL CHECK (length(end_time) = 5),
    effect       TEXT NOT NULL CHECK (effect IN ('quiet', 'open')),
    zones        TEXT NOT NULL,
    reason       TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id     TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    created_at   TIMESTAMPTZ NOT NULL,
    withdrawn_at TIMESTAMPTZ,
    CHECK (first_day <= last_day)
)
;
CREATE INDEX ix_quiet_days_standing ON quiet_days (last_day) WHERE withdrawn_at IS NULL
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
