"""Each file of footage says which device gave it and how that device's clock was when it did."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0037"
down_revision = "0036"

# The files that are there already: by what is known of their device today.
TABLES = """
-- `offset_s`: the device's clock less the true one when the file was fetched; NULL: never measured until then.
ALTER TABLE footage_files ADD COLUMN offset_s DOUBLE PRECISION
;
ALTER TABLE footage_files ADD COLUMN device TEXT NOT NULL DEFAULT ''
;
ALTER TABLE footage_files ADD COLUMN serial TEXT NOT NULL DEFAULT ''
;
ALTER TABLE hold_files ADD COLUMN offset_s DOUBLE PRECISION
;
ALTER TABLE hold_files ADD COLUMN serial TEXT NOT NULL DEFAULT ''
;
UPDATE footage_files SET (offset_s, device, serial) = (
    SELECT offset_s, recorder, serial FROM footage_exports e WHERE e.request = footage_files.request AND e.camera = footage_files.camera)
;
UPDATE hold_files SET (offset_s, serial) = (
    SELECT offset_s, serial FROM hold_keeps k
    WHERE k.hold = hold_files.hold AND k.camera = hold_files.camera AND k.device = hold_files.device)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
