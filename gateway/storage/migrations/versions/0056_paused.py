"""For how long a delivery was interrupted: those seconds were not heard."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0056"
down_revision = "0055"

# Of what was said before, it is not known: it counts as heard, from the first packet to the last.
TABLES = """
ALTER TABLE deliveries ADD COLUMN paused_s DOUBLE PRECISION NOT NULL DEFAULT 0 CHECK (paused_s >= 0)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
