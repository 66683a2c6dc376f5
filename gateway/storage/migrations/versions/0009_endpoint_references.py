"""The endpoint reference of a device, by which it is known again when its address has changed."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0009"
down_revision = "0008"

TABLES = """
-- WS-Discovery endpoint reference (a URN such as urn:uuid:…), '' where it is not known.
ALTER TABLE devices ADD COLUMN endpoint TEXT NOT NULL DEFAULT '' CHECK (length(endpoint) <= 200)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
