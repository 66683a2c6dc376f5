"""Events, audit, keys, idempotency, and what the store knows of itself."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0001"
down_revision = None

TABLES = """
-- What the store knows of itself; `vault-check` tells a wrong key file from the right one.
CREATE TABLE meta (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL
)
;
-- One row. Cursors are taken from `latest` under this row's lock, which is held until the commit:
-- so they follow the order of commits, without a gap. `floor`: the last cursor that retention has dropped.
CREATE TABLE event_head (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    latest      BIGINT NOT NULL DEFAULT 0,
    floor       BIGINT NOT NULL DEFAULT 0,
    CHECK (floor >= 0 AND floor <= latest)
)
;
INSERT INTO event_head (id, latest, floor) VALUES (1, 0, 0)
;
-- What changed, in the order of commits. Readers keep a cursor of their own.
CREATE TABLE events (
    cursor      BIGINT PRIMARY KEY CHECK (cursor > 0),
    type        TEXT NOT NULL CHECK (length(type) BETWEEN 1 AND 100),
    subject     TEXT NOT NULL CHECK (length(subject) <= 200),
    at          TIMESTAMPTZ NOT NULL,
    data        TEXT NOT NULL
)
;
-- The head of each audit chain: one chain a writer.
CREATE TABLE audit_chains (
    chain       TEXT PRIMARY KEY CHECK (length(chain) BETWEEN 1 AND 100),
    seq         BIGINT NOT NULL CHECK (seq >= 0),
    hash        TEXT NOT NULL CHECK (length(hash) = 64)
)
;
-- Who did what to what. `hash` is SHA-256 over the hash before it and this row; `at` and `data` are the very text that was hashed.
CREATE TABLE audit (
    chain       TEXT NOT NULL REFERENCES audit_chains (chain),
    seq         BIGINT NOT NULL CHECK (seq > 0),
    actor_kind  TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id    TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    action      TEXT NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    subject     TEXT NOT NULL CHECK (length(subject) <= 200),
    at          TEXT NOT NULL,
    data        TEXT NOT NULL,
    hash        TEXT NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (chain, seq)
)
;
CREATE INDEX ix_audit_at ON audit (at)
;
CREATE INDEX ix_audit_subject ON audit (subject)
;
-- Bearer keys: the secret has 256 bits of its own randomness, so a plain SHA-256 of it is kept.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 4 AND 32),
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    username     TEXT NOT NULL DEFAULT '' CHECK (length(username) <= 200),
    secret_hash  BYTEA NOT NULL CHECK (length(secret_hash) = 32),
    roles        TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    max_speakers BIGINT CHECK (max_speakers >= 0),
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ
)
;
-- One effect for each key of a principal, however often it is sent. `response` is NULL while the effect is under way.
CREATE TABLE idempotency (
    principal    TEXT NOT NULL CHECK (length(principal) BETWEEN 1 AND 200),
    key          TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash TEXT NOT NULL CHECK (length(request_hash) = 64),
    created_at   TIMESTAMPTZ NOT NULL,
    status       BIGINT CHECK (status BETWEEN 100 AND 599),
    response     TEXT,
    PRIMARY KEY (principal, key),
    CHECK ((status IS NULL) = (response IS NULL))
)
;
CREATE INDEX ix_idempotency_created_at ON idempotency (created_at)
"""

# REPLACE deletes without firing a DELETE trigger, so an INSERT over a row is refused too.
SQLITE_TRIGGERS = """
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never changed'); END
;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit rows are never deleted'); END
;
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE chain = NEW.chain AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'audit rows are never replaced'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit rows are never changed or deleted'; END $$
;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()
;
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
