"""Who ordered a broadcast and who approved it, by name: a key alone names nobody."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0043"
down_revision = "0042"

TABLES = """
-- The names of the people behind `actor` and `approved_by` at that time; '' where nobody was named.
ALTER TABLE broadcasts ADD COLUMN sender TEXT NOT NULL DEFAULT ''
;
ALTER TABLE broadcasts ADD COLUMN approver TEXT NOT NULL DEFAULT '' CHECK (approver = '' OR approved_by_id IS NOT NULL)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
