"""Work orders for maintainers, with their clocks, and what was done to each."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0015"
down_revision = "0014"

TABLES = """
-- What a maintainer is asked to repair. Targets are those of the severity when it was opened, in seconds of their clock.
-- No reference to `incidents` and `devices`: it outlives both.
CREATE TABLE work_orders (
    id               TEXT PRIMARY KEY CHECK (length(id) BETWEEN 3 AND 64),
    state            TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'on-site', 'repaired', 'closed', 'cancelled')),
    severity         TEXT NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'warning')),
    -- JSON: ids, at least one
    devices          TEXT NOT NULL CHECK (length(devices) > 2),
    incident         TEXT NOT NULL CHECK (length(incident) <= 64),
    maintainer       TEXT NOT NULL CHECK (length(maintainer) BETWEEN 1 AND 200),
    what             TEXT NOT NULL CHECK (length(what) BETWEEN 1 AND 4000),
    response_s       BIGINT NOT NULL CHECK (response_s > 0),
    repair_s         BIGINT NOT NULL CHECK (repair_s > 0),
    around_the_clock BOOLEAN NOT NULL,
    opened_at        TIMESTAMPTZ NOT NULL,
    opened_by        TEXT NOT NULL CHECK (length(opened_by) > 0),
    changed_at       TIMESTAMPTZ NOT NULL,
    technician       TEXT NOT NULL CHECK (length(technician) <= 200),
    accepted_at      TIMESTAMPTZ,
    on_site_at       TIMESTAMPTZ,
    repaired_at      TIMESTAMPTZ,
    closing_note     TEXT NOT NULL CHECK (length(closing_note) <= 4000),
    ended_at         TIMESTAMPTZ,
    ended_by         TEXT NOT NULL,
    sent_back        BIGINT NOT NULL CHECK (sent_back >= 0),
    -- JSON lists: [start, end] from a repair until it was sent back; [start, end or null, reason]; pictures with their hashes; clocks told
    standing         TEXT NOT NULL,
    pauses           TEXT NOT NULL,
    pictures         TEXT NOT NULL,
    told_overdue     TEXT NOT NULL,
    CHECK ((state IN ('closed', 'cancelled')) = (ended_at IS NOT NULL)),
    CHECK (state IN ('open', 'cancelled') OR accepted_at IS NOT NULL),
    CHECK (state <> 'on-site' OR on_site_at IS NOT NULL),
    CHECK (state NOT IN ('repaired', 'closed') OR repaired_at IS NOT NULL)
)
;
CREATE INDEX ix_work_orders_opened_at ON work_orders (opened_at, id)
;
CREATE INDEX ix_work_orders_live ON work_orders (id) WHERE state NOT IN ('closed', 'cancelled')
;
-- The devices of an order, to be found by.
CREATE TABLE work_order_devices (
    device     TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    work_order TEXT NOT NULL REFERENCES work_orders (id),
    PRIMARY KEY (device, work_order)
)
;
-- Append-only: what was done to an order, from 1 on.
CREATE TABLE work_order_history (
    work_order TEXT NOT NULL REFERENCES work_orders (id),
    number     BIGINT NOT NULL CHECK (number > 0),
    at         TIMESTAMPTZ NOT NULL,
    what       TEXT NOT NULL CHECK (length(what) BETWEEN 1 AND 32),
    -- Empty for the gateway itself.
    actor      TEXT NOT NULL CHECK (length(actor) <= 200),
    comment    TEXT NOT NULL CHECK (length(comment) <= 4000),
    detail     TEXT NOT NULL,
    PRIMARY KEY (work_order, number)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
