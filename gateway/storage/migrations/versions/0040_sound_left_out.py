"""Each file of footage says which sound was recorded with it and could not be put into it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0040"
down_revision = "0039"

# Of the files that are there already nobody knows.
TABLES = """
-- The encoding, as RTP names it; '': none was left out.
ALTER TABLE footage_files ADD COLUMN sound_left_out TEXT NOT NULL DEFAULT ''
;
ALTER TABLE hold_files ADD COLUMN sound_left_out TEXT NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
