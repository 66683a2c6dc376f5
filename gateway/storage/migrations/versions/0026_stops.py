"""When everything was silenced, so that a start of the gateway does not forget it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0026"
down_revision = "0025"

TABLES = """
-- Each time that somebody silenced everything. What was ordered before the last one never plays.
CREATE TABLE broadcast_stops (
    at         TIMESTAMPTZ NOT NULL,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id   TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    PRIMARY KEY (at, actor_kind, actor_id)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
