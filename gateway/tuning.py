"""What the configuration means to each service: its rules, limits and paces, worked out from the settings."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import time, timedelta
from zoneinfo import ZoneInfo

from gateway import config
from gateway.broadcast.orders import Rules as BroadcastRules
from gateway.broadcast.pictures import PictureRules
from gateway.broadcast.rulebook import Restraint
from gateway.broadcast.schedules import ScheduleRules
from gateway.broadcast.stage import Manner
from gateway.domain.broadcast import Priority
from gateway.domain.broadcast_rules import Pauses
from gateway.domain.causes import Patience
from gateway.domain.devices import Credentials, DeviceKind
from gateway.domain.hours import Hours
from gateway.domain.policy import Limits
from gateway.domain.severity import Severities, Severity
from gateway.domain.talk import TalkBounds
from gateway.domain.work_orders import Calendar, Target
from gateway.drivers.sip.agent import Outbound, Way
from gateway.drivers.sip.wire import Transport
from gateway.footage.carrying import Retries
from gateway.footage.destinations import Destination
from gateway.footage.holds import HoldRules
from gateway.footage.scrubbing import ScrubRules
from gateway.footage.service import Rules as FootageRules
from gateway.footage.to_directory import DirectoryDestination
from gateway.footage.to_object_store import Bucket, Login, ObjectStoreDestination
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


def pictures(broadcast: config.Broadcast) -> PictureRules:
    """When pictures are taken after a broadcast, and how long they are kept."""
    return PictureRules(after=timedelta(seconds=broadcast.pictures_after_s), keep_for=timedelta(days=broadcast.pictures_days))


def broadcasts(broadcast: config.Broadcast) -> BroadcastRules:
    """What may be ordered, and under which rules it is heard."""
    cool_down = {priority: timedelta(seconds=getattr(broadcast.cool_down_s, priority.name.lower(), 0.0)) for priority in Priority}
    return BroadcastRules(
        max_speakers=broadcast.max_speakers_per_key,
        max_speakers_approved=broadcast.max_speakers_approved,
        not_after_max_s=broadcast.not_after_max_s,
        approval_max_s=broadcast.approval_max_s,
        restraint=Restraint(
            pauses=Pauses(cool_down, timedelta(seconds=broadcast.repeat_s)),
            override=frozenset(Priority[name.upper()] for name in broadcast.override),
            longest=timedelta(seconds=broadcast.duration_max_s),
            per_minute=broadcast.per_minute,
        ),
    )


def schedules(broadcast: config.Broadcast) -> ScheduleRules:
    """What may be said again and again."""
    return ScheduleRules(
        within_max=timedelta(seconds=broadcast.not_after_max_s),
        longest=timedelta(seconds=broadcast.duration_max_s),
        cap=broadcast.max_speakers_per_key,
        cap_approved=broadcast.max_speakers_approved,
    )


def manner(broadcast: config.Broadcast) -> Manner:
    return Manner(lead_in_s=broadcast.lead_in_ms / 1000, setup_timeout_s=broadcast.setup_timeout_s)


def talk(broadcast: config.Broadcast) -> TalkBounds:
    """When a live talk ends by itself."""
    return TalkBounds(
        silent_s=broadcast.talk_silence_s, lost_s=broadcast.talk_loss_s, longest_s=min(broadcast.talk_max_s, broadcast.duration_max_s)
    )


def outbound(sip: config.Sip) -> Outbound | None:
    """The exchange through which telephones are called, None for none. Raises InvalidInput when the password cannot be read."""
    if sip.exchange is None:
        return None
    address = str(sip.exchange)
    password = config.read_secret(sip.password_file) if sip.password_file is not None else ""
    way = Way(address, sip.port, Transport(sip.carrier))
    return Outbound(way, sip.domain or address, Credentials(sip.username or "", password), relays_sound=sip.relays_sound)


def footage(settings: config.Footage) -> FootageRules:
    return FootageRules(
        window_max=timedelta(hours=settings.window_max_hours),
        download_for=timedelta(hours=settings.download_hours),
        downloads=settings.download_max,
        keep=timedelta(days=settings.retention_days),
        keep_documents=timedelta(days=settings.documents_days),
        decide_for=timedelta(days=settings.decision_days),
        papers_for=timedelta(hours=settings.papers_hours),
        brought_bytes=int(settings.brought_gib * (1 << 30)),
    )


def scrubs(settings: config.Footage) -> ScrubRules:
    """In which time what is stored is read again, no time for never, and how fast."""
    return ScrubRules(every=timedelta(days=settings.scrub_days), bytes_per_s=settings.scrub_mib_per_s * (1 << 20))


def destinations(settings: config.Footage) -> tuple[Destination, ...]:
    """Where packages may be sent. InvalidInput for a file of authorities that cannot be read."""
    return tuple(_directory(one) if one.kind == "directory" else _bucket(one) for one in settings.destinations)


def retries(settings: config.Footage) -> Retries:
    """How long a package that does not arrive is tried."""
    return Retries(for_s=settings.send_hours * 3_600)


def _directory(one: config.Destination) -> DirectoryDestination:
    assert one.path is not None
    return DirectoryDestination(one.name, one.path, mounted=one.mounted)


def _bucket(one: config.Destination) -> ObjectStoreDestination:
    access, secret = one.access_key_file, one.secret_key_file
    assert one.endpoint and one.bucket and access and secret
    authorities = config.read_secret(one.ca_file) if one.ca_file else ""
    return ObjectStoreDestination(
        one.name,
        Bucket(one.endpoint, one.bucket, one.prefix or "", one.region, authorities, by_host=one.addressing == "host"),
        lambda: Login(config.read_secret(access), config.read_secret(secret)),
        plain_because=one.plain_because,
    )


def holds(settings: config.Footage) -> HoldRules:
    """What may be held, and how long."""
    return HoldRules(
        unapproved=settings.hold_unapproved,
        longest=timedelta(days=settings.hold_max_days),
        bytes_per_s=settings.expected_kbps * 1_000 / 8,
    )


def keep(settings: config.Limits) -> Keep:
    """What the housekeeper leaves of events and idempotency keys."""
    return Keep(
        events_for=timedelta(days=settings.events_days),
        events_at_most=settings.events_count,
        idempotency_for=timedelta(hours=settings.idempotency_hours),
    )
