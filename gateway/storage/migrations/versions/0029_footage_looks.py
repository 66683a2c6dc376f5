"""Looks at recordings."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0029"
down_revision = "0028"

TABLES = """
-- How the oldest moment of a recording moved on: [[when looked, oldest moment], ...], from which follows when footage is overwritten.
CREATE TABLE footage_looks (
    device    TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 128),
    recording TEXT NOT NULL CHECK (length(recording) BETWEEN 1 AND 256),
    looks     TEXT NOT NULL,
    seen_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (device, recording)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
