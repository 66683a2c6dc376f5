"""Holds: footage that must not be lost, and what was secured of it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0033"
down_revision = "0032"

TABLES = """
-- Rows are never deleted. `owner` may release it, and so may another person with that right.
CREATE TABLE holds (
    id         TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    owned_by   TEXT NOT NULL CHECK (length(owned_by) > 0),
    owner      TEXT NOT NULL CHECK (length(owner) > 0),
    reason     TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    cameras    TEXT NOT NULL,
    start_at   TIMESTAMPTZ NOT NULL,
    end_at     TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    request    TEXT REFERENCES footage_requests (id),
    everything BOOLEAN NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('active', 'released', 'expired')),
    ended_at   TIMESTAMPTZ,
    ended_by   TEXT,
    ender      TEXT,
    note       TEXT NOT NULL CHECK (length(note) <= 1000),
    CHECK (end_at > start_at),
    CHECK (expires_at > created_at),
    CHECK ((state = 'active') = (ended_at IS NULL)),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (ender IS NULL))
)
;
CREATE INDEX ix_holds_active ON holds (expires_at) WHERE state = 'active'
;
CREATE INDEX ix_holds_created_at ON holds (created_at, id)
;
-- What a hold needs of one camera from one device. Periods are JSON, `[[start, end], ...]`, on the true clock.
CREATE TABLE hold_keeps (
    hold         TEXT NOT NULL REFERENCES holds (id),
    camera       TEXT NOT NULL CHECK (length(camera) > 0),
    device       TEXT NOT NULL,
    recording    TEXT NOT NULL,
    serial       TEXT NOT NULL,
    offset_s     DOUBLE PRECISION,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'safe', 'secured', 'partial', 'nothing', 'lost')),
    reason       TEXT NOT NULL,
    needed       TEXT NOT NULL,
    obtained     TEXT NOT NULL,
    overwrite_at TIMESTAMPTZ,
    reserved     BIGINT NOT NULL CHECK (reserved >= 0),
    attempts     BIGINT NOT NULL CHECK (attempts >= 0),
    next_at      TIMESTAMPTZ,
    locked       BOOLEAN NOT NULL,
    PRIMARY KEY (hold, camera, device)
)
;
CREATE INDEX ix_hold_keeps_camera ON hold_keeps (camera)
;
-- One finished file of the evidence store: on the disk before its row is here. The row stays when the file is removed after the hold.
CREATE TABLE hold_files (
    hold       TEXT NOT NULL,
    camera     TEXT NOT NULL,
    device     TEXT NOT NULL,
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
    removed    BOOLEAN NOT NULL,
    PRIMARY KEY (hold, camera, device, number),
    UNIQUE (hold, name),
    FOREIGN KEY (hold, camera, device) REFERENCES hold_keeps (hold, camera, device),
    CHECK (end_at >= start_at)
)
;
CREATE INDEX ix_hold_files_camera ON hold_files (camera, start_at) WHERE NOT removed
"""

_HELD = """EXISTS (SELECT 1 FROM hold_keeps k JOIN holds h ON h.id = k.hold
    WHERE k.camera = NEW.camera AND h.state = 'active' AND h.start_at < NEW.end_at AND h.end_at > NEW.start_at)"""

SQLITE_TRIGGERS = f"""
CREATE TRIGGER held_files_stay BEFORE UPDATE ON footage_files WHEN NEW.removed AND NOT OLD.removed AND {_HELD}
BEGIN SELECT RAISE(ABORT, 'footage under hold is not removed'); END
;
CREATE TRIGGER hold_files_stay BEFORE UPDATE ON hold_files WHEN NEW.removed AND NOT OLD.removed AND {_HELD}
BEGIN SELECT RAISE(ABORT, 'footage under hold is not removed'); END
;
CREATE TRIGGER holds_stay BEFORE DELETE ON holds BEGIN SELECT RAISE(ABORT, 'holds are never deleted'); END
;
CREATE TRIGGER hold_files_no_delete BEFORE DELETE ON hold_files BEGIN SELECT RAISE(ABORT, 'rows of held files are never deleted'); END
;
CREATE TRIGGER holds_ended BEFORE UPDATE ON holds WHEN OLD.state <> 'active'
BEGIN SELECT RAISE(ABORT, 'a hold that has ended is never changed'); END
"""

POSTGRES_TRIGGERS = f"""
CREATE FUNCTION held_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.removed AND NOT OLD.removed AND {_HELD}
    THEN RAISE EXCEPTION 'footage under hold is not removed' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
END $$
;
CREATE FUNCTION holds_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'holds and held files stay, and what has ended is never changed' USING ERRCODE = 'check_violation'; END $$
;
CREATE TRIGGER held_files_stay BEFORE UPDATE ON footage_files FOR EACH ROW EXECUTE FUNCTION held_refuse()
;
CREATE TRIGGER hold_files_stay BEFORE UPDATE ON hold_files FOR EACH ROW EXECUTE FUNCTION held_refuse()
;
CREATE TRIGGER holds_stay BEFORE DELETE ON holds FOR EACH ROW EXECUTE FUNCTION holds_refuse()
;
CREATE TRIGGER hold_files_no_delete BEFORE DELETE ON hold_files FOR EACH ROW EXECUTE FUNCTION holds_refuse()
;
CREATE TRIGGER holds_ended BEFORE UPDATE ON holds FOR EACH ROW WHEN (OLD.state <> 'active') EXECUTE FUNCTION holds_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
