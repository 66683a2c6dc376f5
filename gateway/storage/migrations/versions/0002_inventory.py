"""What hangs in the street: areas, camera groups, devices, channels, zones and the secrets to log in with."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0002"
down_revision = "0001"

TABLES = """
-- 单元网格: `rings` is JSON, `[[[longitude, latitude], …], …]` in WGS-84, the outer boundary first, as in GeoJSON.
CREATE TABLE grid_cells (
    code      TEXT PRIMARY KEY CHECK (length(code) BETWEEN 1 AND 64),
    name      TEXT NOT NULL,
    district  TEXT NOT NULL,
    street    TEXT NOT NULL,
    rings     TEXT NOT NULL
)
;
-- Streets and districts, with boundaries of the same form.
CREATE TABLE areas (
    level     TEXT NOT NULL CHECK (level IN ('street', 'district')),
    code      TEXT NOT NULL CHECK (length(code) BETWEEN 1 AND 64),
    name      TEXT NOT NULL,
    district  TEXT NOT NULL,
    street    TEXT NOT NULL,
    rings     TEXT NOT NULL,
    PRIMARY KEY (level, code)
)
;
-- 监控组: the cameras of one pole or junction.
CREATE TABLE camera_groups (
    id        TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name      TEXT NOT NULL,
    latitude  DOUBLE PRECISION CHECK (latitude BETWEEN -90 AND 90),
    longitude DOUBLE PRECISION CHECK (longitude BETWEEN -180 AND 180),
    cell      TEXT REFERENCES grid_cells (code),
    street    TEXT NOT NULL,
    district  TEXT NOT NULL,
    CHECK ((latitude IS NULL) = (longitude IS NULL))
)
;
-- One piece of hardware. `id` is the operator's own code and never changes; `uplink` is the device that this one depends on.
CREATE TABLE devices (
    id              TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    kind            TEXT NOT NULL CHECK (kind IN ('camera', 'speaker', 'recorder', 'switch')),
    name            TEXT NOT NULL,
    address         TEXT NOT NULL CHECK (length(address) > 0),
    onvif_port      BIGINT NOT NULL CHECK (onvif_port BETWEEN 1 AND 65535),
    rtsp_port       BIGINT NOT NULL CHECK (rtsp_port BETWEEN 1 AND 65535),
    snmp_port       BIGINT NOT NULL CHECK (snmp_port BETWEEN 1 AND 65535),
    camera_group    TEXT REFERENCES camera_groups (id),
    cell            TEXT REFERENCES grid_cells (code),
    latitude        DOUBLE PRECISION CHECK (latitude BETWEEN -90 AND 90),
    longitude       DOUBLE PRECISION CHECK (longitude BETWEEN -180 AND 180),
    owner           TEXT NOT NULL,
    management_unit TEXT NOT NULL,
    maintainer      TEXT NOT NULL,
    vendor          TEXT NOT NULL,
    model           TEXT NOT NULL,
    serial          TEXT NOT NULL,
    firmware        TEXT NOT NULL,
    profile         TEXT NOT NULL,
    gb28181_id      TEXT NOT NULL CHECK (length(gb28181_id) IN (0, 20)),
    uplink          TEXT REFERENCES devices (id) CHECK (uplink <> id),
    uplink_port     BIGINT CHECK (uplink_port >= 0),
    audio_output_of TEXT REFERENCES devices (id),
    horns           BIGINT NOT NULL CHECK (horns >= 0),
    enabled         BOOLEAN NOT NULL,
    CHECK ((latitude IS NULL) = (longitude IS NULL)),
    CHECK (audio_output_of IS NULL OR kind = 'speaker')
)
;
CREATE INDEX ix_devices_uplink ON devices (uplink)
;
CREATE INDEX ix_devices_camera_group ON devices (camera_group)
;
CREATE INDEX ix_devices_audio_output_of ON devices (audio_output_of)
;
-- The inputs of a recorder: which recording keeps which camera's footage.
CREATE TABLE channels (
    recorder        TEXT NOT NULL REFERENCES devices (id),
    number          BIGINT NOT NULL CHECK (number >= 0),
    camera          TEXT NOT NULL REFERENCES devices (id),
    recording_token TEXT NOT NULL,
    PRIMARY KEY (recorder, number)
)
;
CREATE INDEX ix_channels_camera ON channels (camera)
;
CREATE TABLE zones (
    id        TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    name      TEXT NOT NULL
)
;
CREATE TABLE zone_speakers (
    zone      TEXT NOT NULL REFERENCES zones (id),
    speaker   TEXT NOT NULL REFERENCES devices (id),
    PRIMARY KEY (zone, speaker)
)
;
CREATE INDEX ix_zone_speakers_speaker ON zone_speakers (speaker)
;
-- AES-256-GCM over the credentials as JSON, with the device's id as associated data: of no use in another row.
CREATE TABLE credentials (
    device    TEXT PRIMARY KEY REFERENCES devices (id),
    sealed    BYTEA NOT NULL
)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
