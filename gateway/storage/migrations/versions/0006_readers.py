"""How far each reader of the events has come."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0006"
down_revision = "0005"

TABLES = """
-- A reader that must not miss anything (MQTT, a webhook) keeps here the cursor of the last event that has reached its other side.
CREATE TABLE event_readers (
    reader TEXT PRIMARY KEY CHECK (length(reader) BETWEEN 1 AND 200),
    cursor BIGINT NOT NULL CHECK (cursor >= 0)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
