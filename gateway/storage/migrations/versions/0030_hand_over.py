"""Personal links to footage, what was taken by them, and a custody log that knows more steps."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0030"
down_revision = "0029"

TABLES = """
-- Leave for one named person to fetch files. Only a request that was approved can have one. The code itself is nowhere, only its SHA-256.
CREATE TABLE footage_links (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    request      TEXT NOT NULL,
    approved     BOOLEAN NOT NULL CHECK (approved),
    receiver     TEXT NOT NULL CHECK (length(receiver) BETWEEN 1 AND 200),
    unit         TEXT NOT NULL CHECK (length(unit) <= 200),
    badge        TEXT NOT NULL CHECK (length(badge) BETWEEN 1 AND 200),
    names        TEXT NOT NULL,
    downloads    BIGINT NOT NULL CHECK (downloads BETWEEN 1 AND 100),
    code_hash    TEXT NOT NULL CHECK (length(code_hash) = 64),
    made_by      TEXT NOT NULL CHECK (length(made_by) > 0),
    maker        TEXT NOT NULL CHECK (length(maker) > 0),
    made_at      TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    wrong        BIGINT NOT NULL CHECK (wrong >= 0),
    denials      BIGINT NOT NULL CHECK (denials >= wrong),
    revoked_by   TEXT,
    revoker      TEXT,
    revoked_at   TIMESTAMPTZ,
    CHECK (expires_at > made_at),
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL) AND (revoked_at IS NULL) = (revoker IS NULL)),
    FOREIGN KEY (request, approved) REFERENCES footage_requests (id, approved)
)
;
CREATE INDEX ix_footage_links_request ON footage_links (request, made_at)
;
-- One download of one file, in however many calls. `sent`: bytes.
CREATE TABLE footage_takes (
    link     TEXT NOT NULL REFERENCES footage_links (id),
    name     TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    number   BIGINT NOT NULL CHECK (number BETWEEN 1 AND 100),
    size     BIGINT NOT NULL CHECK (size > 0),
    begun_at TIMESTAMPTZ NOT NULL,
    last_at  TIMESTAMPTZ NOT NULL,
    calls    BIGINT NOT NULL CHECK (calls > 0),
    sent     BIGINT NOT NULL CHECK (sent >= 0),
    PRIMARY KEY (link, name, number)
)
"""

# The steps stand in the domain's enum; the table has only to be sure that there is one.
POSTGRES_STEPS = """
ALTER TABLE footage_custody DROP CONSTRAINT footage_custody_step_check
;
ALTER TABLE footage_custody ADD CONSTRAINT footage_custody_step_check CHECK (length(step) BETWEEN 1 AND 40)
"""

SQLITE_STEPS = """
DROP TRIGGER custody_no_update
;
DROP TRIGGER custody_no_delete
;
DROP TRIGGER custody_no_replace
;
ALTER TABLE footage_custody RENAME TO footage_custody_before
;
-- Who had what in hand, when. Rows are only ever added.
CREATE TABLE footage_custody (
    request    TEXT NOT NULL REFERENCES footage_requests (id),
    number     BIGINT NOT NULL CHECK (number > 0),
    step       TEXT NOT NULL CHECK (length(step) BETWEEN 1 AND 40),
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id   TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    person     TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    detail     TEXT NOT NULL,
    PRIMARY KEY (request, number)
)
;
INSERT INTO footage_custody SELECT request, number, step, actor_kind, actor_id, person, at, detail FROM footage_custody_before
;
DROP TABLE footage_custody_before
;
CREATE TRIGGER custody_no_update BEFORE UPDATE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never changed'); END
;
CREATE TRIGGER custody_no_delete BEFORE DELETE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never deleted'); END
;
CREATE TRIGGER custody_no_replace BEFORE INSERT ON footage_custody
WHEN EXISTS (SELECT 1 FROM footage_custody WHERE request = NEW.request AND number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'custody rows are never replaced'); END
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(SQLITE_STEPS if dialect == "sqlite" else POSTGRES_STEPS, dialect=dialect):
        op.execute(statement)
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
