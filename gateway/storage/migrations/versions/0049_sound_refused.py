"""Each file of footage says which sound its device lists and would not give."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0049"
down_revision = "0048"

# Of the files that are there already nobody knows.
TABLES = """
-- The encodings, as RTP names them; '': none was refused.
ALTER TABLE footage_files ADD COLUMN sound_refused TEXT NOT NULL DEFAULT ''
;
ALTER TABLE hold_files ADD COLUMN sound_refused TEXT NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
