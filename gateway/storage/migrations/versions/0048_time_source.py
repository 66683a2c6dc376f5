"""Each file of footage says whose word its times are: the device's, or the gateway's own reckoning."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0048"
down_revision = "0047"

# Of the files that are there already nobody knows.
TABLES = """
-- `reckoned`: the device told no times; they are counted from the one that was asked for.
ALTER TABLE footage_files ADD COLUMN time_source TEXT NOT NULL DEFAULT 'unknown' CHECK (time_source IN ('device', 'reckoned', 'unknown'))
;
ALTER TABLE hold_files ADD COLUMN time_source TEXT NOT NULL DEFAULT 'unknown' CHECK (time_source IN ('device', 'reckoned', 'unknown'))
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
