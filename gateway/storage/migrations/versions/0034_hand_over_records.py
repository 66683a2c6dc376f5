"""Brought files, hand-overs on a medium or to another system, and viewings on site."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0034"
down_revision = "0033"

TABLES = """
-- A file that the gateway did not fetch. `received` bytes are safe on the disk; `name` in the package follows from number and name there.
CREATE TABLE footage_imports (
    id            TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    request       TEXT NOT NULL REFERENCES footage_requests (id),
    number        BIGINT NOT NULL CHECK (number > 0),
    brought_by    TEXT NOT NULL CHECK (length(brought_by) BETWEEN 1 AND 200),
    badge         TEXT NOT NULL CHECK (length(badge) BETWEEN 1 AND 200),
    device        TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 200),
    client        TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 200),
    original_name TEXT NOT NULL CHECK (length(original_name) BETWEEN 1 AND 200),
    camera        TEXT NOT NULL CHECK (length(camera) <= 128),
    note          TEXT NOT NULL CHECK (length(note) <= 4000),
    claimed_start TIMESTAMPTZ,
    claimed_end   TIMESTAMPTZ,
    size          BIGINT NOT NULL CHECK (size > 0),
    expected      TEXT NOT NULL CHECK (length(expected) IN (0, 64)),
    made_by       TEXT NOT NULL CHECK (length(made_by) > 0),
    maker         TEXT NOT NULL CHECK (length(maker) > 0),
    made_at       TIMESTAMPTZ NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('receiving', 'arrived', 'kept', 'refused', 'dropped')),
    received      BIGINT NOT NULL CHECK (received BETWEEN 0 AND size),
    sha256        TEXT NOT NULL CHECK (length(sha256) IN (0, 64)),
    kept_at       TIMESTAMPTZ,
    UNIQUE (request, number),
    CHECK ((claimed_start IS NULL) = (claimed_end IS NULL) AND (claimed_start IS NULL OR claimed_end > claimed_start)),
    CHECK ((state IN ('arrived', 'kept')) = (sha256 <> '')),
    CHECK (state NOT IN ('arrived', 'kept') OR received = size),
    CHECK (sha256 = '' OR expected = '' OR sha256 = expected),
    CHECK ((state = 'kept') = (kept_at IS NOT NULL))
)
;
CREATE INDEX ix_footage_imports_open ON footage_imports (made_at) WHERE state IN ('receiving', 'arrived')
;
-- One hand-over. `manifest_sha256` stands on the printed sheet; the scanned sheet with the signatures lies under its own digest.
CREATE TABLE footage_deliveries (
    id              TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    request         TEXT NOT NULL REFERENCES footage_requests (id),
    way             TEXT NOT NULL CHECK (way IN ('medium', 'directory', 'object-store')),
    receiver        TEXT NOT NULL CHECK (length(receiver) BETWEEN 1 AND 200),
    unit            TEXT NOT NULL CHECK (length(unit) <= 200),
    badge           TEXT NOT NULL CHECK (length(badge) <= 200),
    second_officer  TEXT NOT NULL CHECK (length(second_officer) <= 200),
    manifest_sha256 TEXT NOT NULL CHECK (length(manifest_sha256) = 64),
    delivered_by    TEXT NOT NULL CHECK (length(delivered_by) > 0),
    deliverer       TEXT NOT NULL CHECK (length(deliverer) > 0),
    at              TIMESTAMPTZ NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('sending', 'done', 'failed')),
    medium          TEXT CHECK (medium IN ('optical-disc', 'usb-stick', 'hard-disk')),
    number          TEXT NOT NULL CHECK (length(number) <= 200),
    seal            TEXT NOT NULL CHECK (length(seal) <= 200),
    target          TEXT NOT NULL CHECK (length(target) <= 1000),
    reason          TEXT NOT NULL CHECK (length(reason) <= 1000),
    note            TEXT NOT NULL CHECK (length(note) <= 4000),
    sent            BIGINT NOT NULL CHECK (sent >= 0),
    sheet_sha256    TEXT CHECK (length(sheet_sha256) = 64),
    sheet_kind      TEXT,
    sheet_size      BIGINT CHECK (sheet_size > 0),
    sheet_by        TEXT,
    sheet_person    TEXT,
    sheet_at        TIMESTAMPTZ,
    CHECK ((way = 'medium') = (medium IS NOT NULL)),
    CHECK (way <> 'medium' OR (state = 'done' AND number <> '' AND seal <> '' AND second_officer <> '' AND second_officer <> receiver)),
    CHECK (way = 'medium' OR target <> ''),
    CHECK ((state = 'failed') = (reason <> '')),
    CHECK ((sheet_sha256 IS NULL) = (sheet_at IS NULL) AND (sheet_sha256 IS NULL) = (sheet_by IS NULL)
        AND (sheet_sha256 IS NULL) = (sheet_person IS NULL) AND (sheet_sha256 IS NULL) = (sheet_kind IS NULL)
        AND (sheet_sha256 IS NULL) = (sheet_size IS NULL))
)
;
CREATE INDEX ix_footage_deliveries_request ON footage_deliveries (request, at)
;
CREATE INDEX ix_footage_deliveries_sending ON footage_deliveries (at) WHERE state = 'sending'
;
-- Somebody looked, somebody sat beside, no copy left the house.
CREATE TABLE footage_viewings (
    id           TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    request      TEXT NOT NULL REFERENCES footage_requests (id),
    viewer       TEXT NOT NULL CHECK (length(viewer) BETWEEN 1 AND 200),
    identity     TEXT NOT NULL CHECK (length(identity) BETWEEN 1 AND 200),
    companions   TEXT NOT NULL CHECK (length(companions) <= 200),
    place        TEXT NOT NULL CHECK (length(place) <= 200),
    started_by   TEXT NOT NULL CHECK (length(started_by) > 0),
    supervisor   TEXT NOT NULL CHECK (length(supervisor) > 0),
    started_at   TIMESTAMPTZ NOT NULL,
    until        TIMESTAMPTZ NOT NULL,
    plays        BIGINT NOT NULL CHECK (plays >= 0),
    ended_at     TIMESTAMPTZ,
    outcome      TEXT CHECK (outcome IN ('nothing-found', 'no-copy', 'copy-wanted', 'interrupted')),
    note         TEXT NOT NULL CHECK (length(note) <= 4000),
    CHECK (supervisor <> viewer),
    CHECK (until > started_at),
    CHECK (ended_at >= started_at),
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
)
;
CREATE INDEX ix_footage_viewings_request ON footage_viewings (request, started_at)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
