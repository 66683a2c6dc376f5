"""Who gives way and who has to agree: deliveries that wait for a second person or were interrupted, and what is said of a reason."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0020"
down_revision = "0019"

TABLES = """
ALTER TABLE broadcasts ADD COLUMN again BOOLEAN NOT NULL DEFAULT FALSE
;
-- The second person who let it be heard, where one was needed. Never the one who ordered it.
ALTER TABLE broadcasts ADD COLUMN approved_by_kind TEXT CHECK (approved_by_kind IN ('user', 'api-key'))
;
ALTER TABLE broadcasts ADD COLUMN approved_by_id TEXT
    CHECK ((approved_by_id IS NULL) = (approved_by_kind IS NULL) AND length(approved_by_id) BETWEEN 1 AND 200)
    CHECK (approved_by_id <> actor_id OR approved_by_kind <> actor_kind)
;
DROP INDEX ux_deliveries_playing
;
DROP INDEX ix_deliveries_open
;
ALTER TABLE deliveries RENAME TO deliveries_before
;
-- `playing` is committed before the first packet, and again before the first after an interruption. `speaker` outlives the inventory's row
-- on purpose: the record stays. `path`: how it was brought there. A device that plays a clip of its own (`audio-clip`) gets no packets.
-- `lost`: by its own account. `detail`: what more is known of `reason`, in words.
CREATE TABLE deliveries (
    broadcast       TEXT NOT NULL REFERENCES broadcasts (id),
    speaker         TEXT NOT NULL CHECK (length(speaker) BETWEEN 1 AND 64),
    state           TEXT NOT NULL CHECK (state IN ('awaiting-approval', 'queued', 'connecting', 'playing', 'interrupted', 'done', 'failed',
                        'preempted', 'cancelled', 'expired', 'unknown')),
    since           TIMESTAMPTZ NOT NULL,
    reason          TEXT NOT NULL CHECK (length(reason) <= 100),
    detail          TEXT NOT NULL CHECK (length(detail) <= 300),
    encoding        TEXT NOT NULL CHECK (length(encoding) <= 32),
    packets         BIGINT NOT NULL CHECK (packets >= 0),
    dropped         BIGINT NOT NULL CHECK (dropped >= 0),
    first_packet_at TIMESTAMPTZ,
    last_packet_at  TIMESTAMPTZ,
    path            TEXT NOT NULL CHECK (length(path) <= 32),
    lost            BIGINT CHECK (lost >= 0),
    PRIMARY KEY (broadcast, speaker),
    CHECK ((first_packet_at IS NULL) = (packets = 0)),
    CHECK ((first_packet_at IS NULL) = (last_packet_at IS NULL)),
    CHECK (state <> 'done' OR packets > 0 OR path = 'audio-clip'),
    CHECK (state NOT IN ('awaiting-approval', 'queued', 'connecting', 'expired') OR packets = 0),
    CHECK (state IN ('awaiting-approval', 'queued', 'connecting', 'playing', 'done') OR reason <> '')
)
;
INSERT INTO deliveries
SELECT broadcast, speaker, state, since, reason, '', encoding, packets, dropped, first_packet_at, last_packet_at, path, lost
FROM deliveries_before
;
DROP TABLE deliveries_before
;
-- One voice at a time: two broadcasts never play at one speaker.
CREATE UNIQUE INDEX ux_deliveries_playing ON deliveries (speaker) WHERE state = 'playing'
;
CREATE INDEX ix_deliveries_open ON deliveries (broadcast)
    WHERE state IN ('awaiting-approval', 'queued', 'connecting', 'playing', 'interrupted')
;
CREATE INDEX ix_deliveries_since ON deliveries (since)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
