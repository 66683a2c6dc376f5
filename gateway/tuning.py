"""What the configuration means to each service: its rules, limits and paces, worked out from the settings."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import time, timedelta
from zoneinfo import ZoneInfo

from gateway import config
from gateway.broadcast.performance import Manner
from gateway.broadcast.service import Rules as BroadcastRules
from gateway.domain.causes import Patience
from gateway.domain.devices import DeviceKind
from gateway.domain.hours import Hours
from gateway.domain.policy import Limits
from gateway.domain.severity import Severities, Severity
from gateway.domain.work_orders import Calendar, Target
from gateway.footage.service import Rules as FootageRules
from gateway.health.wheel import LATE_S, Pace
from gateway.incidents.service import Rules as IncidentRules
from gateway.incidents.work_orders import Agreement
from gateway.inventory.logins import read_logins
from gateway.inventory.searching import Rules as SearchRules
from gateway.storage.retention import Keep

# -- health -----------------------------------------------------------------------------------------------------------


def limits(health: config.Health) -> Limits:
    """The thresholds of every device whose kind has none of its own."""
    return Limits(
        failure=health.down_after,
        recovery=health.up_after,
        degrade=health.degraded_after,
        flap_changes=health.flap_changes,
        flap_hold=timedelta(seconds=health.flap_hold_s),
    )


def limits_by_kind(health: config.Health) -> Mapping[DeviceKind, Limits]:
    """The thresholds of each kind: those that it has of its own, else the usual ones."""
    usual = limits(health)
    return {kind: _limits_of(usual, getattr(health.kinds, kind.value)) for kind in DeviceKind}


def _limits_of(usual: Limits, kind: config.KindHealth) -> Limits:
    return replace(
        usual,
        failure=kind.down_after or usual.failure,
        recovery=kind.up_after or usual.recovery,
        degrade=kind.degraded_after or usual.degrade,
        flap_changes=kind.flap_changes or usual.flap_changes,
    )


def pace(health: config.Health) -> Pace:
    """How the wheel turns; what is usually quick is never slower than a round."""
    usual = Pace()
    return Pace(
        interval_s=health.interval_s,
        suspect_s=min(usual.suspect_s, health.interval_s / 3),
        dead_s=min(usual.dead_s, health.interval_s),
        dead_max_s=min(usual.dead_max_s, 8 * health.interval_s),
        in_flight=health.concurrency,
        per_group=health.per_uplink,
        late_s=min(LATE_S, health.timeout_s / 4),  # a pause of ours that could eat up a device's deadline is never its fault
    )


# -- incidents, work orders -------------------------------------------------------------------------------------------


def incidents(settings: config.Config) -> IncidentRules:
    """How long is waited for what, how bad it is, and when more people must know; waits follow the interval of the checks."""
    chosen, interval_s = settings.incidents, settings.health.interval_s
    patience = Patience(
        settle=timedelta(seconds=min(3.0, interval_s / 10)),
        uplink_wait=timedelta(seconds=chosen.uplink_wait_s or 2 * interval_s),
        group_wait=timedelta(seconds=chosen.group_wait_s or 3 * interval_s),
        grace=timedelta(seconds=chosen.return_grace_s or 5 * interval_s),
        degraded_wait=timedelta(seconds=chosen.degraded_wait_s or 2 * interval_s),
        window=timedelta(seconds=chosen.reopen_within_s),
    )
    table = {key: Severity(value) for key, value in settings.health.severity.items()}
    steps = {severity: getattr(chosen.escalate_after_s, severity) for severity in Severity}
    return IncidentRules(
        patience=patience,
        severities=Severities(table, critical_from=settings.health.critical_from),
        escalate_after={severity: tuple(timedelta(seconds=step) for step in taken) for severity, taken in steps.items()},
        ask_again=timedelta(seconds=min(10.0, interval_s / 3)),
    )


def agreement(settings: config.WorkOrders, zone: ZoneInfo) -> Agreement:
    """What was agreed with the maintainers, as the clocks of work orders need it."""
    targets = {}
    for severity in Severity:
        target: config.WorkTarget = getattr(settings.targets, severity.value)
        response, repair = timedelta(hours=target.response_hours), timedelta(hours=target.repair_hours)
        targets[severity] = Target(response, repair, target.around_the_clock)
    days = frozenset(day - 1 for day in settings.work_days)
    hours = Hours(time.fromisoformat(settings.work_from), time.fromisoformat(settings.work_until), days)
    return Agreement(targets, Calendar(hours, zone))


# -- everything else --------------------------------------------------------------------------------------------------


def searches(discovery: config.Discovery) -> SearchRules:
    """Where new devices may be looked for, and with which logins. InvalidInput for a file of logins that cannot be read."""
    return SearchRules(
        ranges=discovery.ranges,
        multicast_from=discovery.multicast_from,
        addresses_per_s=discovery.addresses_per_s,
        listen_s=discovery.listen_s,
        attempts=discovery.attempts,
        onvif_ports=discovery.onvif_ports,
        snmp_port=discovery.snmp_port,
        probe_port=discovery.probe_port,
        logins=read_logins(discovery.logins_file) if discovery.logins_file is not None else (),
    )


def broadcasts(broadcast: config.Broadcast) -> BroadcastRules:
    return BroadcastRules(max_speakers=broadcast.max_speakers_per_key, not_after_max_s=broadcast.not_after_max_s)


def manner(broadcast: config.Broadcast) -> Manner:
    return Manner(lead_in_s=broadcast.lead_in_ms / 1000, setup_timeout_s=broadcast.setup_timeout_s)


def footage(settings: config.Footage) -> FootageRules:
    return FootageRules(
        window_max=timedelta(hours=settings.window_max_hours),
        download_for=timedelta(hours=settings.download_hours),
        downloads=settings.download_max,
        keep=timedelta(days=settings.retention_days),
    )


def keep(settings: config.Limits) -> Keep:
    """What the housekeeper leaves of events and idempotency keys."""
    return Keep(
        events_for=timedelta(days=settings.events_days),
        events_at_most=settings.events_count,
        idempotency_for=timedelta(hours=settings.idempotency_hours),
    )
