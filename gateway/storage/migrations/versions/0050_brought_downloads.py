"""How often a brought file was downloaded: it is footage, and limited like what was fetched."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0050"
down_revision = "0049"

TABLES = """
ALTER TABLE footage_imports ADD COLUMN downloads BIGINT NOT NULL DEFAULT 0 CHECK (downloads >= 0)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
