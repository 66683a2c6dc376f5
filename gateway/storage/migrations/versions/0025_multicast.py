"""Zones whose loudspeakers hear one stream together."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0025"
down_revision = "0024"

TABLES = """
-- Where all speakers of a zone listen: an IPv4 multicast address and the port of its RTP; '' and NULL for none.
ALTER TABLE zones ADD COLUMN multicast_group TEXT NOT NULL DEFAULT '' CHECK (length(multicast_group) <= 45)
;
ALTER TABLE zones ADD COLUMN multicast_port BIGINT CHECK (multicast_port BETWEEN 1024 AND 65534)
    CHECK ((multicast_group = '') = (multicast_port IS NULL))
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
