"""What devices have told by traps and have not taken back, and every time that the power of a device's port was switched off and on."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0010"
down_revision = "0009"

TABLES = """
-- An alarm that is open: `source` told it by the notification `trap`, `key` tells which of several it is, `device` is whom it is about.
-- No reference to `devices`: an import may drop a device while its last trap is on its way here.
CREATE TABLE trap_alarms (
    source  TEXT NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
    trap    TEXT NOT NULL CHECK (length(trap) BETWEEN 1 AND 1024),
    key     TEXT NOT NULL CHECK (length(key) <= 128),
    device  TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    event   TEXT NOT NULL CHECK (length(event) BETWEEN 1 AND 48),
    outcome TEXT NOT NULL CHECK (outcome IN ('warn', 'fail')),
    since   TIMESTAMPTZ NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    -- untrusted text of the device, cleaned
    text    TEXT NOT NULL CHECK (length(text) <= 512),
    of_link BOOLEAN NOT NULL,
    PRIMARY KEY (source, trap, key),
    CHECK (expires > since)
)
;
-- The power of a port is switched off and on again for `device`. The row is there before the port is switched off, and without `ended_at`
-- until the switch has confirmed that it is on again: what has none at the start is switched on then.
CREATE TABLE power_cycles (
    id       TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    device   TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
    switch   TEXT NOT NULL CHECK (length(switch) BETWEEN 1 AND 64),
    -- pethPsePortAdminEnable of the port (RFC 3621)
    object   TEXT NOT NULL CHECK (length(object) BETWEEN 1 AND 128),
    port     BIGINT NOT NULL CHECK (port > 0),
    actor    TEXT NOT NULL CHECK (length(actor) BETWEEN 1 AND 256),
    reason   TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 512),
    began_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    outcome  TEXT CHECK (outcome IN ('done', 'refused', 'unknown')),
    CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CHECK (ended_at >= began_at)
)
;
CREATE INDEX ix_power_cycles_began_at ON power_cycles (began_at)
;
-- One port is never switched by two at a time.
CREATE UNIQUE INDEX ix_power_cycles_open ON power_cycles (switch, object) WHERE ended_at IS NULL
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
