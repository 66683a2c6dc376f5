"""The city on `/metrics`: devices by kind, district, vendor and reason, and the store behind them; every label is cleaned and bounded."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.api.services import Services
from gateway.domain.city import City
from gateway.domain.devices import DeviceKind
from gateway.domain.health import Board, HealthState
from gateway.domain.incidents import IncidentState
from gateway.domain.severity import Severity

OTHER = "other"
NONE = "unset"
_LONGEST = 64
_UNFIT = re.compile(r"[^\w .:/@()·-]+")

Tally = Counter[tuple[str, HealthState]]


class CityFigures(Collector):
    """Figures that are read when they are asked for, in one walk over the devices.

    Kinds, states and lanes are ours. Districts, vendors and reasons are named up to `limits.metric_labels` of each, those with the most
    devices first; the rest is counted together as `other`. No name, address or id of a device is ever a label.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield from self._devices()
        yield from self._troubles()
        yield from self._store()
        info = GaugeMetricFamily("gateway_build_info", "1, with the version of the gateway.", labels=["version"])
        info.add_metric([self._services.version], 1)
        yield info

    def _devices(self) -> Iterator[Metric]:
        city, board, most = self._services.city, self._services.board, self._services.limits.metric_labels
        kinds, districts, vendors, reasons = _counted(city, board)
        for kind in DeviceKind:
            for state in HealthState:
                kinds.setdefault((kind, state), 0)
        yield _family("gateway_devices", "Devices by kind and state.", "kind", kinds)
        yield _family("gateway_district_devices", "Devices by district and state.", "district", _bounded(districts, most))
        yield _family("gateway_vendor_devices", "Devices by vendor and state.", "vendor", _bounded(vendors, most))
        yield _family("gateway_reason_devices", "Devices that are not up, by reason and state.", "reason", _bounded(reasons, most))
        yield _available(kinds)
        groups = GaugeMetricFamily("gateway_groups", "Camera groups in the inventory.", value=len(city.groups))
        yield groups

    def _troubles(self) -> Iterator[Metric]:
        live = Counter((incident.severity, incident.state) for incident in self._services.incidents.live)
        family = GaugeMetricFamily("gateway_incidents", "Incidents that are not resolved.", labels=["severity", "state"])
        for severity in Severity:
            for state in (IncidentState.OPEN, IncidentState.ACKNOWLEDGED):
                family.add_metric([severity, state], live[severity, state])
        yield family
        beside = [self._services.circumstances[device] for device in self._services.city.devices]
        muted, suppressed = sum(one.muted is not None for one in beside), sum(one.suppressed_by is not None for one in beside)
        yield GaugeMetricFamily("gateway_muted_devices", "Devices under maintenance.", value=muted)
        yield GaugeMetricFamily(
            "gateway_suppressed_devices", "Devices behind a dead one, which tell nobody by themselves.", value=suppressed
        )
        windows = len(self._services.maintenance.in_force)
        yield GaugeMetricFamily("gateway_maintenance_windows", "Maintenance windows in force.", value=windows)

    def _store(self) -> Iterator[Metric]:
        store = self._services.store
        yield CounterMetricFamily("gateway_events", "Events in the log.", value=store.events.latest)
        yield CounterMetricFamily("gateway_store_commits", "Group commits.", value=store.writer.commits)
        yield CounterMetricFamily("gateway_store_failures", "Commits that failed.", value=store.writer.failures)
        waiting = GaugeMetricFamily("gateway_store_waiting", "Changes that wait for their commit, by lane.", labels=["lane"])
        for lane, depth in store.writer.waiting.items():
            waiting.add_metric([lane.name.lower()], depth)
        yield waiting


def label(text: str) -> str:
    """`text` as a label's value: letters of any script, digits and a little punctuation, at most 64 characters; `unset` for nothing."""
    clean = " ".join(_UNFIT.sub(" ", text[: 4 * _LONGEST]).split())
    return clean[:_LONGEST].encode("utf-8", "replace").decode() or NONE


def _counted(city: City, board: Board) -> tuple[Tally, Tally, Tally, Tally]:
    kinds, districts, vendors, reasons = Tally(), Tally(), Tally(), Tally()
    for device in city.devices.values():
        standing = board[device.id]
        kinds[device.kind, standing.state] += 1
        districts[city.district_of(device), standing.state] += 1
        vendors[device.vendor, standing.state] += 1
        if standing.state is not HealthState.UP:
            reasons[standing.reason, standing.state] += 1
    return kinds, districts, vendors, reasons


def _bounded(tally: Tally, most: int) -> Tally:
    """The same by cleaned names: the `most` that have the most devices, by name where equal, and the rest as `other`."""
    sizes: Counter[str] = Counter()
    for (name, _), count in tally.items():
        sizes[label(name)] += count
    kept = set(sorted(sizes, key=lambda name: (-sizes[name], name))[:most])
    bounded = Tally()
    for (name, state), count in tally.items():
        clean = label(name)
        bounded[clean if clean in kept else OTHER, state] += count
    return bounded


def _family(name: str, help_: str, what: str, tally: Mapping[tuple[str, HealthState], int]) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=[what, "state"])
    for (value, state), count in sorted(tally.items()):
        family.add_metric([value, state], count)
    return family


def _available(kinds: Mapping[tuple[str, HealthState], int]) -> Metric:
    family = GaugeMetricFamily(
        "gateway_available_ratio", "Share of devices that answer (up, degraded) among those whose state is known.", labels=["kind"]
    )
    for kind in DeviceKind:
        answering = kinds[kind, HealthState.UP] + kinds[kind, HealthState.DEGRADED]
        known = answering + kinds[kind, HealthState.DOWN]
        if known:
            family.add_metric([kind], answering / known)
    return family
