"""What a camera's own card has of a request, and out of which recording each file came."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0039"
down_revision = "0038"

# The files that are there already: by what is known of their device today.
TABLES = """
-- JSON, `{"device", "recording", "serial", "offset_s", "recorded": [[start, end], ...]}`, on the true clock; NULL: no card, or not asked.
ALTER TABLE footage_exports ADD COLUMN card TEXT
;
ALTER TABLE footage_files ADD COLUMN recording TEXT NOT NULL DEFAULT ''
;
ALTER TABLE hold_files ADD COLUMN recording TEXT NOT NULL DEFAULT ''
;
UPDATE footage_files SET recording = COALESCE((
    SELECT recording FROM footage_exports e
    WHERE e.request = footage_files.request AND e.camera = footage_files.camera AND e.recorder = footage_files.device), '')
;
UPDATE hold_files SET recording = COALESCE((
    SELECT recording FROM hold_keeps k
    WHERE k.hold = hold_files.hold AND k.camera = hold_files.camera AND k.device = hold_files.device), '')
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
