"""What there is of a camera's footage says when its devices said so, and whether they are still being waited for."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0053"
down_revision = "0052"

# Before, whoever was waited for had nothing on record; when the others spoke is not known.
TABLES = """
ALTER TABLE footage_exports ADD COLUMN told_at TIMESTAMPTZ
;
ALTER TABLE footage_exports ADD COLUMN awaited BOOLEAN NOT NULL DEFAULT FALSE
;
UPDATE footage_exports SET awaited = TRUE WHERE state = 'pending' AND coverage = '[]' AND card IS NULL
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
