"""A delivery that failed says whether a whole copy lies at its destination all the same."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0052"
down_revision = "0051"

TABLES = """
-- The digest of the copy: the package was sealed anew, or its request ended, before it was acknowledged.
ALTER TABLE footage_deliveries ADD COLUMN outside_sha256 TEXT NOT NULL DEFAULT ''
    CHECK (outside_sha256 = '' OR (length(outside_sha256) = 64 AND state = 'failed'))
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER delivery_outside BEFORE UPDATE ON footage_deliveries
WHEN OLD.outside_sha256 <> '' AND NEW.outside_sha256 <> OLD.outside_sha256
BEGIN SELECT RAISE(ABORT, 'the copy that lies outside is never forgotten'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION delivery_outside_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outside_sha256 <> '' AND NEW.outside_sha256 <> OLD.outside_sha256 THEN
        RAISE EXCEPTION 'the copy that lies outside is never forgotten' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER delivery_outside BEFORE UPDATE ON footage_deliveries FOR EACH ROW EXECUTE FUNCTION delivery_outside_guard()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
