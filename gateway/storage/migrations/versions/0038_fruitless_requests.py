"""What is there of a footage request that failed or found nothing expires as other footage does."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0038"
down_revision = "0037"

TABLES = """
INSERT INTO footage_transitions (before, after) VALUES ('failed', 'expired'), ('unavailable', 'expired')
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
