"""Where loudspeakers take calls: the port of their SIP service."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0021"
down_revision = "0020"

TABLES = """
-- The port on which a device takes SIP requests, over UDP or TCP (RFC 3261); 5060 is SIP's own.
ALTER TABLE devices ADD COLUMN sip_port BIGINT NOT NULL DEFAULT 5060 CHECK (sip_port BETWEEN 1 AND 65535)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
