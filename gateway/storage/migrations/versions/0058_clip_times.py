"""When a device was told to play a clip of its own and to be silent, and when it said that it does: it gets no packets that tell."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0058"
down_revision = "0057"

# By the gateway's clock. NULL: not asked, or not answered; of what was played before, nobody knows. What a former life of the gateway has
# asked to play and could not write down is told to be silent all the same.
TABLES = """
ALTER TABLE deliveries ADD COLUMN clip_asked_at TIMESTAMPTZ
;
ALTER TABLE deliveries ADD COLUMN clip_confirmed_at TIMESTAMPTZ CHECK (clip_confirmed_at IS NULL OR clip_asked_at IS NOT NULL)
;
ALTER TABLE deliveries ADD COLUMN clip_stop_asked_at TIMESTAMPTZ
;
ALTER TABLE deliveries ADD COLUMN clip_silent_at TIMESTAMPTZ
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
