"""What a broadcast says and why, in more forms than a clip; by which path each delivery went."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0019"
down_revision = "0018"

TABLES = """
DROP INDEX ix_broadcasts_created_at
;
DROP INDEX ux_deliveries_playing
;
DROP INDEX ix_deliveries_open
;
ALTER TABLE deliveries RENAME TO deliveries_before
;
ALTER TABLE broadcasts RENAME TO broadcasts_before
;
-- One order to make a sound, with the id that the sender gave it: a second order of that id is no second sound.
-- A clip has `clip`, a speech `text` and `voice`. `targets`: JSON, as ordered. `priority`: 0 schedule, 1 notice, 2 enforcement, 3 talk,
-- 4 emergency. `override`: why it may be heard in quiet hours.
CREATE TABLE broadcasts (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    kind         TEXT NOT NULL CHECK (kind IN ('clip', 'speech', 'talk')),
    clip         TEXT REFERENCES clips (id),
    text         TEXT NOT NULL CHECK (length(text) <= 2000),
    voice        TEXT NOT NULL CHECK (length(voice) <= 64),
    chime        BOOLEAN NOT NULL,
    repeats      BIGINT NOT NULL CHECK (repeats BETWEEN 1 AND 100),
    pause_s      DOUBLE PRECISION NOT NULL CHECK (pause_s BETWEEN 0 AND 600),
    targets      TEXT NOT NULL,
    priority     BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 4),
    not_after    TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id     TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    case_ref     TEXT NOT NULL CHECK (length(case_ref) <= 200),
    reason       TEXT NOT NULL CHECK (length(reason) <= 500),
    resume       BOOLEAN NOT NULL,
    override     TEXT NOT NULL CHECK (length(override) <= 500),
    CHECK (not_after >= created_at),
    CHECK ((kind = 'clip') = (clip IS NOT NULL)),
    CHECK ((kind = 'speech') = (text <> ''))
)
;
-- `playing` is committed before the first packet. `speaker` outlives the inventory's row on purpose: the record stays.
-- `path`: how it was brought there. A device that plays a clip of its own (`audio-clip`) gets no packets. `lost`: by its own account.
CREATE TABLE deliveries (
    broadcast       TEXT NOT NULL REFERENCES broadcasts (id),
    speaker         TEXT NOT NULL CHECK (length(speaker) BETWEEN 1 AND 64),
    state           TEXT NOT NULL CHECK (state IN ('queued', 'connecting', 'playing', 'done', 'failed', 'preempted', 'cancelled', 'expired',
                        'unknown')),
    since           TIMESTAMPTZ NOT NULL,
    reason          TEXT NOT NULL CHECK (length(reason) <= 100),
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
    CHECK (state NOT IN ('queued', 'connecting', 'expired') OR packets = 0),
    CHECK (state IN ('queued', 'connecting', 'playing', 'done') OR reason <> '')
)
;
INSERT INTO broadcasts
SELECT id, 'clip', clip, '', '', FALSE, 1, 1, targets, priority, not_after, created_at, actor_kind, actor_id, case_ref, '', FALSE, ''
FROM broadcasts_before
;
INSERT INTO deliveries
SELECT broadcast, speaker, state, since, reason, encoding, packets, dropped, first_packet_at, last_packet_at,
       CASE WHEN encoding <> '' THEN 'backchannel' ELSE '' END, NULL
FROM deliveries_before
;
DROP TABLE deliveries_before
;
DROP TABLE broadcasts_before
;
CREATE INDEX ix_broadcasts_created_at ON broadcasts (created_at, id)
;
-- One voice at a time: two broadcasts never play at one speaker.
CREATE UNIQUE INDEX ux_deliveries_playing ON deliveries (speaker) WHERE state = 'playing'
;
CREATE INDEX ix_deliveries_open ON deliveries (broadcast) WHERE state IN ('queued', 'connecting', 'playing')
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
