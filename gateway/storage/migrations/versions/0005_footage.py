"""Footage: requests by two persons, what was exported for them, and the custody log."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0005"
down_revision = "0004"

TABLES = """
-- A request with the fields of the register. `approved` is what the exports refer to: without a second person's approval there is none.
CREATE TABLE footage_requests (
    id                   TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    state                TEXT NOT NULL CHECK (state IN ('submitted', 'approved', 'rejected', 'locating', 'exporting', 'ready', 'partial',
                                                        'unavailable', 'handed-over', 'expired', 'cancelled', 'failed')),
    requester            TEXT NOT NULL CHECK (length(requester) BETWEEN 1 AND 200),
    unit                 TEXT NOT NULL CHECK (length(unit) BETWEEN 1 AND 200),
    badge                TEXT NOT NULL CHECK (length(badge) BETWEEN 1 AND 200),
    second_officer       TEXT NOT NULL CHECK (length(second_officer) BETWEEN 1 AND 200),
    case_number          TEXT NOT NULL CHECK (length(case_number) BETWEEN 1 AND 200),
    case_kind            TEXT NOT NULL CHECK (length(case_kind) BETWEEN 1 AND 100),
    legal_basis          TEXT NOT NULL CHECK (length(legal_basis) BETWEEN 1 AND 100),
    authorising_document TEXT NOT NULL CHECK (length(authorising_document) BETWEEN 1 AND 200),
    approval_letter      TEXT NOT NULL CHECK (length(approval_letter) <= 200),
    purpose              TEXT NOT NULL CHECK (length(purpose) BETWEEN 1 AND 1000),
    destination          TEXT NOT NULL CHECK (length(destination) BETWEEN 1 AND 1000),
    urgency              TEXT NOT NULL CHECK (urgency IN ('normal', 'urgent')),
    place                TEXT NOT NULL,
    cameras              TEXT NOT NULL,
    start_at             TIMESTAMPTZ NOT NULL,
    end_at               TIMESTAMPTZ NOT NULL,
    submitted_by         TEXT NOT NULL CHECK (length(submitted_by) > 0),
    submitter            TEXT NOT NULL CHECK (length(submitter) > 0),
    submitted_at         TIMESTAMPTZ NOT NULL,
    approved             BOOLEAN NOT NULL,
    decided_by           TEXT,
    decider              TEXT,
    decided_at           TIMESTAMPTZ,
    note                 TEXT NOT NULL,
    reason               TEXT NOT NULL,
    changed_at           TIMESTAMPTZ NOT NULL,
    ready_at             TIMESTAMPTZ,
    UNIQUE (id, approved),
    CHECK (end_at > start_at),
    CHECK (requester <> second_officer),
    CHECK ((decided_by IS NULL) = (decider IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> submitted_by),
    CHECK (decider <> submitter AND decider <> requester AND decider <> second_officer),
    CHECK (NOT approved OR (decided_by IS NOT NULL AND state NOT IN ('submitted', 'rejected'))),
    CHECK (approved OR state IN ('submitted', 'rejected', 'cancelled'))
)
;
CREATE INDEX ix_footage_requests_state ON footage_requests (state, submitted_at)
;
CREATE INDEX ix_footage_requests_submitted_at ON footage_requests (submitted_at, id)
;
-- What became of one camera. Only a request that was approved can have one. Periods are JSON, `[[start, end], …]`, on the true clock.
CREATE TABLE footage_exports (
    request    TEXT NOT NULL,
    camera     TEXT NOT NULL CHECK (length(camera) > 0),
    approved   BOOLEAN NOT NULL CHECK (approved),
    recorder   TEXT NOT NULL,
    recording  TEXT NOT NULL,
    serial     TEXT NOT NULL,
    offset_s   DOUBLE PRECISION,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'exporting', 'done', 'partial', 'nothing', 'failed')),
    reason     TEXT NOT NULL,
    coverage   TEXT NOT NULL,
    obtained   TEXT NOT NULL,
    gaps       TEXT NOT NULL,
    PRIMARY KEY (request, camera),
    FOREIGN KEY (request, approved) REFERENCES footage_requests (id, approved)
)
;
-- One finished file: on the disk before its row is here. The row stays when the file is removed at the end of its time.
CREATE TABLE footage_files (
    request    TEXT NOT NULL,
    camera     TEXT NOT NULL,
    number     BIGINT NOT NULL CHECK (number > 0),
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    sha256     TEXT NOT NULL CHECK (length(sha256) = 64),
    size       BIGINT NOT NULL CHECK (size > 0),
    frames     BIGINT NOT NULL CHECK (frames > 0),
    damaged    BIGINT NOT NULL CHECK (damaged >= 0),
    start_at   TIMESTAMPTZ NOT NULL,
    end_at     TIMESTAMPTZ NOT NULL,
    runs       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    downloads  BIGINT NOT NULL DEFAULT 0 CHECK (downloads >= 0),
    removed    BOOLEAN NOT NULL,
    PRIMARY KEY (request, camera, number),
    UNIQUE (request, name),
    FOREIGN KEY (request, camera) REFERENCES footage_exports (request, camera),
    CHECK (end_at >= start_at)
)
;
-- Who had what in hand, when. Rows are only ever added.
CREATE TABLE footage_custody (
    request    TEXT NOT NULL REFERENCES footage_requests (id),
    number     BIGINT NOT NULL CHECK (number > 0),
    step       TEXT NOT NULL CHECK (step IN ('submitted', 'approved', 'rejected', 'cancelled', 'retried', 'located', 'exported',
                                             'concluded', 'downloaded', 'handed-over', 'expired')),
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id   TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    person     TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL,
    detail     TEXT NOT NULL,
    PRIMARY KEY (request, number)
)
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER custody_no_update BEFORE UPDATE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never changed'); END
;
CREATE TRIGGER custody_no_delete BEFORE DELETE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never deleted'); END
;
CREATE TRIGGER custody_no_replace BEFORE INSERT ON footage_custody
WHEN EXISTS (SELECT 1 FROM footage_custody WHERE request = NEW.request AND number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'custody rows are never replaced'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION custody_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'custody rows are never changed or deleted'; END $$
;
CREATE TRIGGER custody_no_change BEFORE UPDATE OR DELETE ON footage_custody FOR EACH ROW EXECUTE FUNCTION custody_refuse()
;
CREATE TRIGGER custody_no_truncate BEFORE TRUNCATE ON footage_custody FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
