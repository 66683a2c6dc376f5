"""What searches of the network found and what was decided about it, and how often strangers refused a log-in."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0016"
down_revision = "0015"

TABLES = """
-- One finding; `finding` is JSON (domain/discovery.py, Finding). Found again, it keeps its id and what was decided.
CREATE TABLE discovery_proposals (
    id         TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    kind       TEXT NOT NULL CHECK (kind IN ('new', 'moved', 'replaced', 'detail', 'conflict')),
    finding    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'dismissed')),
    first_seen TIMESTAMPTZ NOT NULL,
    last_seen  TIMESTAMPTZ NOT NULL,
    run        TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at TIMESTAMPTZ,
    comment    TEXT NOT NULL CHECK (length(comment) <= 4000),
    CHECK ((state = 'open') = (decided_at IS NULL))
)
;
CREATE INDEX ix_discovery_proposals_last_seen ON discovery_proposals (last_seen)
;
-- Signed requests that whoever is at an address refused since `since`: written before they are sent, so that a crash forgets none.
CREATE TABLE discovery_tries (
    address TEXT PRIMARY KEY,
    since   TIMESTAMPTZ NOT NULL,
    refused BIGINT NOT NULL CHECK (refused >= 0)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
