"""Clips, broadcasts, and what became of each at each loudspeaker."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0004"
down_revision = "0003"

TABLES = """
-- A sound that is kept. `id` is the SHA-256 of the file of that name in the data folder, which was durable before this row.
CREATE TABLE clips (
    id           TEXT PRIMARY KEY CHECK (length(id) = 64),
    name         TEXT NOT NULL CHECK (length(name) <= 200),
    size         BIGINT NOT NULL CHECK (size > 0),
    duration_ms  BIGINT NOT NULL CHECK (duration_ms > 0),
    created_at   TIMESTAMPTZ NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id     TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200)
)
;
-- One order to make a sound, with the id that the sender gave it: a second order of that id is no second sound.
-- `targets`: JSON, as ordered. `priority`: 0 schedule, 1 notice, 2 enforcement, 3 talk, 4 emergency.
CREATE TABLE broadcasts (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    clip         TEXT NOT NULL REFERENCES clips (id),
    targets      TEXT NOT NULL,
    priority     BIGINT NOT NULL CHECK (priority BETWEEN 0 AND 4),
    not_after    TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id     TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    case_ref     TEXT NOT NULL CHECK (length(case_ref) <= 200),
    CHECK (not_after >= created_at)
)
;
CREATE INDEX ix_broadcasts_created_at ON broadcasts (created_at, id)
;
-- `playing` is committed before the first packet. `speaker` outlives the inventory's row on purpose: the record stays.
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
    PRIMARY KEY (broadcast, speaker),
    CHECK ((first_packet_at IS NULL) = (packets = 0)),
    CHECK ((first_packet_at IS NULL) = (last_packet_at IS NULL)),
    CHECK (state <> 'done' OR packets > 0),
    CHECK (state NOT IN ('queued', 'connecting', 'expired') OR packets = 0),
    CHECK (state IN ('queued', 'connecting', 'playing', 'done') OR reason <> '')
)
;
-- One voice at a time: two broadcasts never play at one speaker.
CREATE UNIQUE INDEX ux_deliveries_playing ON deliveries (speaker) WHERE state = 'playing'
;
CREATE INDEX ix_deliveries_open ON deliveries (broadcast) WHERE state IN ('queued', 'connecting', 'playing')
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
