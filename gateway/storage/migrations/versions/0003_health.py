"""How the devices are and how they were: the state of each, and every change of it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0003"
down_revision = "0002"

TABLES = """
-- The state of a device since its last change. A device without a row was never heard of: unknown.
-- No reference to `devices`: an import may drop a device while its last change is on its way here.
CREATE TABLE device_health (
    device     TEXT PRIMARY KEY CHECK (length(device) BETWEEN 1 AND 64),
    state      TEXT NOT NULL CHECK (state IN ('unknown', 'up', 'degraded', 'down')),
    since      TIMESTAMPTZ NOT NULL,
    reason     TEXT NOT NULL CHECK (length(reason) <= 64),
    check_name TEXT NOT NULL CHECK (length(check_name) <= 64),
    -- JSON: what the check found, untrusted text of the device included
    facts      TEXT NOT NULL
)
;
-- Append-only: who went from which state to which, when (our clock), why, and which check said so. It outlives the device.
-- `number` counts a device's transitions from 1 on, without a gap.
CREATE TABLE transitions (
    device       TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    number       BIGINT NOT NULL CHECK (number > 0),
    before_state TEXT NOT NULL CHECK (before_state IN ('unknown', 'up', 'degraded', 'down')),
    after_state  TEXT NOT NULL CHECK (after_state IN ('unknown', 'up', 'degraded', 'down')),
    at           TIMESTAMPTZ NOT NULL,
    reason       TEXT NOT NULL CHECK (length(reason) <= 64),
    check_name   TEXT NOT NULL CHECK (length(check_name) <= 64),
    facts        TEXT NOT NULL,
    PRIMARY KEY (device, number),
    CHECK (before_state <> after_state)
)
;
CREATE INDEX ix_transitions_at ON transitions (at)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
