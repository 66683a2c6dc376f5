"""Loudspeakers that were made quieter for a broadcast, until they are as loud as before."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0027"
down_revision = "0026"

TABLES = """
-- How loud a speaker was before the gateway made it quieter: written before the device is told, gone once it is as it was. `levels`: JSON,
-- percent of its range by the token of each audio output that was louder than it might be.
CREATE TABLE lowered_volumes (
    speaker TEXT PRIMARY KEY CHECK (length(speaker) BETWEEN 1 AND 64),
    levels  TEXT NOT NULL,
    since   TIMESTAMPTZ NOT NULL
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
