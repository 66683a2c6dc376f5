"""How bad something is: the table's order, its corrections, and what many devices at once make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.severity import CRITICAL_FROM, DEFAULTS, Severities, Severity, check_key, severity_of, worst

CAMERA, SPEAKER, SWITCH = DeviceKind.CAMERA, DeviceKind.SPEAKER, DeviceKind.SWITCH
DOWN, DEGRADED = HealthState.DOWN, HealthState.DEGRADED


@pytest.mark.parametrize(
    ("kind", "state", "reason", "severity"),
    [
        (SWITCH, DOWN, "timeout", Severity.CRITICAL),
        (CAMERA, DOWN, "timeout", Severity.MAJOR),
        (None, DOWN, "", Severity.MAJOR),
        (CAMERA, DEGRADED, "clock-drift", Severity.WARNING),
        (CAMERA, DEGRADED, "picture-black", Severity.MAJOR),
        (SPEAKER, DEGRADED, "sensor-temperature", Severity.MINOR),
        (SPEAKER, DEGRADED, "a-reason-that-comes-later", Severity.MINOR),
        (CAMERA, HealthState.UNKNOWN, "gateway-blind", Severity.WARNING),
    ],
)
def test_the_defaults(kind: DeviceKind | None, state: HealthState, reason: str, severity: Severity) -> None:
    assert severity_of(kind, state, reason) is severity


def test_the_more_particular_line_counts_and_of_two_as_particular_the_operators() -> None:
    table = Severities({"picture-*": Severity.WARNING, "camera.picture-black": Severity.CRITICAL, "switch.down": Severity.MINOR})
    assert table.of(CAMERA, DEGRADED, "picture-black") is Severity.CRITICAL
    assert table.of(CAMERA, DEGRADED, "picture-frozen") is Severity.WARNING
    assert table.of(SWITCH, DOWN, "timeout") is Severity.MINOR
    assert table.of(SPEAKER, DOWN, "timeout") is Severity.MAJOR


def test_many_at_once_are_worse_than_each() -> None:
    assert severity_of(CAMERA, DEGRADED, "clock-drift", members=CRITICAL_FROM) is Severity.CRITICAL
    assert severity_of(CAMERA, DEGRADED, "clock-drift", members=CRITICAL_FROM - 1) is Severity.WARNING
    quiet = Severities({"down": Severity.WARNING}, critical_from=3)
    assert [quiet.of(CAMERA, DOWN, members=members) for members in (1, 2, 3)] == [Severity.WARNING, Severity.MAJOR, Severity.CRITICAL]


@given(st.sampled_from([None, *DeviceKind]), st.sampled_from(HealthState), st.sampled_from(["", "timeout", "picture-black", "x-y-z"]))
def test_more_members_never_make_it_less_bad(kind: DeviceKind | None, state: HealthState, reason: str) -> None:
    ranks = [severity_of(kind, state, reason, members=members).rank for members in range(1, 20)]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("key", ["", "Down", "lamp.down", "camera.", "*", "camera.*", "a b", "picture-black*", "camera.down.x"])
def test_a_key_that_can_fit_nothing_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Severities({key: Severity.MINOR})


def test_every_default_is_a_key_and_they_compare_by_rank() -> None:
    assert [check_key(key) for key in DEFAULTS] == list(DEFAULTS)
    assert worst(Severity.WARNING, Severity.CRITICAL, Severity.MAJOR) is Severity.CRITICAL
    assert Severity.CRITICAL.at_least(Severity.WARNING)
    assert not Severity.MINOR.at_least(Severity.MAJOR)
