"""What `/metrics` says of the HTTP door: requests and their time, labelled by the operations that are declared; and the city beside it."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from gateway.api.city_figures import CityFigures
from gateway.api.services import Services

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """The counters of one application, in a registry of their own."""

    def __init__(self, services: Services) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("gateway_http_requests", "Requests answered.", ["operation", "status"], registry=registry)
        self._seconds = Histogram("gateway_http_seconds", "Time to the answer.", ["operation"], buckets=_BUCKETS, registry=registry)
        registry.register(CityFigures(services))

    def of(self, operation: str) -> Callable[[int, float], None]:
        """What to call after each answer of `operation`, with its status and how many seconds it took.

        An operation that nobody has called yet has no figures: with so many of them, most of the answer would be noughts.
        """
        observe: Callable[[float], None] | None = None
        increments: dict[int, Callable[[], None]] = {}

        def count(status: int, seconds: float) -> None:
            nonlocal observe
            if observe is None:
                observe = self._seconds.labels(operation).observe
            increment = increments.get(status)
            if increment is None:
                increment = increments[status] = self._requests.labels(operation, str(status)).inc
            increment()
            observe(seconds)

        return count


METERS: web.AppKey[Meters] = web.AppKey("meters", Meters)
