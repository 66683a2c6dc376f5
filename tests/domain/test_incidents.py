"""The table of what may be done to an incident: the legal half, and the illegal half."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState
from gateway.domain.incidents import ACTS, Act, Cause, CauseKind, Incident, IncidentId, IncidentState, acted
from gateway.domain.severity import Severity
from gateway.errors import Conflict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEW = Incident(
    id=IncidentId("I-1"),
    state=IncidentState.OPEN,
    severity=Severity.MAJOR,
    trouble=HealthState.DOWN,
    cause=Cause(CauseKind.DEVICE, DeviceId("cam-1")),
    reason="timeout",
    opened_at=NOON,
    waiting_since=NOON,
    changed_at=NOON,
)
IN = {
    IncidentState.OPEN: NEW,
    IncidentState.ACKNOWLEDGED: acted(NEW, Act.ACKNOWLEDGE, by="user:li", at=NOON),
    IncidentState.RESOLVED: acted(NEW, Act.RESOLVE, by="user:li", at=NOON),
}


@pytest.mark.parametrize("state", IncidentState)
@pytest.mark.parametrize("act", Act)
def test_every_act_leads_where_the_table_says_or_is_refused_and_changes_nothing(state: IncidentState, act: Act) -> None:
    wanted = ACTS.get((state, act))
    if wanted is None:
        with pytest.raises(Conflict) as refused:
            acted(IN[state], act, by="user:li", at=NOON)
        assert refused.value.code == "wrong-incident-state"
    else:
        assert acted(IN[state], act, by="user:li", at=NOON).state is wanted


@given(st.lists(st.sampled_from(Act), max_size=30))
def test_whatever_is_done_the_fields_agree_with_the_state(acts: list[Act]) -> None:
    incident, now = NEW, NOON
    for act in acts:
        now += timedelta(minutes=1)
        if (incident.state, act) not in ACTS:
            continue
        incident = acted(incident, act, by="user:li", at=now, assignee="wang", until=now + timedelta(hours=1))
        assert (incident.state is IncidentState.RESOLVED) == (incident.resolved_at is not None)
        assert (incident.state is IncidentState.RESOLVED) or not incident.resolved_by
        assert incident.state is not IncidentState.ACKNOWLEDGED or incident.acknowledged_at is not None
        assert incident.changed_at == now
        assert incident.waiting_since >= NOON


def test_a_reopened_incident_is_as_new_but_for_its_count() -> None:
    again = acted(IN[IncidentState.RESOLVED], Act.RELAPSE, by="", at=NOON + timedelta(minutes=5))
    assert (again.reopened, again.escalation_level, again.acknowledged_by, again.resolved_by) == (1, 0, "", "")
    assert again.waiting_since == NOON + timedelta(minutes=5)
    assert again.opened_at == NOON


def test_the_escalation_waits_for_the_end_of_a_snooze() -> None:
    until = NOON + timedelta(hours=2)
    snoozed = acted(NEW, Act.SNOOZE, by="user:li", at=NOON, until=until)
    assert snoozed.snoozed(NOON)
    assert not snoozed.snoozed(until)
    assert snoozed.waiting_since == until
    awake = acted(snoozed, Act.SNOOZE, by="user:li", at=NOON + timedelta(hours=1))
    assert not awake.snoozed(NOON + timedelta(hours=1))
    assert awake.waiting_since == NOON + timedelta(hours=1)
