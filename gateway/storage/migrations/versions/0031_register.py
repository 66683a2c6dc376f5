"""The footage register as the desk keeps it: who may come, emergencies, which camera when, and which state may follow which."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0031"
down_revision = "0030"

BEFORE_SQLITE = """
DROP TRIGGER custody_no_update
;
DROP TRIGGER custody_no_delete
;
DROP TRIGGER custody_no_replace
"""

BEFORE_POSTGRES = """
DROP TRIGGER custody_no_change ON footage_custody
;
DROP TRIGGER custody_no_truncate ON footage_custody
"""

TABLES = """
DROP INDEX ix_footage_requests_state
;
DROP INDEX ix_footage_requests_submitted_at
;
DROP INDEX ix_footage_links_request
;
ALTER TABLE footage_takes RENAME TO footage_takes_before
;
ALTER TABLE footage_links RENAME TO footage_links_before
;
ALTER TABLE footage_files RENAME TO footage_files_before
;
ALTER TABLE footage_exports RENAME TO footage_exports_before
;
ALTER TABLE footage_custody RENAME TO footage_custody_before
;
ALTER TABLE footage_requests RENAME TO footage_requests_before
;
-- Which state may follow which, whoever acts: the pairs of the domain's table (a test compares them). A trigger refuses all others.
CREATE TABLE footage_transitions (
    before TEXT NOT NULL,
    after  TEXT NOT NULL,
    PRIMARY KEY (before, after)
)
;
INSERT INTO footage_transitions (before, after) VALUES
    ('submitted', 'approved'), ('submitted', 'going-ahead'), ('submitted', 'rejected'), ('submitted', 'cancelled'),
    ('submitted', 'expired'),
    ('approved', 'locating'), ('approved', 'cancelled'), ('approved', 'revoked'),
    ('going-ahead', 'locating'), ('going-ahead', 'cancelled'), ('going-ahead', 'revoked'),
    ('locating', 'holding'), ('locating', 'exporting'), ('locating', 'unavailable'), ('locating', 'failed'), ('locating', 'cancelled'),
    ('locating', 'revoked'),
    ('holding', 'exporting'), ('holding', 'unavailable'), ('holding', 'failed'), ('holding', 'cancelled'), ('holding', 'revoked'),
    ('exporting', 'ready'), ('exporting', 'partial'), ('exporting', 'unavailable'), ('exporting', 'failed'), ('exporting', 'cancelled'),
    ('exporting', 'revoked'),
    ('failed', 'locating'), ('failed', 'unavailable'), ('failed', 'partial'), ('failed', 'cancelled'), ('failed', 'revoked'),
    ('unavailable', 'locating'), ('unavailable', 'partial'), ('unavailable', 'revoked'),
    ('partial', 'locating'), ('partial', 'handed-over'), ('partial', 'viewed-nothing-found'), ('partial', 'viewed-no-copy-taken'),
    ('partial', 'expired'), ('partial', 'revoked'),
    ('ready', 'handed-over'), ('ready', 'viewed-nothing-found'), ('ready', 'viewed-no-copy-taken'), ('ready', 'expired'),
    ('ready', 'revoked'),
    ('handed-over', 'expired'), ('handed-over', 'revoked'),
    ('viewed-nothing-found', 'expired'), ('viewed-nothing-found', 'revoked'),
    ('viewed-no-copy-taken', 'expired'), ('viewed-no-copy-taken', 'revoked'),
    ('expired', 'revoked'), ('cancelled', 'revoked')
;
-- A request with the fields of the register; those that may follow are empty until then. `cleared` is what the exports refer to: a second
-- person has approved it, or it is an emergency, in which both have to follow before anything is handed over. `outcome`: the last state
-- that told what came of it.
CREATE TABLE footage_requests (
    id                   TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    state                TEXT NOT NULL CHECK (state IN ('submitted', 'approved', 'going-ahead', 'rejected', 'locating', 'holding',
                             'exporting', 'ready', 'partial', 'unavailable', 'handed-over', 'viewed-nothing-found',
                             'viewed-no-copy-taken', 'expired', 'cancelled', 'revoked', 'failed')),
    outcome              TEXT CHECK (outcome IN ('rejected', 'ready', 'partial', 'unavailable', 'handed-over', 'viewed-nothing-found',
                             'viewed-no-copy-taken', 'cancelled', 'revoked', 'failed')),
    kind                 TEXT NOT NULL CHECK (kind IN ('police', 'authority', 'citizen')),
    requester            TEXT NOT NULL CHECK (length(requester) BETWEEN 1 AND 200),
    unit                 TEXT NOT NULL CHECK (length(unit) <= 200),
    badge                TEXT NOT NULL CHECK (length(badge) <= 200),
    second_officer       TEXT NOT NULL CHECK (length(second_officer) <= 200),
    case_number          TEXT NOT NULL CHECK (length(case_number) BETWEEN 1 AND 200),
    case_kind            TEXT NOT NULL CHECK (length(case_kind) <= 100),
    legal_basis          TEXT NOT NULL CHECK (length(legal_basis) <= 100),
    authorising_document TEXT NOT NULL CHECK (length(authorising_document) <= 200),
    approval_letter      TEXT NOT NULL CHECK (length(approval_letter) <= 200),
    purpose              TEXT NOT NULL CHECK (length(purpose) <= 1000),
    destination          TEXT NOT NULL CHECK (length(destination) <= 1000),
    contact              TEXT NOT NULL CHECK (length(contact) <= 200),
    urgency              TEXT NOT NULL CHECK (urgency IN ('normal', 'urgent')),
    emergency            TEXT CHECK (emergency IN ('danger-to-life', 'missing-person', 'hot-pursuit')),
    place                TEXT NOT NULL,
    start_at             TIMESTAMPTZ NOT NULL,
    end_at               TIMESTAMPTZ NOT NULL,
    tolerance_s          DOUBLE PRECISION NOT NULL CHECK (tolerance_s >= 0),
    submitted_by         TEXT NOT NULL CHECK (length(submitted_by) > 0),
    submitter            TEXT NOT NULL CHECK (length(submitter) > 0),
    submitted_at         TIMESTAMPTZ NOT NULL,
    cleared              BOOLEAN NOT NULL,
    decided_by           TEXT,
    decider              TEXT,
    decided_at           TIMESTAMPTZ,
    note                 TEXT NOT NULL,
    reason               TEXT NOT NULL,
    changed_at           TIMESTAMPTZ NOT NULL,
    ready_at             TIMESTAMPTZ,
    papers_due_at        TIMESTAMPTZ,
    papers_at            TIMESTAMPTZ,
    reminded_at          TIMESTAMPTZ,
    UNIQUE (id, cleared),
    CHECK (end_at > start_at),
    CHECK (requester <> second_officer),
    CHECK ((decided_by IS NULL) = (decider IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (decided_by <> submitted_by),
    CHECK (decider <> submitter AND decider <> requester AND decider <> second_officer),
    CHECK (NOT cleared OR decided_by IS NOT NULL OR emergency IS NOT NULL),
    CHECK (cleared = FALSE OR state NOT IN ('submitted', 'rejected')),
    CHECK (cleared OR state IN ('submitted', 'rejected', 'cancelled', 'expired')),
    CHECK (state <> 'approved' OR decided_by IS NOT NULL),
    CHECK (state NOT IN ('going-ahead', 'revoked') OR emergency IS NOT NULL),
    CHECK ((papers_due_at IS NULL) = (emergency IS NULL)),
    CHECK (state NOT IN ('rejected', 'partial', 'unavailable', 'failed', 'revoked') OR reason <> ''),
    -- handed over: a second person, no citizen, and nothing of the register is empty
    CHECK ((state <> 'handed-over' AND (outcome IS NULL OR outcome <> 'handed-over'))
        OR (decided_by IS NOT NULL AND kind <> 'citizen' AND (emergency IS NULL OR papers_at IS NOT NULL)
            AND unit <> '' AND badge <> '' AND second_officer <> '' AND case_kind <> '' AND legal_basis <> ''
            AND authorising_document <> '' AND purpose <> '' AND destination <> ''))
)
;
CREATE INDEX ix_footage_requests_state ON footage_requests (state, submitted_at)
;
CREATE INDEX ix_footage_requests_submitted_at ON footage_requests (submitted_at, id)
;
CREATE INDEX ix_footage_requests_case_number ON footage_requests (case_number)
;
CREATE INDEX ix_footage_requests_owing ON footage_requests (papers_due_at)
    WHERE papers_due_at IS NOT NULL AND (papers_at IS NULL OR decided_by IS NULL)
;
-- Which cameras a request reaches, and when, on the true clock. Nothing else is ever exported for it.
CREATE TABLE footage_cameras (
    request  TEXT NOT NULL REFERENCES footage_requests (id),
    camera   TEXT NOT NULL CHECK (length(camera) > 0),
    number   BIGINT NOT NULL CHECK (number > 0),
    start_at TIMESTAMPTZ NOT NULL,
    end_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (request, camera),
    CHECK (end_at > start_at)
)
;
CREATE INDEX ix_footage_cameras_camera ON footage_cameras (camera, start_at)
;
-- What became of one camera. Only a request that is cleared can have one, and only for its cameras. Periods are JSON,
-- `[[start, end], …]`, on the true clock.
CREATE TABLE footage_exports (
    request    TEXT NOT NULL,
    camera     TEXT NOT NULL CHECK (length(camera) > 0),
    cleared    BOOLEAN NOT NULL CHECK (cleared),
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
    FOREIGN KEY (request, cleared) REFERENCES footage_requests (id, cleared),
    FOREIGN KEY (request, camera) REFERENCES footage_cameras (request, camera)
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
-- Who had what in hand, when. Rows are only ever added; which steps there are is the program's to say.
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
-- Leave for one named person to fetch files. Only a request that is cleared can have one. The code itself is nowhere, only its SHA-256.
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
    FOREIGN KEY (request, approved) REFERENCES footage_requests (id, cleared)
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
;
INSERT INTO footage_requests
SELECT id, state, CASE WHEN state IN ('submitted', 'approved', 'locating', 'exporting', 'expired') THEN NULL ELSE state END, 'police',
    requester, unit, badge, second_officer, case_number, case_kind, legal_basis, authorising_document, approval_letter, purpose,
    destination, '', urgency, NULL, place, start_at, end_at, 0, submitted_by, submitter, submitted_at, approved, decided_by, decider,
    decided_at, note,
    CASE WHEN reason = '' AND state IN ('rejected', 'partial', 'unavailable', 'failed') THEN state ELSE reason END,
    changed_at, ready_at, NULL, NULL, NULL
FROM footage_requests_before
"""

CAMERAS_SQLITE = """
INSERT INTO footage_cameras
SELECT r.id, one.value, one.key + 1, r.start_at, r.end_at FROM footage_requests_before AS r, json_each(r.cameras) AS one
"""

CAMERAS_POSTGRES = """
INSERT INTO footage_cameras
SELECT r.id, one.value, one.number, r.start_at, r.end_at
FROM footage_requests_before AS r, json_array_elements_text(r.cameras::json) WITH ORDINALITY AS one (value, number)
"""

AFTER = """
INSERT INTO footage_exports
SELECT request, camera, approved, recorder, recording, serial, offset_s, state, reason, coverage, obtained, gaps
FROM footage_exports_before
;
INSERT INTO footage_files
SELECT request, camera, number, name, sha256, size, frames, damaged, start_at, end_at, runs, created_at, downloads, removed
FROM footage_files_before
;
INSERT INTO footage_custody
SELECT request, number, step, actor_kind, actor_id, person, at, detail FROM footage_custody_before
;
INSERT INTO footage_links
SELECT id, request, approved, receiver, unit, badge, names, downloads, code_hash, made_by, maker, made_at, expires_at, wrong, denials,
    revoked_by, revoker, revoked_at
FROM footage_links_before
;
INSERT INTO footage_takes SELECT link, name, number, size, begun_at, last_at, calls, sent FROM footage_takes_before
;
DROP TABLE footage_takes_before
;
DROP TABLE footage_links_before
;
DROP TABLE footage_files_before
;
DROP TABLE footage_exports_before
;
DROP TABLE footage_custody_before
;
DROP TABLE footage_requests_before
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER custody_no_update BEFORE UPDATE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never changed'); END
;
CREATE TRIGGER custody_no_delete BEFORE DELETE ON footage_custody BEGIN SELECT RAISE(ABORT, 'custody rows are never deleted'); END
;
CREATE TRIGGER custody_no_replace BEFORE INSERT ON footage_custody
WHEN EXISTS (SELECT 1 FROM footage_custody WHERE request = NEW.request AND number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'custody rows are never replaced'); END
;
CREATE TRIGGER custody_no_copy BEFORE INSERT ON footage_custody
WHEN NEW.step IN ('downloaded', 'handed-over') AND NOT EXISTS (
    SELECT 1 FROM footage_requests WHERE id = NEW.request AND cleared AND kind <> 'citizen')
BEGIN SELECT RAISE(ABORT, 'footage goes to nobody who may not have it'); END
;
CREATE TRIGGER footage_state BEFORE UPDATE OF state ON footage_requests
WHEN NEW.state <> OLD.state AND NOT EXISTS (SELECT 1 FROM footage_transitions WHERE before = OLD.state AND after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'a footage request does not go that way'); END
;
CREATE TRIGGER footage_first_state BEFORE INSERT ON footage_requests WHEN NEW.state <> 'submitted'
BEGIN SELECT RAISE(ABORT, 'a footage request begins as submitted'); END
;
CREATE TRIGGER footage_fixed BEFORE UPDATE ON footage_requests
WHEN NEW.id <> OLD.id OR NEW.requester <> OLD.requester OR NEW.kind <> OLD.kind OR NEW.case_number <> OLD.case_number
    OR NEW.submitted_by <> OLD.submitted_by OR NEW.submitter <> OLD.submitter OR NEW.emergency IS NOT OLD.emergency
    OR NEW.start_at <> OLD.start_at OR NEW.end_at <> OLD.end_at OR NEW.tolerance_s <> OLD.tolerance_s
    OR (OLD.decided_by IS NOT NULL AND NEW.state <> 'revoked' AND NEW.decided_by IS NOT OLD.decided_by)
BEGIN SELECT RAISE(ABORT, 'who asked for what, and who decided, is never changed'); END
;
CREATE TRIGGER footage_scope_fixed BEFORE INSERT ON footage_cameras
WHEN EXISTS (SELECT 1 FROM footage_requests WHERE id = NEW.request AND state <> 'submitted')
BEGIN SELECT RAISE(ABORT, 'a decided request reaches no further cameras'); END
;
CREATE TRIGGER footage_scope_unchanged BEFORE UPDATE ON footage_cameras
BEGIN SELECT RAISE(ABORT, 'the cameras of a request are never changed'); END
"""

POSTGRES_TRIGGERS = """
CREATE TRIGGER custody_no_change BEFORE UPDATE OR DELETE ON footage_custody FOR EACH ROW EXECUTE FUNCTION custody_refuse()
;
CREATE TRIGGER custody_no_truncate BEFORE TRUNCATE ON footage_custody FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse()
;
CREATE FUNCTION footage_refuse_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.step IN ('downloaded', 'handed-over') AND NOT EXISTS (
        SELECT 1 FROM footage_requests WHERE id = NEW.request AND cleared AND kind <> 'citizen') THEN
        RAISE EXCEPTION 'footage goes to nobody who may not have it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER custody_no_copy BEFORE INSERT ON footage_custody FOR EACH ROW EXECUTE FUNCTION footage_refuse_copy()
;
CREATE FUNCTION footage_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'submitted' THEN
            RAISE EXCEPTION 'a footage request begins as submitted' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state <> OLD.state AND NOT EXISTS (SELECT 1 FROM footage_transitions WHERE before = OLD.state AND after = NEW.state) THEN
        RAISE EXCEPTION 'a footage request does not go that way' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.id <> OLD.id OR NEW.requester <> OLD.requester OR NEW.kind <> OLD.kind OR NEW.case_number <> OLD.case_number
        OR NEW.submitted_by <> OLD.submitted_by OR NEW.submitter <> OLD.submitter OR NEW.emergency IS DISTINCT FROM OLD.emergency
        OR NEW.start_at <> OLD.start_at OR NEW.end_at <> OLD.end_at OR NEW.tolerance_s <> OLD.tolerance_s
        OR (OLD.decided_by IS NOT NULL AND NEW.state <> 'revoked' AND NEW.decided_by IS DISTINCT FROM OLD.decided_by) THEN
        RAISE EXCEPTION 'who asked for what, and who decided, is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER footage_state BEFORE INSERT OR UPDATE ON footage_requests FOR EACH ROW EXECUTE FUNCTION footage_guard()
;
CREATE FUNCTION footage_refuse_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR EXISTS (SELECT 1 FROM footage_requests WHERE id = NEW.request AND state <> 'submitted') THEN
        RAISE EXCEPTION 'a decided request reaches no further cameras' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER footage_scope_fixed BEFORE INSERT OR UPDATE ON footage_cameras FOR EACH ROW EXECUTE FUNCTION footage_refuse_scope()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    lite = dialect == "sqlite"
    for part in (
        BEFORE_SQLITE if lite else BEFORE_POSTGRES,
        TABLES,
        CAMERAS_SQLITE if lite else CAMERAS_POSTGRES,
        AFTER,
        SQLITE_TRIGGERS if lite else POSTGRES_TRIGGERS,
    ):
        for statement in ddl(part, dialect=dialect):
            op.execute(statement)
