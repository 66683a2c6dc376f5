"""Brought files that an active hold covers are not removed, and what was removed of them is on record."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0036"
down_revision = "0035"

TABLES = """
-- The file is gone from the disk, after a line `disposed` in the custody log; the row stays.
ALTER TABLE footage_imports ADD COLUMN removed BOOLEAN NOT NULL DEFAULT FALSE
;
UPDATE footage_imports SET removed = TRUE
WHERE request IN (SELECT id FROM footage_requests WHERE state IN ('cancelled', 'revoked', 'expired'))
;
CREATE INDEX ix_footage_imports_kept ON footage_imports (request) WHERE state IN ('arrived', 'kept') AND NOT removed
"""

# A hold covers it that names its request, or its camera at the time that it is said to show (any, when nothing is said), or one of the
# cameras of the request in its window: nothing else is known of a file that the gateway did not fetch.
_HELD = """EXISTS (SELECT 1 FROM holds h WHERE h.state = 'active' AND (
    h.request = NEW.request
    OR EXISTS (SELECT 1 FROM hold_keeps k WHERE k.hold = h.id AND k.camera = NEW.camera
        AND (NEW.claimed_start IS NULL OR (h.start_at < NEW.claimed_end AND h.end_at > NEW.claimed_start)))
    OR EXISTS (SELECT 1 FROM hold_keeps k JOIN footage_cameras c ON c.camera = k.camera
        WHERE k.hold = h.id AND c.request = NEW.request AND h.start_at < c.end_at AND h.end_at > c.start_at)))"""

SQLITE_TRIGGERS = f"""
CREATE TRIGGER held_imports_stay BEFORE UPDATE ON footage_imports WHEN NEW.removed AND NOT OLD.removed AND {_HELD}
BEGIN SELECT RAISE(ABORT, 'footage under hold is not removed'); END
"""

POSTGRES_TRIGGERS = f"""
CREATE FUNCTION held_imports_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.removed AND NOT OLD.removed AND {_HELD}
    THEN RAISE EXCEPTION 'footage under hold is not removed' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER held_imports_stay BEFORE UPDATE ON footage_imports FOR EACH ROW EXECUTE FUNCTION held_imports_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
