"""What `/metrics` says: requests and their time, the city by kind and state, the store; every label is bounded by what is declared."""

from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.api.census import states_of
from gateway.api.services import Services
from gateway.domain.devices import DeviceKind

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """The counters of one application, in a registry of their own."""

    def __init__(self, services: Services) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("gateway_http_requests", "Requests answered.", ["operation", "status"], registry=registry)
        self._seconds = Histogram("gateway_http_seconds", "Time to the answer.", ["operation"], buckets=_BUCKETS, registry=registry)
        registry.register(CityFigures(services))

    def of(self, operation: str) -> Callable[[int, float], None]:
        """What to call after each answer of `operation`, with its status and how many seconds it took."""
        observe = self._seconds.labels(operation).observe
        increments: dict[int, Callable[[], None]] = {}

        def count(status: int, seconds: float) -> None:
            increment = increments.get(status)
            if increment is None:
                increment = increments[status] = self._requests.labels(operation, str(status)).inc
            increment()
            observe(seconds)

        return count


METERS: web.AppKey[Meters] = web.AppKey("meters", Meters)


class CityFigures(Collector):
    """Figures that are read when they are asked for."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        store = self._services.store
        yield self._devices()
        yield CounterMetricFamily("gateway_events", "Events in the log.", value=store.events.latest)
        yield CounterMetricFamily("gateway_store_commits", "Group commits.", value=store.writer.commits)
        yield CounterMetricFamily("gateway_store_failures", "Commits that failed.", value=store.writer.failures)
        yield GaugeMetricFamily("gateway_store_waiting", "Changes that wait for their commit.", value=store.writer.depth)

    def _devices(self) -> Metric:
        family = GaugeMetricFamily("gateway_devices", "Devices by kind and state.", labels=["kind", "state"])
        for kind in DeviceKind:
            devices = (device.id for device in self._services.city.of_kind(kind))
            for state, count in states_of(self._services.board, devices).items():
                family.add_metric([kind, state], count)
        return family
