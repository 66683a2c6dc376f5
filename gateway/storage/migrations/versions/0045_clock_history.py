"""How far the clock of each device that keeps footage was off, and when; and by which offsets the footage of a request was found."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0045"
down_revision = "0044"

TABLES = """
-- From `first_at` to `last_at` (brought up to date once a day and when it changes) the clock was measured to be off by so much.
CREATE TABLE device_clocks (
    device   TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 128),
    first_at TIMESTAMPTZ NOT NULL,
    last_at  TIMESTAMPTZ NOT NULL,
    offset_s DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (device, first_at),
    CHECK (first_at <= last_at)
)
;
CREATE INDEX device_clocks_age ON device_clocks (last_at)
;
-- JSON, `{"now_s", "parts": [[start, end, offset_s, basis], ...]}`; NULL: not known, as of requests before this column.
ALTER TABLE footage_exports ADD COLUMN clock TEXT
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
