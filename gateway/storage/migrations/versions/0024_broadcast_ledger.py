"""The ledger of broadcasts: what came of each by people's word, pictures beside it, and indexes to look through a hundred thousand."""

import json

import sqlalchemy as sa
from alembic import op

from gateway.storage.migrations import ddl

revision = "0024"
down_revision = "0023"

TABLES = """
-- The latest row of `broadcast_outcomes`, for filters and statistics; empty while nobody has said anything.
ALTER TABLE broadcasts ADD COLUMN outcome TEXT NOT NULL DEFAULT ''
    CHECK (outcome IN ('', 'left', 'passed-on', 'nobody', 'other'))
;
-- Append-only: what people say came of a broadcast. The row with the highest number counts, the others are how it was corrected.
CREATE TABLE broadcast_outcomes (
    broadcast  TEXT NOT NULL REFERENCES broadcasts (id),
    number     BIGINT NOT NULL CHECK (number > 0),
    outcome    TEXT NOT NULL CHECK (outcome IN ('left', 'passed-on', 'nobody', 'other')),
    note       TEXT NOT NULL CHECK (length(note) <= 500),
    at         TIMESTAMPTZ NOT NULL,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('user', 'api-key', 'rule', 'system')),
    actor_id   TEXT NOT NULL CHECK (length(actor_id) BETWEEN 1 AND 200),
    -- Of the person behind the key, as it was called then.
    name       TEXT NOT NULL CHECK (length(name) <= 200),
    PRIMARY KEY (broadcast, number),
    CHECK (outcome <> 'other' OR note <> '')
)
;
-- Whose view a broadcast was meant for: the views of `targets`, to be found by camera.
CREATE TABLE broadcast_views (
    broadcast TEXT NOT NULL REFERENCES broadcasts (id),
    camera    TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    PRIMARY KEY (broadcast, camera)
)
;
CREATE INDEX ix_broadcast_views_camera ON broadcast_views (camera)
;
-- What a camera saw before and after. The file is named by `sha256`; when its time is over the file goes and the row stays.
CREATE TABLE broadcast_pictures (
    broadcast  TEXT NOT NULL REFERENCES broadcasts (id),
    camera     TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    moment     TEXT NOT NULL CHECK (moment IN ('before', 'after')),
    sha256     TEXT NOT NULL CHECK (length(sha256) = 64),
    media_type TEXT NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png')),
    size       BIGINT NOT NULL CHECK (size > 0),
    at         TIMESTAMPTZ NOT NULL,
    keep_until TIMESTAMPTZ NOT NULL,
    gone       BOOLEAN NOT NULL,
    PRIMARY KEY (broadcast, camera, moment)
)
;
CREATE INDEX ix_broadcast_pictures_kept ON broadcast_pictures (keep_until) WHERE NOT gone
;
CREATE INDEX ix_broadcast_pictures_file ON broadcast_pictures (sha256)
;
CREATE INDEX ix_broadcasts_outcome ON broadcasts (outcome, created_at, id)
;
CREATE INDEX ix_broadcasts_actor ON broadcasts (actor_kind, actor_id, created_at, id)
;
CREATE INDEX ix_broadcasts_case ON broadcasts (case_ref, created_at, id) WHERE case_ref <> ''
;
CREATE INDEX ix_deliveries_speaker ON deliveries (speaker, broadcast)
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER broadcast_outcomes_no_update BEFORE UPDATE ON broadcast_outcomes
BEGIN SELECT RAISE(ABORT, 'what was said of a broadcast is never changed'); END
;
CREATE TRIGGER broadcast_outcomes_no_delete BEFORE DELETE ON broadcast_outcomes
BEGIN SELECT RAISE(ABORT, 'what was said of a broadcast is never changed'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION broadcast_outcomes_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'what was said of a broadcast is never changed'; END $$
;
CREATE TRIGGER broadcast_outcomes_no_change BEFORE UPDATE OR DELETE ON broadcast_outcomes
FOR EACH ROW EXECUTE FUNCTION broadcast_outcomes_refuse()
"""


def upgrade() -> None:
    bind = op.get_bind()
    for statement in ddl(TABLES, dialect=bind.dialect.name):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if bind.dialect.name == "sqlite" else POSTGRES_TRIGGERS, dialect=bind.dialect.name):
        op.execute(statement)
    ordered = bind.execute(sa.text("SELECT id, targets FROM broadcasts WHERE targets LIKE '%\"views\"%'"))
    rows = {(id_, view["camera"]) for id_, targets in ordered.all() for view in json.loads(targets).get("views", ())}
    for broadcast, camera in sorted(rows):
        bind.execute(sa.text("INSERT INTO broadcast_views VALUES (:broadcast, :camera)"), {"broadcast": broadcast, "camera": camera})
