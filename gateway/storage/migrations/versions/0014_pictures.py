"""What each camera's pictures are compared with."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0014"
down_revision = "0013"

TABLES = """
-- How a camera's pictures usually are, in colour and by infrared light (grey). `fields`: 32 x 18 mean brightnesses of 16 bits.
CREATE TABLE picture_references (
    camera    TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    light     TEXT NOT NULL CHECK (light IN ('colour', 'grey')),
    fields    BYTEA NOT NULL CHECK (length(fields) = 1152),
    sharpness DOUBLE PRECISION NOT NULL CHECK (sharpness >= 0),
    pictures  BIGINT NOT NULL CHECK (pictures >= 1),
    at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (camera, light)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
