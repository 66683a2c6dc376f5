"""What is wrong as one thing: incidents, their members, their history. When somebody works on purpose: maintenance windows."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0012"
down_revision = "0011"

TABLES = """
-- One problem, whatever number of devices it takes with it. `trouble`: what the members are; 'unknown' is the gateway's own blindness.
-- `devices`: how many members it had at its worst. `waiting_since`: from when the escalation counts.
CREATE TABLE incidents (
    id               TEXT PRIMARY KEY CHECK (length(id) BETWEEN 3 AND 64),
    state            TEXT NOT NULL CHECK (state IN ('open', 'acknowledged', 'resolved')),
    severity         TEXT NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'warning')),
    trouble          TEXT NOT NULL CHECK (trouble IN ('unknown', 'degraded', 'down')),
    cause_kind       TEXT NOT NULL CHECK (cause_kind IN ('device', 'common', 'gateway')),
    cause_device     TEXT CHECK (length(cause_device) BETWEEN 1 AND 64),
    cause_scope      TEXT CHECK (cause_scope IN ('pole', 'cell', 'uplink', 'subnet', 'model', 'street', 'district', 'city')),
    cause_key        TEXT NOT NULL CHECK (length(cause_key) <= 200),
    cause_name       TEXT NOT NULL CHECK (length(cause_name) <= 200),
    reason           TEXT NOT NULL CHECK (length(reason) <= 64),
    opened_at        TIMESTAMPTZ NOT NULL,
    waiting_since    TIMESTAMPTZ NOT NULL,
    changed_at       TIMESTAMPTZ NOT NULL,
    devices          BIGINT NOT NULL CHECK (devices >= 0),
    acknowledged_at  TIMESTAMPTZ,
    acknowledged_by  TEXT NOT NULL CHECK (length(acknowledged_by) <= 200),
    assignee         TEXT NOT NULL CHECK (length(assignee) <= 200),
    snoozed_until    TIMESTAMPTZ,
    resolved_at      TIMESTAMPTZ,
    -- Empty when the gateway saw all members back.
    resolved_by      TEXT NOT NULL CHECK (length(resolved_by) <= 200),
    escalation_level BIGINT NOT NULL CHECK (escalation_level >= 0),
    reopened         BIGINT NOT NULL CHECK (reopened >= 0),
    CHECK ((cause_kind = 'device') = (cause_device IS NOT NULL)),
    CHECK ((cause_kind = 'common') = (cause_scope IS NOT NULL)),
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK (state <> 'acknowledged' OR acknowledged_at IS NOT NULL),
    CHECK (state = 'resolved' OR resolved_by = '')
)
;
CREATE INDEX ix_incidents_opened_at ON incidents (opened_at, id)
;
CREATE INDEX ix_incidents_live ON incidents (id) WHERE state <> 'resolved'
;
CREATE INDEX ix_incidents_resolved_at ON incidents (resolved_at)
;
-- A device in an incident, as it was when it joined. `until`: when it was back, or left. No reference to `devices`: it outlives them.
CREATE TABLE incident_members (
    incident  TEXT NOT NULL REFERENCES incidents (id),
    device    TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    kind      TEXT CHECK (kind IN ('camera', 'speaker', 'recorder', 'switch')),
    state     TEXT NOT NULL CHECK (state IN ('unknown', 'up', 'degraded', 'down')),
    reason    TEXT NOT NULL CHECK (length(reason) <= 64),
    since     TIMESTAMPTZ NOT NULL,
    role      TEXT NOT NULL CHECK (role IN ('root', 'explained')),
    joined_at TIMESTAMPTZ NOT NULL,
    until     TIMESTAMPTZ,
    PRIMARY KEY (incident, device)
)
;
-- A device is ill in one incident at a time.
CREATE UNIQUE INDEX ux_incident_members_ill ON incident_members (device) WHERE until IS NULL
;
CREATE INDEX ix_incident_members_device ON incident_members (device)
;
-- Append-only: what happened to an incident and what was done to it, from 1 on.
CREATE TABLE incident_history (
    incident TEXT NOT NULL REFERENCES incidents (id),
    number   BIGINT NOT NULL CHECK (number > 0),
    at       TIMESTAMPTZ NOT NULL,
    what     TEXT NOT NULL CHECK (length(what) BETWEEN 1 AND 32),
    -- Empty for the gateway itself.
    actor    TEXT NOT NULL CHECK (length(actor) <= 200),
    comment  TEXT NOT NULL CHECK (length(comment) <= 4000),
    detail   TEXT NOT NULL,
    PRIMARY KEY (incident, number)
)
;
-- When somebody works on devices on purpose. Never deleted, for availability: a cancelled one ends at `cancelled_at`.
-- Once from `start_at` to `end_at`, or again and again by `rule` (RRULE, RFC 5545) in `timezone`, each time for `duration_s`.
-- `extra`, `cuts`: JSON lists of [start, end], when it was started early, and what was left of it when it was ended early.
CREATE TABLE maintenance_windows (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 3 AND 64),
    places       TEXT NOT NULL,
    start_at     TIMESTAMPTZ NOT NULL,
    end_at       TIMESTAMPTZ,
    rule         TEXT NOT NULL CHECK (length(rule) <= 200),
    duration_s   BIGINT NOT NULL CHECK (duration_s >= 0),
    timezone     TEXT NOT NULL CHECK (length(timezone) BETWEEN 1 AND 64),
    reason       TEXT NOT NULL CHECK (length(reason) <= 4000),
    created_by   TEXT NOT NULL CHECK (length(created_by) <= 200),
    created_at   TIMESTAMPTZ NOT NULL,
    extra        TEXT NOT NULL,
    cuts         TEXT NOT NULL,
    cancelled_at TIMESTAMPTZ,
    -- Whether it was told that it is in force.
    in_force     BOOLEAN NOT NULL,
    CHECK ((rule = '') = (end_at IS NOT NULL)),
    CHECK (end_at IS NULL OR end_at > start_at),
    CHECK (rule = '' OR duration_s > 0)
)
;
CREATE INDEX ix_maintenance_windows_created_at ON maintenance_windows (created_at, id)
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER incident_history_no_update BEFORE UPDATE ON incident_history
BEGIN SELECT RAISE(ABORT, 'the history of incidents is never changed'); END
;
CREATE TRIGGER incident_history_no_delete BEFORE DELETE ON incident_history
BEGIN SELECT RAISE(ABORT, 'the history of incidents is never changed'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION incident_history_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the history of incidents is never changed'; END $$
;
CREATE TRIGGER incident_history_no_change BEFORE UPDATE OR DELETE ON incident_history
FOR EACH ROW EXECUTE FUNCTION incident_history_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
