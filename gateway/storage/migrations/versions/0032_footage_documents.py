"""The documents that authorise a footage request, as files."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0032"
down_revision = "0031"

TABLES = """
-- A file that belongs to a request. Its bytes lie on the disk under their SHA-256 before its row is here. Rows stay as long as the request.
CREATE TABLE footage_documents (
    id         TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    request    TEXT NOT NULL REFERENCES footage_requests (id),
    kind       TEXT NOT NULL CHECK (kind IN ('authorisation', 'letter', 'identity', 'signed-sheet', 'other')),
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    media      TEXT NOT NULL CHECK (media IN ('application/pdf', 'image/jpeg', 'image/png')),
    sha256     TEXT NOT NULL CHECK (length(sha256) = 64),
    size       BIGINT NOT NULL CHECK (size > 0),
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id   TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    person     TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    UNIQUE (request, sha256)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
