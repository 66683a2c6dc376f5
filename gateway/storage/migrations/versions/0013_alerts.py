"""What is told to people: bundles under way, messages, their deliveries, what was held back and why, and who is on duty."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0013"
down_revision = "0012"

TABLES = """
-- What a route tells together and has not ended yet; `data` is JSON (domain/alerting.py, Bundle).
CREATE TABLE alert_bundles (
    id    TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    route TEXT NOT NULL CHECK (length(route) BETWEEN 1 AND 64),
    data  TEXT NOT NULL
)
;
-- A message as it was decided, whoever carries it: JSON, complete by itself.
CREATE TABLE alert_messages (
    id      TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 80),
    at      TIMESTAMPTZ NOT NULL,
    content TEXT NOT NULL
)
;
-- One entry a message and channel, and one an incident, route and reason for what was held back. `slot` may stand once.
-- `people`: JSON, the names of those on duty whom it was for. `times`: how often the same was noted, the last time at `ended_at`.
CREATE TABLE alert_deliveries (
    number   BIGINT PRIMARY KEY CHECK (number > 0),
    slot     TEXT NOT NULL UNIQUE CHECK (length(slot) BETWEEN 1 AND 400),
    message  TEXT REFERENCES alert_messages (id),
    route    TEXT NOT NULL CHECK (length(route) <= 64),
    channel  TEXT NOT NULL CHECK (length(channel) <= 64),
    people   TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('', 'problem', 'update', 'reminder', 'escalation', 'summary', 'recovery', 'test')),
    severity TEXT NOT NULL CHECK (severity IN ('', 'critical', 'major', 'minor', 'warning')),
    outcome  TEXT NOT NULL CHECK (outcome IN ('queued', 'sent', 'failed', 'held')),
    reason   TEXT NOT NULL CHECK (length(reason) <= 64),
    detail   TEXT NOT NULL CHECK (length(detail) <= 500),
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    times    BIGINT NOT NULL CHECK (times > 0),
    at       TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    CHECK ((outcome = 'queued') = (ended_at IS NULL)),
    CHECK ((outcome = 'held') = (message IS NULL))
)
;
CREATE INDEX ix_alert_deliveries_channel ON alert_deliveries (channel, outcome, number)
;
CREATE INDEX ix_alert_deliveries_message ON alert_deliveries (message)
;
CREATE INDEX ix_alert_deliveries_ended_at ON alert_deliveries (ended_at)
;
-- The incidents that an entry is about.
CREATE TABLE alert_delivery_incidents (
    incident TEXT NOT NULL CHECK (length(incident) BETWEEN 1 AND 200),
    number   BIGINT NOT NULL REFERENCES alert_deliveries (number),
    PRIMARY KEY (incident, number)
)
;
CREATE INDEX ix_alert_delivery_incidents_number ON alert_delivery_incidents (number)
;
-- Who is on duty from when until when; level 0 is told first. `contacts`: JSON, the address by channel.
CREATE TABLE duty_shifts (
    id       TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    person   TEXT NOT NULL CHECK (length(person) BETWEEN 1 AND 200),
    start_at TIMESTAMPTZ NOT NULL,
    end_at   TIMESTAMPTZ NOT NULL,
    level    BIGINT NOT NULL CHECK (level BETWEEN 0 AND 9),
    contacts TEXT NOT NULL,
    note     TEXT NOT NULL CHECK (length(note) <= 200),
    CHECK (end_at > start_at)
)
;
CREATE INDEX ix_duty_shifts_end_at ON duty_shifts (end_at)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
