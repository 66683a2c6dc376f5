"""When stored footage was read again last and compared with its digest, so that a restart goes on where it was."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0059"
down_revision = "0058"

TABLES = """
-- owner: a request or a hold; key: a file's name, a brought file's id, or SHA256SUMS for the proof of a package;
-- found: what was wrong with it, '' for nothing.
CREATE TABLE footage_scrubs (
    owner      TEXT NOT NULL,
    key        TEXT NOT NULL,
    checked_at TIMESTAMPTZ NOT NULL,
    found      TEXT NOT NULL CHECK (length(found) <= 200),
    PRIMARY KEY (owner, key)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
