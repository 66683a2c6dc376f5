"""Which files of packages were found altered on the disk, as they lay then, so that a restart raises no second alarm about the same."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0054"
down_revision = "0053"

TABLES = """
-- lay: the digest that the package listed and what tells the file on the disk, as JSON.
CREATE TABLE footage_damage (
    request TEXT NOT NULL REFERENCES footage_requests (id),
    name    TEXT NOT NULL,
    lay     TEXT NOT NULL,
    told_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (request, name)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
