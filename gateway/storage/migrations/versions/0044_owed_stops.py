"""Clips that loudspeakers play by themselves and that are not known to be silent."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0044"
down_revision = "0043"

TABLES = """
-- A stop that a device is owed: written before it is told to play, gone once it has answered the stop or the clip has ended. `token`: the
-- device's name for the clip; at `until` it has ended by itself.
CREATE TABLE owed_stops (
    broadcast TEXT NOT NULL REFERENCES broadcasts (id),
    speaker   TEXT NOT NULL CHECK (length(speaker) BETWEEN 1 AND 64),
    token     TEXT NOT NULL,
    since     TIMESTAMPTZ NOT NULL,
    until     TIMESTAMPTZ NOT NULL CHECK (until >= since),
    PRIMARY KEY (broadcast, speaker)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
