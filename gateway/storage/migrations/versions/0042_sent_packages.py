"""Hand-overs that the gateway makes by itself: a package that is sent to a destination, how far it is, and what was written there."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0042"
down_revision = "0041"

TABLES = """
DROP INDEX ix_footage_deliveries_request
;
DROP INDEX ix_footage_deliveries_sending
;
ALTER TABLE footage_deliveries RENAME TO footage_deliveries_before
;
-- One hand-over. `manifest_sha256` stands on the printed sheet; the scanned sheet with the signatures lies under its own digest.
-- Of one that is sent: `destination` is the name of the configured one, `target` where the package lies there,
-- `size` and `sent` bytes of its ZIP, `sha256` the digest of what was written, `reason` why the last of `attempts` came to nothing.
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
    state           TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'done', 'failed')),
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
    destination     TEXT NOT NULL CHECK (length(destination) <= 64),
    attempts        BIGINT NOT NULL CHECK (attempts >= 0),
    size            BIGINT NOT NULL CHECK (size >= sent),
    sha256          TEXT NOT NULL CHECK (length(sha256) IN (0, 64)),
    begun_at        TIMESTAMPTZ,
    ended_at        TIMESTAMPTZ,
    CHECK ((way = 'medium') = (medium IS NOT NULL)),
    CHECK ((way = 'medium') = (destination = '')),
    CHECK (way <> 'medium' OR (state = 'done' AND number <> '' AND seal <> '' AND second_officer <> '' AND second_officer <> receiver)),
    CHECK (way = 'medium' OR target <> ''),
    CHECK (state <> 'failed' OR reason <> ''),
    CHECK (state <> 'sending' OR attempts > 0),
    CHECK (way = 'medium' OR (state = 'done') = (sha256 <> '')),
    CHECK (state <> 'done' OR sent = size),
    CHECK ((sheet_sha256 IS NULL) = (sheet_at IS NULL) AND (sheet_sha256 IS NULL) = (sheet_by IS NULL)
        AND (sheet_sha256 IS NULL) = (sheet_person IS NULL) AND (sheet_sha256 IS NULL) = (sheet_kind IS NULL)
        AND (sheet_sha256 IS NULL) = (sheet_size IS NULL))
)
;
INSERT INTO footage_deliveries (
    id, request, way, receiver, unit, badge, second_officer, manifest_sha256, delivered_by, deliverer, at, state, medium,
    number, seal, target, reason, note, sent, sheet_sha256, sheet_kind, sheet_size, sheet_by, sheet_person, sheet_at,
    destination, attempts, size, sha256)
SELECT
    id, request, way, receiver, unit, badge, second_officer, manifest_sha256, delivered_by, deliverer, at, state, medium,
    number, seal, target, reason, note, sent, sheet_sha256, sheet_kind, sheet_size, sheet_by, sheet_person, sheet_at,
    '', 0, sent, '' FROM footage_deliveries_before
;
DROP TABLE footage_deliveries_before
;
CREATE INDEX ix_footage_deliveries_request ON footage_deliveries (request, at)
;
CREATE INDEX ix_footage_deliveries_open ON footage_deliveries (at) WHERE state IN ('pending', 'sending')
;
-- One package goes to one destination once.
CREATE UNIQUE INDEX ux_footage_deliveries_sent ON footage_deliveries (request, destination, manifest_sha256)
    WHERE way <> 'medium' AND state <> 'failed'
"""

SQLITE_TRIGGERS = """
CREATE TRIGGER delivery_state BEFORE UPDATE OF state ON footage_deliveries
WHEN NEW.state <> OLD.state AND NOT ((OLD.state = 'pending' AND NEW.state IN ('sending', 'failed'))
    OR (OLD.state = 'sending' AND NEW.state IN ('pending', 'done', 'failed')))
BEGIN SELECT RAISE(ABORT, 'a delivery does not go that way'); END
;
CREATE TRIGGER delivery_first_state BEFORE INSERT ON footage_deliveries WHEN NEW.way <> 'medium' AND NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a delivery to a destination begins as pending'); END
;
CREATE TRIGGER delivery_fixed BEFORE UPDATE ON footage_deliveries
WHEN NEW.id <> OLD.id OR NEW.request <> OLD.request OR NEW.way <> OLD.way OR NEW.destination <> OLD.destination
    OR NEW.target <> OLD.target OR NEW.manifest_sha256 <> OLD.manifest_sha256 OR NEW.delivered_by <> OLD.delivered_by
    OR (OLD.sha256 <> '' AND NEW.sha256 <> OLD.sha256)
BEGIN SELECT RAISE(ABORT, 'what was handed over, to whom and by whom, is never changed'); END
"""

POSTGRES_TRIGGERS = """
CREATE FUNCTION delivery_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.way <> 'medium' AND NEW.state <> 'pending' THEN
            RAISE EXCEPTION 'a delivery to a destination begins as pending' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state <> OLD.state AND NOT ((OLD.state = 'pending' AND NEW.state IN ('sending', 'failed'))
        OR (OLD.state = 'sending' AND NEW.state IN ('pending', 'done', 'failed'))) THEN
        RAISE EXCEPTION 'a delivery does not go that way' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.id <> OLD.id OR NEW.request <> OLD.request OR NEW.way <> OLD.way OR NEW.destination <> OLD.destination
        OR NEW.target <> OLD.target OR NEW.manifest_sha256 <> OLD.manifest_sha256 OR NEW.delivered_by <> OLD.delivered_by
        OR (OLD.sha256 <> '' AND NEW.sha256 <> OLD.sha256) THEN
        RAISE EXCEPTION 'what was handed over, to whom and by whom, is never changed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
;
CREATE TRIGGER delivery_state BEFORE INSERT OR UPDATE ON footage_deliveries FOR EACH ROW EXECUTE FUNCTION delivery_guard()
"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in ddl(TABLES, dialect=dialect):
        op.execute(statement)
    for statement in ddl(SQLITE_TRIGGERS if dialect == "sqlite" else POSTGRES_TRIGGERS, dialect=dialect):
        op.execute(statement)
