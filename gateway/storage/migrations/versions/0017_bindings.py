"""Where cameras look, and which loudspeakers are heard there."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0017"
down_revision = "0016"

TABLES = """
-- Where a camera looks: as a whole (`preset` is empty), or in the preset of that token. The place that is seen lies `distance_m` from it
-- in the direction `bearing_deg`, clockwise from true north.
CREATE TABLE sights (
    camera      TEXT NOT NULL REFERENCES devices (id),
    preset      TEXT NOT NULL CHECK (length(preset) <= 200),
    bearing_deg DOUBLE PRECISION NOT NULL CHECK (bearing_deg >= 0 AND bearing_deg < 360),
    distance_m  DOUBLE PRECISION NOT NULL CHECK (distance_m BETWEEN 0 AND 2000),
    PRIMARY KEY (camera, preset)
)
;
-- A loudspeaker that is heard where a camera looks, up to `reach_m` from it: proposed by arithmetic, or decided by somebody.
CREATE TABLE bindings (
    camera      TEXT NOT NULL REFERENCES devices (id),
    preset      TEXT NOT NULL CHECK (length(preset) <= 200),
    speaker     TEXT NOT NULL REFERENCES devices (id),
    reach_m     DOUBLE PRECISION NOT NULL CHECK (reach_m > 0 AND reach_m <= 2000),
    state       TEXT NOT NULL CHECK (state IN ('proposed', 'confirmed', 'rejected')),
    decided_by  TEXT NOT NULL CHECK (length(decided_by) <= 200),
    decided_at  TIMESTAMPTZ,
    note        TEXT NOT NULL CHECK (length(note) <= 200),
    PRIMARY KEY (camera, preset, speaker),
    CHECK ((state = 'proposed') = (decided_at IS NULL)),
    CHECK ((state = 'proposed') = (decided_by = ''))
)
;
CREATE INDEX ix_bindings_speaker ON bindings (speaker)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
