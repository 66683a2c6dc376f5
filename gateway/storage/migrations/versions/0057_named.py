"""Who acknowledged an incident, made a maintenance window or did what a history tells, by name: a key alone names nobody."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0057"
down_revision = "0056"

# The name of the person behind `acknowledged_by`, `created_by` and `actor` at that time; '' where nobody was named. Of what was done
# before, it is the name that the key has now; a history is never changed and stays as it was.
TABLES = """
ALTER TABLE incidents ADD COLUMN acknowledger TEXT NOT NULL DEFAULT '' CHECK (length(acknowledger) <= 200)
;
ALTER TABLE maintenance_windows ADD COLUMN creator TEXT NOT NULL DEFAULT '' CHECK (length(creator) <= 200)
;
ALTER TABLE incident_history ADD COLUMN name TEXT NOT NULL DEFAULT '' CHECK (length(name) <= 200)
;
ALTER TABLE work_order_history ADD COLUMN name TEXT NOT NULL DEFAULT '' CHECK (length(name) <= 200)
;
UPDATE incidents SET acknowledger = coalesce((
    SELECT CASE WHEN username <> '' THEN username ELSE name END FROM api_keys
    WHERE 'api-key:' || api_keys.id = incidents.acknowledged_by
), '')
;
UPDATE maintenance_windows SET creator = coalesce((
    SELECT CASE WHEN username <> '' THEN username ELSE name END FROM api_keys
    WHERE 'api-key:' || api_keys.id = maintenance_windows.created_by
), '')
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
