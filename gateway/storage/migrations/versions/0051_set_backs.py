"""Each file of footage says how often its device's clock was set back before it, in the replay that gave it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0051"
down_revision = "0050"

# Before, a replay in which the clock went back gave no file from there on.
TABLES = """
ALTER TABLE footage_files ADD COLUMN set_backs BIGINT NOT NULL DEFAULT 0 CHECK (set_backs >= 0)
;
ALTER TABLE hold_files ADD COLUMN set_backs BIGINT NOT NULL DEFAULT 0 CHECK (set_backs >= 0)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
