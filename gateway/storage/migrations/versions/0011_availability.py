"""Availability by days and months, what must be reckoned anew, what was recorded, and the excuses that adjusted figures leave out."""

from alembic import op

from gateway.storage.migrations import ddl

revision = "0011"
down_revision = "0010"

# An account (gateway/domain/availability.py): microseconds, and outages by number.
ACCOUNT = ",\n".join(
    f"    {name} BIGINT NOT NULL CHECK ({name} >= 0)"
    for name in (
        *(f"{kind}_{part}" for kind in ("raw", "adjusted") for part in ("up", "degraded", "down", "outages", "lead", "tail", "longest")),
        *("unknown", "maintenance", "excused", "clock_checked", "clock_bad", "picture_checked", "picture_bad"),
    )
)

TABLES = f"""
-- A day (of the site's calendar, YYYY-MM-DD) of a device of which there is something to tell. A day that was reckoned and has no row is
-- one on which the device was up from beginning to end. All of it can be reckoned anew from the log of transitions.
CREATE TABLE availability_days (
    day    TEXT NOT NULL CHECK (length(day) = 10),
    device TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
{ACCOUNT},
    PRIMARY KEY (day, device)
)
;
-- A whole month of a device; `month` is its first day. It is its days, joined.
CREATE TABLE availability_months (
    month  TEXT NOT NULL CHECK (length(month) = 10),
    device TEXT NOT NULL CHECK (length(device) BETWEEN 1 AND 64),
{ACCOUNT},
    PRIMARY KEY (month, device)
)
;
-- What was reckoned of a device: the days from `first_day` until before `until_day`; earlier there is nothing.
-- From `clock_day` and `picture_day` on a day without a row is one on which that check was made all the time; null: never.
CREATE TABLE availability_reckoned (
    device      TEXT PRIMARY KEY CHECK (length(device) BETWEEN 1 AND 64),
    first_day   TEXT NOT NULL CHECK (length(first_day) = 10),
    until_day   TEXT NOT NULL CHECK (length(until_day) = 10),
    clock_day   TEXT CHECK (length(clock_day) = 10),
    picture_day TEXT CHECK (length(picture_day) = 10),
    CHECK (until_day > first_day)
)
;
-- The time zone by whose days all this was reckoned: one row.
CREATE TABLE availability_calendar (
    zone TEXT PRIMARY KEY CHECK (length(zone) BETWEEN 1 AND 64)
)
;
-- Days from `first_day` to `last_day` that must be reckoned anew, and for which devices (JSON; null: all), because `cause` has changed.
CREATE TABLE availability_stale (
    cause     TEXT PRIMARY KEY CHECK (length(cause) BETWEEN 1 AND 200),
    first_day TEXT NOT NULL CHECK (length(first_day) = 10),
    last_day  TEXT NOT NULL CHECK (length(last_day) = 10),
    devices   TEXT,
    CHECK (last_day >= first_day)
)
;
-- What a recorder said that it has of a camera's day: seconds that should be there, and seconds that are.
CREATE TABLE recording_days (
    camera     TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    day        TEXT NOT NULL CHECK (length(day) = 10),
    recorder   TEXT NOT NULL CHECK (length(recorder) <= 64),
    expected_s BIGINT NOT NULL CHECK (expected_s >= 0),
    recorded_s BIGINT NOT NULL CHECK (recorded_s BETWEEN 0 AND expected_s),
    PRIMARY KEY (camera, day)
)
;
-- It holds all that a sum needs.
CREATE INDEX ix_recording_days_day ON recording_days (day, camera, expected_s, recorded_s)
;
-- The sums of a camera's month; `month` is its first day.
CREATE TABLE recording_months (
    month      TEXT NOT NULL CHECK (length(month) = 10),
    camera     TEXT NOT NULL CHECK (length(camera) BETWEEN 1 AND 64),
    expected_s BIGINT NOT NULL CHECK (expected_s >= 0),
    recorded_s BIGINT NOT NULL CHECK (recorded_s BETWEEN 0 AND expected_s),
    PRIMARY KEY (month, camera)
)
;
-- A reason for which time is left out of the adjusted figures: proposed by one person with evidence, decided by another.
CREATE TABLE excuses (
    id          TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
    state       TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'rejected')),
    kind        TEXT NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    -- JSON: {{"devices": […], "groups": […], "cells": […], "districts": […]}}
    places      TEXT NOT NULL,
    start_at    TIMESTAMPTZ NOT NULL,
    end_at      TIMESTAMPTZ NOT NULL,
    reason      TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    evidence    TEXT NOT NULL CHECK (length(evidence) <= 500),
    incident    TEXT NOT NULL CHECK (length(incident) <= 64),
    proposed_by TEXT NOT NULL CHECK (length(proposed_by) > 0),
    proposer    TEXT NOT NULL CHECK (length(proposer) > 0),
    proposed_at TIMESTAMPTZ NOT NULL,
    decided_by  TEXT,
    decider     TEXT,
    decided_at  TIMESTAMPTZ,
    note        TEXT NOT NULL CHECK (length(note) <= 2000),
    CHECK (end_at > start_at),
    CHECK (length(evidence) > 0 OR length(incident) > 0),
    CHECK ((decided_by IS NULL) = (decider IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CHECK ((state = 'proposed') = (decided_by IS NULL)),
    CHECK (decided_by <> proposed_by AND decider <> proposer)
)
;
CREATE INDEX ix_excuses_proposed_at ON excuses (proposed_at, id)
;
CREATE INDEX ix_excuses_end_at ON excuses (state, end_at)
"""


def upgrade() -> None:
    for statement in ddl(TABLES, dialect=op.get_bind().dialect.name):
        op.execute(statement)
