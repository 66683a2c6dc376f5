"""How long a stretch of each camera a key may ask footage of."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0035"
down_revision = "0034"

TABLES = """
-- NULL: what the configuration allows everybody.
ALTER TABLE api_keys ADD COLUMN footage_hours DOUBLE PRECISION CHECK (footage_hours > 0)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
