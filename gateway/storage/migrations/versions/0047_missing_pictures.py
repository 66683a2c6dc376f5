"""Pictures beside broadcasts that came when the voice had begun, and why others are missing."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0047"
down_revision = "0046"

TABLES = """
DROP INDEX ix_broadcast_pictures_kept
;
DROP INDEX ix_broadcast_pictures_file
;
ALTER TABLE broadcast_pictures RENAME TO broadcast_pictures_before
;
-- What a camera saw before and after; `during`: it was to be one of before, and the voice had begun when it came. The file is named by
-- `sha256`; when its time is over the file goes and the row stays.
CREATE TABLE broadcast_pictures (
    broadcast  TEXT NOT NULL REFERENCES broadcasts (id),
    camera     TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    moment     TEXT NOT NULL CHECK (moment IN ('before', 'during', 'after')),
    sha256     TEXT NOT NULL CHECK (length(sha256) = 64),
    media_type TEXT NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png')),
    size       BIGINT NOT NULL CHECK (size > 0),
    at         TIMESTAMPTZ NOT NULL,
    keep_until TIMESTAMPTZ NOT NULL,
    gone       BOOLEAN NOT NULL,
    PRIMARY KEY (broadcast, camera, moment)
)
;
INSERT INTO broadcast_pictures SELECT broadcast, camera,
    CASE WHEN moment = 'before' AND at >= (SELECT MIN(first_packet_at) FROM deliveries d WHERE d.broadcast = b.broadcast)
        THEN 'during' ELSE moment END,
    sha256, media_type, size, at, keep_until, gone
FROM broadcast_pictures_before b
;
DROP TABLE broadcast_pictures_before
;
CREATE INDEX ix_broadcast_pictures_kept ON broadcast_pictures (keep_until) WHERE NOT gone
;
CREATE INDEX ix_broadcast_pictures_file ON broadcast_pictures (sha256)
;
-- Why there is no picture of a moment.
CREATE TABLE broadcast_pictures_missing (
    broadcast TEXT NOT NULL REFERENCES broadcasts (id),
    camera    TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    moment    TEXT NOT NULL CHECK (moment IN ('before', 'after')),
    reason    TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 100),
    detail    TEXT NOT NULL CHECK (length(detail) <= 300),
    at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (broadcast, camera, moment)
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
