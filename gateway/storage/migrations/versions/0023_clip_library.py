"""The library of clips: a second name, tags, levelling and loudness; clips that were removed stay on record."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0023"
down_revision = "0022"

TABLES = """
-- What English screens show; empty where `name` serves both.
ALTER TABLE clips ADD COLUMN name_en TEXT NOT NULL DEFAULT '' CHECK (length(name_en) <= 200)
;
-- A line break before each tag and one behind the last, so that one is found whole; empty for none.
ALTER TABLE clips ADD COLUMN tags TEXT NOT NULL DEFAULT '' CHECK (length(tags) <= 2000)
;
-- Whether it is levelled for horns. Those that came before this migration are not.
ALTER TABLE clips ADD COLUMN level BOOLEAN NOT NULL DEFAULT FALSE
;
-- Integrated loudness (ITU-R BS.1770) of what came and of what loudspeakers get; NULL where it cannot be or was not measured.
ALTER TABLE clips ADD COLUMN lufs_before DOUBLE PRECISION
;
ALTER TABLE clips ADD COLUMN lufs_after DOUBLE PRECISION
;
-- When it was taken out of the library. The row stays: broadcasts speak of it. The file goes.
ALTER TABLE clips ADD COLUMN removed_at TIMESTAMPTZ
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
