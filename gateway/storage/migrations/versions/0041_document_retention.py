"""Documents of footage requests have a term of their own, and none goes while its request or a hold needs it."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0041"
down_revision = "0040"

TABLES = """
-- When the bytes went from the disk, after a line `disposed` in the custody log; the row stays with its hash. NULL: they are there.
ALTER TABLE footage_documents ADD COLUMN removed_at TIMESTAMPTZ
;
CREATE INDEX ix_footage_documents_sha256 ON footage_documents (sha256)
"""

# A hold needs the documents of a request that it names, or of whose cameras it covers something in what was asked of them.
_NEEDED = """(EXISTS (SELECT 1 FROM footage_requests r WHERE r.id = NEW.request
        AND r.state NOT IN ('rejected', 'cancelled', 'revoked', 'expired'))
    OR EXISTS (SELECT 1 FROM holds h WHERE h.state = 'active' AND (
        h.request = NEW.request
        OR EXISTS (SELECT 1 FROM hold_keeps k JOIN footage_cameras c ON c.camera = k.camera
            WHERE k.hold = h.id AND c.request = NEW.request AND h.start_at < c.end_at AND h.end_at > c.start_at))))"""
_GOES = "NEW.removed_at IS NOT NULL AND OLD.removed_at IS NULL"

SQLITE_TRIGGERS = f"""
CREATE TRIGGER needed_documents_stay BEFORE UPDATE ON footage_documents WHEN {_GOES} AND {_NEEDED}
BEGIN SELECT RAISE(ABORT, 'a document is not removed while its request or a hold needs it'); END
"""

POSTGRES_TRIGGERS = f"""
CREATE FUNCTION needed_documents_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {_GOES} AND {_NEEDED}
    THEN RAISE EXCEPTION 'a document is not removed while its request or a hold needs it' USING ERRCODE = 'check_violation'; END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER needed_documents_stay BEFORE UPDATE ON footage_documents FOR EACH ROW EXECUTE FUNCTION needed_documents_refuse()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
