"""What availability needs beside the transitions: when a check complained, since when it is made at all, and when we were looking."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0008"
down_revision = "0007"

TABLES = """
-- A check of a device complained from `since` until before `until`; open while `until` is null. A new reason is a new row.
-- Append-only but for the one change that ends a row. It outlives the device.
CREATE TABLE complaints (
    device     TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    check_name TEXT NOT NULL CHECK (length(check_name) BETWEEN 1 AND 64),
    since      TIMESTAMPTZ NOT NULL,
    until      TIMESTAMPTZ,
    reason     TEXT NOT NULL CHECK (length(reason) <= 64),
    PRIMARY KEY (device, check_name, since),
    CHECK (until >= since)
)
;
CREATE UNIQUE INDEX ix_complaints_open ON complaints (device, check_name) WHERE until IS NULL
;
-- A check of a device is made since then: its first result that said anything. Where there is no row, nobody knows.
CREATE TABLE checked_since (
    device     TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    check_name TEXT NOT NULL CHECK (length(check_name) BETWEEN 1 AND 64),
    since      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (device, check_name)
)
;
-- An instance looked at its devices from `since` until `until`, which is moved on every minute. What lies between is blindness.
CREATE TABLE watches (
    instance TEXT NOT NULL CHECK (length(instance) BETWEEN 1 AND 64),
    since    TIMESTAMPTZ NOT NULL,
    until    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance, since),
    CHECK (until >= since)
)
;
CREATE INDEX ix_watches_until ON watches (until)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
