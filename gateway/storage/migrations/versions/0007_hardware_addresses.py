"""The hardware address of a device, for models whose serial number tells nothing."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0007"
down_revision = "0006"

TABLES = """
-- IEEE 802 (MAC) address as aa:bb:cc:dd:ee:ff, '' where it is not known.
ALTER TABLE devices ADD COLUMN mac TEXT NOT NULL DEFAULT '' CHECK (length(mac) IN (0, 17))
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
