"""What is to be known of a delivery beside how it ended."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0055"
down_revision = "0054"

TABLES = """
-- A JSON list; what was remarked before stands in `detail`, in English.
ALTER TABLE deliveries ADD COLUMN remarks TEXT NOT NULL DEFAULT '[]' CHECK (length(remarks) BETWEEN 2 AND 4000)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
